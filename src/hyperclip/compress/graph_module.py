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

from hyperclip.compress.graph_functions import FUNCTIONS, unreadable
from hyperclip.compress.graph_layers import StoredScale, read_layer
from hyperclip.models.channel_groups import ChannelGroup
from hyperclip.runtime.graph import node_attribute
from hyperclip.train.sam import neuron_norms

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
        made = read_layer(node, constants)
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

    def scales(self) -> dict[str, str]:
        """Names in the graph of stored scales and shifts, to the keys of their layers."""
        return {layer.name: key for key, layer in self.layers.items() if isinstance(layer, StoredScale)}

    def scale_behind(self) -> dict[str, str]:
        """Keys of layers to those of the scales that alone multiply what they make."""
        readers = Counter(name for _, sources, _ in self._steps for name in sources)
        maker: dict[str, str] = {}
        found: dict[str, str] = {}
        for run, sources, result in self._steps:
            if not isinstance(run, _Caller):
                continue
            layer = self.layers[run.key]
            is_scale = isinstance(layer, StoredScale) and not layer.adds
            if is_scale and sources[0] in maker and readers[sources[0]] == 1:
                found[maker[sources[0]]] = run.key
            maker[result] = run.key
        return found

    def forward(self, x: Tensor) -> Tensor:
        """From the incoming tensor to the outgoing one."""
        values = {self.source: x}
        for run, sources, result in self._steps:
            values[result] = run(*(values[name] for name in sources))
        return values[self.output]

    @torch.no_grad()
    def add_norms(self, batches: Sequence[Tensor]) -> None:
        """Put a BatchNorm behind each convolution that leaves the function as it is, up to rounding.

        The rows of the convolution get length 1, which the norm undoes: gradients grow as rows get short, and
        those of a few nearly dead channels would drown all others.

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
            length = neuron_norms(conv.weight)
            length[length == 0] = 1
            norm.running_mean = ((mean - bias) / length).float()
            norm.running_var = ((square - mean**2).clamp(min=0) / length.square()).float()
            norm.weight.copy_((norm.running_var + _EPS).sqrt() * length)
            norm.bias.copy_(mean.float())
            conv.weight.div_(length.reshape(-1, 1, 1, 1))
            conv.bias = None
            self.norms[key] = norm.train(self.training)

    def row_lengths(self, weight: str) -> Tensor:
        """Length of each row of a layer's weights with the norm behind it folded in, shape (F,).

        Parameters
        ----------
        weight : str
            Name of the parameter, such as ``layers.3.weight``.
        """
        lengths = neuron_norms(self.get_parameter(weight))
        norms = dict(self.norms.items())
        norm = norms.get(weight.removeprefix("layers.").removesuffix(".weight"))
        return lengths if norm is None else lengths * _gain(norm).abs().float()

    def lengths(self, module: nn.Module, groups: Sequence[ChannelGroup]) -> dict[str, Tensor]:
        """Length of each channel's weights as they stand in the file, summed over the layers that make it.

        A criterion for `hyperclip.train.channel_pruner.ChannelPruner`, which passes this very module.
        """
        return {
            group.name: torch.stack([self.row_lengths(maker) for maker in group.makers]).sum(dim=0)
            for group in groups
        }

    def written(self, model: onnx.ModelProto, *, named: frozenset[str] = frozenset()) -> onnx.ModelProto:
        """Return a model in which the weights are those of this module.

        Parameters
        ----------
        model : onnx.ModelProto
            That the nodes came from; not changed. Its layers may have had more channels.
        named : frozenset of str
            Scales and shifts that keep their names.
        """
        copied = onnx.ModelProto()
        copied.CopyFrom(model)
        del copied.graph.value_info[:]
        by_output = {node.output[0]: node for node in copied.graph.node}
        new: dict[str, npt.NDArray[np.generic]] = {}
        for key, original in self._written.items():
            node = by_output[original.output[0]]
            _write(node, self.layers[key], dict(self.norms.items()).get(key), new, named)
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
        self._owner, self.key = [owner], key  # in a list, so that it is not a submodule

    def __call__(self, x: Tensor) -> Tensor:
        owner = self._owner[0]
        out: Tensor = owner.layers[self.key](x)
        return owner.norms[self.key](out) if self.key in owner.norms else out

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Caller":
        return _Caller(memo.get(id(self._owner[0]), self._owner[0]), self.key)


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


def _write(
    node: onnx.NodeProto, layer: nn.Module, norm: nn.Module | None,
    new: dict[str, npt.NDArray[np.generic]], named: frozenset[str],
) -> None:  # fmt: skip
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
    elif isinstance(layer, StoredScale):
        values = layer.weight.detach()
        values = -values if node.op_type == "Sub" else 1 / values if node.op_type == "Div" else values
        name = layer.name if layer.name in named else f"{node.output[0]}.values"
        store(layer.place, values.reshape(-1, *(1,) * layer.n_axes_behind), name)


def _folded(conv: nn.Conv2d, norm: nn.Module | None) -> tuple[Tensor, Tensor | None]:
    """Weights and bias of a convolution with the norm behind it."""
    if norm is None:
        return conv.weight, conv.bias
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    gain = _gain(norm)
    weight = (conv.weight.double() * gain[:, None, None, None]).float()
    return weight, (norm.bias.double() - norm.running_mean.double() * gain).float()


def _gain(norm: nn.Module) -> Tensor:
    """What a norm with its running statistics multiplies each channel by, float64."""
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_var is not None
    return norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
