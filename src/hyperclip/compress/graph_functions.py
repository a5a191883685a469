"""Operators without weights, as functions of PyTorch tensors: what image encoders and heads are made of."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import Tensor
from torch.nn import functional

from hyperclip.errors import InputError
from hyperclip.runtime.graph import node_attribute

__all__ = ["FUNCTIONS", "Made", "unreadable"]

Arrays = Mapping[str, npt.NDArray[np.generic]]
Made = tuple[Callable[..., Tensor], tuple[str, ...]]
"""A function, and the names of the tensors that it takes."""


def unreadable(node: onnx.NodeProto, what: str) -> InputError:
    """The error for a node whose channels cannot be followed."""
    return InputError(
        f"The operator {node.op_type} ({node.name or 'unnamed'}) cannot be followed: {what}; expected those "
        "of a convolutional encoder; use a method that keeps channels, such as wanda."
    )


def _number(node: onnx.NodeProto, name: str, default: float) -> float:
    value = node_attribute(node, name)
    return float(value) if isinstance(value, int | float) else default


def _plain(function: Callable[[Tensor], Tensor]) -> Callable[[onnx.NodeProto, Arrays], Made]:
    """A function of one tensor that has no settings."""
    return lambda node, constants: (function, (node.input[0],))


def _clip(node: onnx.NodeProto, constants: Arrays) -> Made:
    low, high = (
        float(constants[name].reshape(-1)[0]) if name and name in constants else None
        for name in (*node.input[1:3], "", "")[:2]
    )
    return (lambda x: torch.clamp(x, low, high)), (node.input[0],)


def _hard_sigmoid(node: onnx.NodeProto, constants: Arrays) -> Made:
    alpha, beta = _number(node, "alpha", 0.2), _number(node, "beta", 0.5)
    return (lambda x: torch.clamp(alpha * x + beta, 0, 1)), (node.input[0],)


def _binary(
    function: Callable[[Tensor | float, Tensor | float], Tensor | float],
) -> Callable[[onnx.NodeProto, Arrays], Made]:
    """A function of two tensors, or of one and a stored number."""

    def make(node: onnx.NodeProto, constants: Arrays) -> Made:
        numbers = [
            float(constants[name].reshape(-1)[0]) if name in constants else None for name in node.input
        ]
        sources = tuple(name for name in node.input if name not in constants)

        def run(*given: Tensor) -> Tensor:
            rest = iter(given)
            first, second = (next(rest) if number is None else number for number in numbers)
            result = function(first, second)
            assert isinstance(result, Tensor)
            return result

        return run, sources

    return make


def _mean(node: onnx.NodeProto, constants: Arrays) -> Made:
    axes = node_attribute(node, "axes")
    if axes is None and len(node.input) > 1 and node.input[1] in constants:
        axes = constants[node.input[1]].reshape(-1).tolist()
    keeps = node_attribute(node, "keepdims") != 0
    if axes == [1] and keeps:  # what the head of an adapted classifier does to an embedding

        def average(x: Tensor) -> Tensor:
            if x.dim() != 2:
                raise unreadable(node, "it averages over channels, not over height and width")
            return x.mean(dim=1, keepdim=True)

        return average, (node.input[0],)
    if not isinstance(axes, list) or sorted(int(axis) % 4 for axis in axes) != [2, 3]:
        raise unreadable(node, "it averages over other axes than height and width")
    return (lambda x: x.mean(dim=(2, 3), keepdim=keeps)), (node.input[0],)


def _both(first: Tensor | float, second: Tensor | float) -> tuple[Tensor, Tensor]:
    """Two operands as tensors."""
    like = first if isinstance(first, Tensor) else second
    assert isinstance(like, Tensor)
    return torch.as_tensor(first, dtype=like.dtype), torch.as_tensor(second, dtype=like.dtype)


def _length(node: onnx.NodeProto, constants: Arrays) -> Made:
    axes = constants.get(node.input[1]) if len(node.input) > 1 else None
    if axes is None or axes.size != 1 or node_attribute(node, "keepdims") == 0:
        raise unreadable(node, "it measures along several axes")
    dim = int(axes.reshape(-1)[0])
    return (lambda x: x.norm(dim=dim, keepdim=True)), (node.input[0],)


def _flatten(node: onnx.NodeProto, constants: Arrays) -> Made:
    if node.op_type == "Flatten":
        is_flat = node_attribute(node, "axis") in (None, 1)
    else:
        shape = constants.get(node.input[1])
        is_flat = shape is not None and shape.size == 2
    if not is_flat:
        raise unreadable(node, "it does not give one row a picture")
    return (lambda x: x.flatten(1)), (node.input[0],)


def _softmax(node: onnx.NodeProto, constants: Arrays) -> Made:
    axis = node_attribute(node, "axis")
    dim = axis if isinstance(axis, int) else -1
    return (lambda x: torch.softmax(x, dim=dim)), (node.input[0],)


def _concat(node: onnx.NodeProto, constants: Arrays) -> Made:
    if node_attribute(node, "axis") != 1 or any(name in constants for name in node.input):
        raise unreadable(node, "it joins something else than channels")
    return (lambda *given: torch.cat(given, dim=1)), tuple(node.input)


FUNCTIONS: dict[str, Callable[[onnx.NodeProto, Arrays], Made]] = {
    "Add": _binary(lambda a, b: a + b),
    "Mul": _binary(lambda a, b: a * b),
    "Sub": _binary(lambda a, b: a - b),
    "Div": _binary(lambda a, b: a / b),
    "Max": _binary(lambda a, b: torch.maximum(*_both(a, b))),
    "Clip": _clip,
    "Relu": _plain(torch.relu),
    "Sigmoid": _plain(torch.sigmoid),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _plain(functional.hardswish),
    "Tanh": _plain(torch.tanh),
    "Erf": _plain(torch.erf),
    "Log": _plain(torch.log),
    "Identity": _plain(lambda x: x),
    "Softmax": _softmax,
    "ReduceMean": _mean,
    "ReduceL2": _length,
    "GlobalAveragePool": _plain(lambda x: x.mean(dim=(2, 3), keepdim=True)),
    "Flatten": _flatten,
    "Reshape": _flatten,
    "Concat": _concat,
}
