"""The image encoder as operators and arrays, so that parameters can be written into it with NumPy."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from hyperclip.bundle.manifest import GeneratedParameter
from hyperclip.bundle.strict import quote
from hyperclip.errors import BundleError

__all__ = ["Graph", "node_attribute", "read_graph", "write_generated"]

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Operators in topological order and the constants that they read.

    Nodes and arrays are shared between graphs and never changed in place.
    """

    nodes: tuple[onnx.NodeProto, ...]
    constants: Mapping[str, npt.NDArray[np.generic]]
    input_name: str
    output_name: str
    opset: int


def read_graph(model: onnx.ModelProto, *, where: str, input_name: str, output_name: str) -> Graph:
    """Take a checked one-input, one-output model apart.

    Constant nodes become constants and float16 weights that a Cast turns into float32 become float32
    once and for all. Names, doc strings and other traces of the exporter stay behind.

    Parameters
    ----------
    model : onnx.ModelProto
        Passed by `parse_model`.
    where : str
        What to call it in messages.
    input_name, output_name : str
        What its input and output must be called.

    Raises
    ------
    BundleError
        If input or output are named otherwise, or a BatchNormalization was left in it.
    """
    initializers = {tensor.name for tensor in model.graph.initializer}
    inputs = [value.name for value in model.graph.input if value.name not in initializers]
    outputs = [value.name for value in model.graph.output]
    if inputs != [input_name] or outputs != [output_name]:
        raise BundleError(
            f"{where} maps {quote(inputs)} to {quote(outputs)}; expected ['{input_name}'] to "
            f"['{output_name}']; export it with these names."
        )
    constants: dict[str, npt.NDArray[np.generic]] = {
        tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer
    }
    nodes = []
    for node in model.graph.node:
        if node.op_type == "BatchNormalization":
            raise BundleError(
                f"{where} holds a BatchNormalization; expected norms folded or written as Mul and Add; "
                "export it again."
            )
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        elif _is_weight_cast(node, constants):
            constants[node.output[0]] = constants[node.input[0]].astype(np.float32)
        else:
            nodes.append(_bare_node(node))
    used = {name for node in nodes for name in node.input}
    return Graph(
        nodes=tuple(nodes),
        constants={name: array for name, array in constants.items() if name in used},
        input_name=input_name,
        output_name=output_name,
        opset=max(opset.version for opset in model.opset_import),
    )


def _is_weight_cast(node: onnx.NodeProto, constants: Mapping[str, npt.NDArray[np.generic]]) -> bool:
    """Tell whether a node only turns a stored float16 weight into float32."""
    return (
        node.op_type == "Cast"
        and node.input[0] in constants
        and constants[node.input[0]].dtype == np.float16
        and node_attribute(node, "to") == onnx.TensorProto.FLOAT
    )


def node_attribute(node: onnx.NodeProto, name: str) -> object:
    """Return the value of an attribute, or None."""
    for attribute in node.attribute:
        if attribute.name == name:
            return onnx.helper.get_attribute_value(attribute)
    return None


def _bare_node(node: onnx.NodeProto) -> onnx.NodeProto:
    """Copy what a node computes, without the exporter's notes (they may hold paths of its machine)."""
    bare = onnx.NodeProto(
        op_type=node.op_type, name=node.name, input=node.input, output=node.output, attribute=node.attribute
    )
    for attribute in bare.attribute:
        attribute.ClearField("doc_string")
    return bare


def write_generated(
    graph: Graph, values: FloatArray, layout: tuple[GeneratedParameter, ...], *, where: str
) -> Graph:
    """Return the graph with the generated values in place of the neutral ones.

    Parameters
    ----------
    graph : Graph
        The encoder.
    values : ndarray of shape (n_generated,), float32
        Final values (not differences) in the order of the layout.
    layout : tuple of GeneratedParameter
        Which constant each stretch of values replaces.
    where : str
        What to call the encoder in messages.

    Raises
    ------
    BundleError
        If a constant is missing, of another size, or not float32.
    """
    constants = dict(graph.constants)
    for parameter in layout:
        neutral = constants.get(parameter.name)
        if neutral is None or neutral.size != parameter.size or neutral.dtype != np.float32:
            found = "none" if neutral is None else f"{neutral.size} values of {neutral.dtype}"
            raise BundleError(
                f"{where} has {found} for the generated parameter {quote(parameter.name)}; expected "
                f"{parameter.size} values of float32; get the model again."
            )
        stretch = values[parameter.offset : parameter.offset + parameter.size]
        constants[parameter.name] = stretch.reshape(neutral.shape)
    return Graph(
        nodes=graph.nodes,
        constants=constants,
        input_name=graph.input_name,
        output_name=graph.output_name,
        opset=graph.opset,
    )


def neutral_values(graph: Graph, layout: tuple[GeneratedParameter, ...]) -> FloatArray:
    """Return the values that the encoder holds without a task, shape (n_generated,), float32."""
    parts = [np.asarray(graph.constants[item.name], np.float32).reshape(-1) for item in layout]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)
