"""Nodes of a graph that hold weights, as PyTorch layers: convolutions, linear layers, scales and shifts.

Legend: F channels.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperclip.compress.graph_functions import unreadable
from hyperclip.models.channel_groups import ChannelScale
from hyperclip.runtime.graph import node_attribute

__all__ = ["StoredScale", "read_layer"]

Arrays = Mapping[str, npt.NDArray[np.generic]]

_Made = tuple[nn.Module, tuple[str, ...]]


def read_layer(node: onnx.NodeProto, constants: Arrays) -> _Made | None:
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
    scale = StoredScale(
        values, adds=node.op_type in ("Add", "Sub"), place=0 if is_first else 1,
        n_axes_behind=n_axes_behind, name=stored[0],
    )  # fmt: skip
    return scale, (node.input[1 if is_first else 0],)


class StoredScale(ChannelScale):
    """Remembers where its values lie in the graph, under which name and in which shape.

    Attributes
    ----------
    offset : Tensor of shape (F,), or None
        What a list of names adds to the values; None without one.
    """

    def __init__(self, values: Tensor, *, adds: bool, place: int, n_axes_behind: int, name: str) -> None:
        super().__init__(values, adds=adds)
        self.place, self.n_axes_behind, self.name = place, n_axes_behind, name
        self.offset: Tensor | None = None

    @property
    def values(self) -> Tensor:
        """What is multiplied or added, shape (F,)."""
        return self.weight if self.offset is None else self.weight + self.offset

    def forward(self, x: Tensor) -> Tensor:
        """Scale or shift."""
        values = self.values.reshape(1, -1, *(1,) * (x.dim() - 2))
        return x + values if self.adds else x * values


def _ints(node: onnx.NodeProto, name: str, default: list[int]) -> list[int]:
    value = node_attribute(node, name)
    return [int(one) for one in value] if isinstance(value, list) else default
