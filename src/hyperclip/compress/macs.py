"""How many multiplications a graph's layers with weights need."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx

from hyperclip.compress.stored import stored_constants
from hyperclip.compress.weight_layers import ancestors
from hyperclip.runtime.session import Session

__all__ = ["multiply_adds", "total_multiply_adds", "weight_nodes"]


def weight_nodes(model: onnx.ModelProto) -> list[int]:
    """Return the places of Conv, Gemm and MatMul nodes whose second operand is stored in the model."""
    stored = stored_constants(model.graph)
    return [
        index
        for index, node in enumerate(model.graph.node)
        if node.op_type in ("Conv", "Gemm", "MatMul") and node.input[1] in stored
    ]


def multiply_adds(
    model: onnx.ModelProto, feed: Mapping[str, npt.NDArray[np.generic]], nodes: Sequence[int]
) -> dict[int, int]:
    """Return the multiply-adds of layers for the items of a batch of inputs, zeros counted like others.

    Parameters
    ----------
    model : onnx.ModelProto
        Not changed.
    feed : mapping of str to ndarray
        Inputs; the values do not matter.
    nodes : sequence of int
        Places of Conv, Gemm or MatMul nodes with stored weights.

    Returns
    -------
    dict of int to int
        Place to the count: outputs times inputs of one output.
    """
    graph = model.graph
    dims = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    shapes = {name: dims[stored.values] for name, stored in stored_constants(graph).items()}
    wanted = [graph.node[index].output[0] for index in nodes]
    if not wanted:
        return {}
    needed: set[int] = set().union(*(ancestors(model, name) for name in wanted))
    part = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    part.graph.name = "layers"
    part.graph.node.extend(graph.node[index] for index in sorted(needed))
    read = {name for index in needed for name in graph.node[index].input}
    part.graph.initializer.extend(tensor for tensor in graph.initializer if tensor.name in read)
    part.graph.input.extend(value for value in graph.input if value.name in read)
    part.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    inputs = {value.name: feed[value.name] for value in part.graph.input if value.name in feed}
    results = Session(part.SerializeToString(), where="the model").run(wanted, inputs)
    counts = {}
    for index, result in zip(nodes, results, strict=True):
        weight = shapes[graph.node[index].input[1]]
        is_conv, transposed = graph.node[index].op_type == "Conv", result.shape[-1] != weight[0]
        n_outputs = weight[0] if is_conv or not transposed else weight[1]
        counts[index] = result.size * math.prod(weight) // max(1, n_outputs)
    return counts


def total_multiply_adds(model: onnx.ModelProto, feed: Mapping[str, npt.NDArray[np.generic]]) -> int:
    """Return the multiply-adds of all layers with stored weights."""
    return sum(multiply_adds(model, feed, weight_nodes(model)).values())
