"""How a graph stores constants: plainly, as float16 behind a Cast, or as int8 times a scale."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

__all__ = ["Stored", "read_constant", "stored_constants"]

FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Where the values of a tensor that operators read come from.

    Parameters
    ----------
    values : str
        Initializer: float32, float16, or int8 where there is a scale.
    scale : str
        Initializer of float32 that int8 values are multiplied by, or "".
    path : tuple of str
        All tensors on the way, the one that is read included.
    """

    values: str
    scale: str = ""
    path: tuple[str, ...]


def read_constant(tensors: dict[str, onnx.TensorProto], name: str) -> npt.NDArray[np.generic]:
    """Return the values of an initializer in the type in which it is stored."""
    return np.asarray(numpy_helper.to_array(tensors[name]))


def stored_constants(graph: onnx.GraphProto) -> dict[str, Stored]:
    """Return every tensor that is stored in one of the known ways, by the name under which it is read."""
    inputs = {value.name for value in graph.input}
    kinds = {tensor.name: tensor.data_type for tensor in graph.initializer if tensor.name not in inputs}
    found = {name: Stored(values=name, path=(name,)) for name in kinds}
    wide: dict[str, str] = {}
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in kinds:
            source, result = node.input[0], node.output[0]
            if kinds[source] == onnx.TensorProto.INT8:
                wide[result] = source
            else:
                found[result] = Stored(values=source, path=(source, result))
        elif node.op_type == "Mul":
            for codes, scale in (tuple(node.input), tuple(reversed(node.input))):
                if codes in wide and kinds.get(scale) == onnx.TensorProto.FLOAT:
                    path = (wide[codes], codes, scale, node.output[0])
                    found[node.output[0]] = Stored(values=wide[codes], scale=scale, path=path)
    return found
