"""``encoder.onnx`` with its weights as plain float32, and back with those of float16 as before."""

import math
from collections.abc import Iterable

import numpy as np
import onnx
from onnx import helper, numpy_helper

from hyperclip.runtime.graph import Graph

__all__ = ["is_stored_half", "plain_model", "stored_model"]

IR_VERSION = 8
SMALLEST_HALF = 16  # numbers; less is not worth a Cast
DIMS = {"images": ["batch", 3, "height", "width"], "embedding": ["batch", "dim"]}


def plain_model(graph: Graph) -> onnx.ModelProto:
    """Return a graph that was read from a file as a model whose constants are all initializers.

    Parameters
    ----------
    graph : Graph
        From `hyperclip.runtime.graph.read_graph`, which widens float16.
    """
    values = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, DIMS[name])
        for name in (graph.input_name, graph.output_name)
    ]
    tensors = [
        numpy_helper.from_array(np.array(array, order="C"), name) for name, array in graph.constants.items()
    ]
    body = helper.make_graph(list(graph.nodes), "encoder", values[:1], values[1:], tensors)
    return helper.make_model(
        body, opset_imports=[helper.make_opsetid("", graph.opset)], ir_version=IR_VERSION,
        producer_name="hyperclip",
    )  # fmt: skip


def is_stored_half(model: onnx.ModelProto, *, keep_float: frozenset[str]) -> bool:
    """Tell whether a file holds all weights worth a Cast as float16, but for the constants that are named.

    Vectors with one number a channel (scales, shifts, biases) do not count: export keeps them wide.
    """
    kinds = {
        tensor.data_type
        for tensor in model.graph.initializer
        if tensor.name not in keep_float and _is_matrix(tensor.dims)
    }
    return onnx.TensorProto.FLOAT16 in kinds and onnx.TensorProto.FLOAT not in kinds


def stored_model(model: onnx.ModelProto, *, keep_float: frozenset[str], half: bool) -> bytes:
    """Return the bytes of a plain model as a bundle stores it.

    Parameters
    ----------
    model : onnx.ModelProto
        Of float32; not changed.
    keep_float : frozenset of str
        Constants that stay as they are: the generated ones.
    half : bool
        Store other weights as float16 with a Cast, where they are within its range and more than a number
        a channel.
    """
    written = onnx.ModelProto()
    written.CopyFrom(model)
    casts, tensors = [], []
    for tensor in sorted(model.graph.initializer, key=lambda one: one.name):
        array = numpy_helper.to_array(tensor)
        is_weight = array.dtype == np.float32 and _is_matrix(array.shape) and tensor.name not in keep_float
        if half and is_weight and np.abs(array).max() <= np.finfo(np.float16).max:
            tensors.append(numpy_helper.from_array(array.astype(np.float16), f"{tensor.name}.half"))
            casts.append(
                helper.make_node("Cast", [f"{tensor.name}.half"], [tensor.name], to=onnx.TensorProto.FLOAT)
            )
        else:
            tensors.append(tensor)
    del written.graph.initializer[:], written.graph.node[:]
    written.graph.initializer.extend(tensors)
    written.graph.node.extend([*casts, *model.graph.node])
    onnx.checker.check_model(written)
    data: bytes = written.SerializeToString(deterministic=True)
    return data


def _is_matrix(dims: Iterable[int]) -> bool:
    """Tell whether a tensor is worth a Cast and holds more than a number a channel."""
    sizes = list(dims)
    return math.prod(sizes) > max([SMALLEST_HALF, *sizes])
