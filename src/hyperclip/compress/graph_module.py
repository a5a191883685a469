"""An ONNX graph as a PyTorch module that can learn and lose channels, and then be written back.

Files hold no BatchNorm any more: statistics were folded into convolutions. To learn well the network needs
them, so each convolution gets one back that changes nothing: its statistics are measured on pictures, and
scale and shift undo them. When the graph is written they are folded in again.

Written by hand because the kept converters (onnx2torch, onnx2pytorch) have had no release for years, know
no way back into the same graph, and put no norms in; the operators of image encoders are few.

Legend: B pictures, F channels, H W pixels.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from hyperclip.compress.graph_functions import FUNCTIONS, unreadable
from hyperclip.models.channel_groups import ChannelScale
from hyperclip.runtime.graph import node_attribute

__all__ = ["GraphModule"]

Arrays = Mapping[str, npt.NDArray[np.generic]]
_EPS = 1e-5


class GraphModule(nn.Module):
    """The part of a graph between two tensors, with its weights as parameters.

    Parameters
    ----------
    nodes : sequence of onnx.NodeProto
        In execution order; those that the output does not need are left out.
    constants : mapping of str to ndarray
        What the nodes read besides.
    source, output : str
        Names of the tensor that comes in and of the one that goes out.

    Raises
    ------
    InputError
        If an operator is not one of those that image encoders have.
    """

    def __init__(
        self, nodes: Sequence[onnx.NodeProto], constants: Arrays, *, source: str, output: str
    ) -> None:
        super().__init__()
        self.source, self.output = source, output
        self.layers = nn.ModuleDict()
        self.norms = nn.ModuleDict()
        self._steps: list[tuple[Callable[..., Tensor], tuple[str, ...], str]] = []
        self._written: dict[str, onnx.NodeProto] = {}
        needed = _needed(nodes, source, output)
        for index, node in enumerate(nodes):
            if index in needed:
                self._add(str(index), node, constants)

    @classmethod
    def between(cls, model: onnx.ModelProto, source: str, output: str) -> "GraphModule":
        """Return the part of a model between two tensors; raises as the class does."""
        constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        return cls(model.graph.node, constants, source=source, output=output)

    @property
    def layer_nodes(self) -> Mapping[str, onnx.NodeProto]:
        """The operator that each of `layers` stands for."""
        return self._written

    def _add(self, key: str, node: onnx.NodeProto, constants: Arrays) -> None:
        """Take in one node: as a layer with weights, or as a function of tensors."""
        made = _layer(node, constants)
        if made is not None:
            layer, sources = made
            self.layers[key] = layer
            self._written[key] = node
            self._steps.append((_Caller(self, key), sources, node.output[0]))
            return
        make = FUNCTIONS.get(node.op_type)
        if make is None:
            raise unreadable(node, "it is not known here")
        function, sources = make(node, constants)
        self._steps.append((function, sources, node.output[0]))

    def forward(self, x: Tensor) -> Tensor:
        """From the incoming tensor to the outgoing one."""
        values = {self.source: x}
        for run, sources, result in self._steps:
            values[result] = run(*(values[name] for name in sources))
        return values[self.output]

    @torch.no_grad()
    def add_norms(self, batches: Sequence[Tensor]) -> None:
        """Put a BatchNorm behind each convolution that leaves the function as it is, up to rounding.

        Parameters
        ----------
        batches : sequence of Tensor of shape (B, F, H, W)
            On which the statistics are measured.
        """
        convolutions = {key: layer for key, layer in self.layers.items() if isinstance(layer, nn.Conv2d)}
        sums = {
            key: torch.zeros(2, conv.out_channels, dtype=torch.float64) for key, conv in convolutions.items()
        }
        n_values: Counter[str] = Counter()
        hooks = []
        for key, conv in convolutions.items():

            def measure(module: nn.Module, given: object, out: Tensor, key: str = key) -> None:
                values = out.double().transpose(0, 1).flatten(1)
                sums[key] += torch.stack([values.sum(dim=1), values.square().sum(dim=1)])
                n_values[key] += values.shape[1]

            hooks.append(conv.register_forward_hook(measure))
        for batch in batches:
            self(batch)
        for hook in hooks:
            hook.remove()
        for key, conv in convolutions.items():
            mean, square = sums[key] / max(n_values[key], 1)
            norm = nn.BatchNorm2d(conv.out_channels, eps=_EPS)
            bias = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias
            norm.running_mean = (mean - bias).float()
            norm.running_var = (square - mean**2).clamp(min=0).float()
            norm.weight.copy_((norm.running_var + _EPS).sqrt())
            norm.bias.copy_(mean.float())
            conv.bias = None
            self.norms[key] = norm.train(self.training)

    def written(self, model: onnx.ModelProto) -> onnx.ModelProto:
        """Return a model in which the weights are those of this module.

        Parameters
        ----------
        model : onnx.ModelProto
            That the nodes came from; not changed. Its layers may have had more channels.
        """
        copied = onnx.ModelProto()
        copied.CopyFrom(model)
        del copied.graph.value_info[:]
        by_output = {node.output[0]: node for node in copied.graph.node}
        new: dict[str, npt.NDArray[np.generic]] = {}
        for key, original in self._written.items():
            node = by_output[original.output[0]]
            _write(node, self.layers[key], dict(self.norms.items()).get(key), new)
        results = {result for _, _, result in self._steps}
        for node in copied.graph.node:
            if node.op_type == "Reshape" and node.output[0] in results:  # its shape names the old width
                node.op_type = "Flatten"
                del node.input[1:], node.attribute[:]
                node.attribute.append(onnx.helper.make_attribute("axis", 1))
        used = {name for node in copied.graph.node for name in node.input}
        kept = [tensor for tensor in copied.graph.initializer if tensor.name in used - set(new)]
        del copied.graph.initializer[:]
        copied.graph.initializer.extend(kept)
        copied.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in new.items())
        return copied


class _Caller:
    """Runs a layer and its norm, wherever the module was copied to."""

    def __init__(self, owner: GraphModule, key: str) -> None:
        self._owner, self._key = [owner], key  # in a list, so that it is not a submodule

    def __call__(self, x: Tensor) -> Tensor:
        owner = self._owner[0]
        out: Tensor = owner.layers[self._key](x)
        return owner.norms[self._key](out) if self._key in owner.norms else out

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Caller":
        return _Caller(memo.get(id(self._owner[0]), self._owner[0]), self._key)


def _needed(nodes: Sequence[onnx.NodeProto], source: str, output: str) -> set[int]:
    """Places of the nodes between two tensors."""
    maker = {name: index for index, node in enumerate(nodes) for name in node.output}
    found: set[int] = set()
    wanted = [output]
    while wanted:
        name = wanted.pop()
        index = maker.get(name)
        if name != source and index is not None and index not in found:
            found.add(index)
            wanted += nodes[index].input
    return found


_Made = tuple[nn.Module, tuple[str, ...]]


def _layer(node: onnx.NodeProto, constants: Arrays) -> _Made | None:
    """A node with weights as a module; None for other nodes."""
    if node.op_type == "Conv" and node.input[1] in constants:
        return _convolution(node, constants), (node.input[0],)
    if node.op_type in ("Gemm", "MatMul") and node.input[1] in constants:
        return _linear(node, constants), (node.input[0],)
    if node.op_type in ("Add", "Mul", "Sub", "Div"):
        return _scale(node, constants)
    return None


def _tensor(array: npt.NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32))


def _convolution(node: onnx.NodeProto, constants: Arrays) -> nn.Conv2d:
    weight = _tensor(constants[node.input[1]])
    bias = _tensor(constants[node.input[2]]) if len(node.input) > 2 and node.input[2] else None
    pads = _ints(node, "pads", [0, 0, 0, 0])
    auto = node_attribute(node, "auto_pad")
    if weight.dim() != 4 or auto not in (None, b"NOTSET", b"VALID"):
        raise unreadable(node, "its padding or number of axes")
    groups = node_attribute(node, "group")
    n_groups = int(groups) if isinstance(groups, int) else 1
    top, left, bottom, right = pads
    is_even = (top, left) == (bottom, right)
    conv = _PaddedConv2d(
        weight.shape[1] * n_groups, weight.shape[0], tuple(weight.shape[2:]),  # type: ignore[arg-type]
        stride=tuple(_ints(node, "strides", [1, 1])), dilation=tuple(_ints(node, "dilations", [1, 1])),  # type: ignore[arg-type]
        padding=(top, left) if is_even else 0, groups=n_groups, bias=bias is not None,
    )  # fmt: skip
    conv.uneven = None if is_even else (left, right, top, bottom)
    with torch.no_grad():
        conv.weight.copy_(weight)
        if bias is not None and conv.bias is not None:
            conv.bias.copy_(bias)
    return conv


class _PaddedConv2d(nn.Conv2d):
    """A convolution whose padding may differ from side to side."""

    uneven: tuple[int, int, int, int] | None = None

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input if self.uneven is None else functional.pad(input, self.uneven))


def _linear(node: onnx.NodeProto, constants: Arrays) -> nn.Linear:
    weight = _tensor(constants[node.input[1]])
    if weight.dim() != 2:
        raise unreadable(node, "its weights' number of axes")
    if node.op_type == "MatMul" or not node_attribute(node, "transB"):
        weight = weight.T
    for name in ("alpha", "beta"):
        if node_attribute(node, name) not in (None, 1.0):
            raise unreadable(node, name)
    if node_attribute(node, "transA"):
        raise unreadable(node, "transA")
    has_bias = node.op_type == "Gemm" and len(node.input) > 2 and bool(node.input[2])
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=has_bias)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if has_bias:
            layer.bias.copy_(_tensor(constants[node.input[2]]).reshape(-1).expand(weight.shape[0]))
    return layer


def _scale(node: onnx.NodeProto, constants: Arrays) -> _Made | None:
    """A number for each channel that is added or multiplied; None for other operands."""
    stored = [name for name in node.input if name in constants]
    if len(stored) != 1 or constants[stored[0]].size == 1:
        return None
    array = constants[stored[0]]
    is_first = node.input[0] == stored[0]
    n_axes_behind = 2 if array.ndim in (3, 4) else 0
    is_by_channel = 1 <= array.ndim <= 4 and array.shape == (
        *(1,) * (array.ndim - n_axes_behind - 1), array.size, *(1,) * n_axes_behind,
    )  # fmt: skip
    if not is_by_channel or (is_first and node.op_type in ("Sub", "Div")):
        raise unreadable(node, f"an operand of shape {array.shape}")
    values = _tensor(array).reshape(-1)
    if node.op_type == "Sub":
        values = -values
    if node.op_type == "Div":
        values = 1 / values
    scale = _StoredScale(
        values, adds=node.op_type in ("Add", "Sub"), place=0 if is_first else 1, n_axes_behind=n_axes_behind
    )
    return scale, (node.input[1 if is_first else 0],)


class _StoredScale(ChannelScale):
    """Remembers where its values lie in the graph, and in which shape."""

    def __init__(self, values: Tensor, *, adds: bool, place: int, n_axes_behind: int) -> None:
        super().__init__(values, adds=adds)
        self.place, self.n_axes_behind = place, n_axes_behind


def _write(
    node: onnx.NodeProto, layer: nn.Module, norm: nn.Module | None, new: dict[str, npt.NDArray[np.generic]]
) -> None:
    """Let a node read the weights of a layer, under names that nobody else uses."""

    def store(place: int, value: Tensor, name: str) -> None:
        while name in new:
            name += "_"
        new[name] = value.detach().cpu().contiguous().float().numpy().copy()
        if place < len(node.input):
            node.input[place] = name
        else:
            node.input.append(name)

    if isinstance(layer, nn.Conv2d):
        weight, bias = _folded(layer, norm)
        store(1, weight, f"{node.output[0]}.weight")
        if bias is not None:
            store(2, bias, f"{node.output[0]}.bias")
        for attribute in node.attribute:
            if attribute.name == "group":
                attribute.i = layer.groups
    elif isinstance(layer, nn.Linear):
        is_transposed = node.op_type == "Gemm" and bool(node_attribute(node, "transB"))
        store(1, layer.weight if is_transposed else layer.weight.T, f"{node.output[0]}.weight")
        if layer.bias is not None:
            store(2, layer.bias, f"{node.output[0]}.bias")
    elif isinstance(layer, _StoredScale):
        values = layer.weight.detach()
        values = -values if node.op_type == "Sub" else 1 / values if node.op_type == "Div" else values
        store(layer.place, values.reshape(-1, *(1,) * layer.n_axes_behind), f"{node.output[0]}.values")


def _folded(conv: nn.Conv2d, norm: nn.Module | None) -> tuple[Tensor, Tensor | None]:
    """Weights and bias of a convolution with the norm behind it."""
    if norm is None:
        return conv.weight, conv.bias
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    gain = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    weight = (conv.weight.double() * gain[:, None, None, None]).float()
    return weight, (norm.bias.double() - norm.running_mean.double() * gain).float()


def _ints(node: onnx.NodeProto, name: str, default: list[int]) -> list[int]:
    value = node_attribute(node, name)
    return [int(one) for one in value] if isinstance(value, list) else default
