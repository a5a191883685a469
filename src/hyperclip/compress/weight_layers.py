"""The layers of an ONNX graph that multiply by constant weights, and their weights as matrices.

Every layer is seen as a matrix with one row an output and, along a row, the inputs that this output sees.
Convolutions come channels last, (kernel height, kernel width, input channel), the order in which a
pattern such as 2:4 runs along channels. A filter of a grouped convolution sees its own group alone.

Legend: O outputs, K inputs of one output, G groups, C channels.
"""

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx

from hyperclip.compress.stored import FLOATS, Stored, read_constant, stored_constants
from hyperclip.errors import BundleError
from hyperclip.runtime.graph import node_attribute

__all__ = ["WeightLayer", "ancestors", "find_layers"]

MAX_STEM_CHANNELS = 4  # RGB, or RGB and a mask

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class WeightLayer:
    """One Conv, Gemm or MatMul node and where its constants are stored.

    Parameters
    ----------
    name : str
        Of its weights, which people recognize; of the node where they have no name of their own.
    node : int
        Place in ``model.graph.node``.
    kind : str
        ``Conv``, ``depthwise Conv``, ``Gemm`` or ``MatMul``.
    source : str
        The tensor that the layer reads.
    weight, bias : str
        Initializers that hold the constants; bias may be "".
    scale : str
        Initializer that int8 weights are multiplied by, or "".
    shape : tuple of int
        Of the weights as stored.
    groups : int
        Of a convolution; else 1.
    transposed : bool
        Whether the matrix is stored with one column an output.
    is_half : bool
        Whether it computes in float16, not only stores so.
    obstacle : str
        Why its weights cannot be changed, or "".
    """

    name: str
    node: int
    kind: str
    source: str
    weight: str
    bias: str
    scale: str = ""
    shape: tuple[int, ...]
    groups: int = 1
    transposed: bool = False
    is_half: bool = False
    obstacle: str = ""

    @property
    def n_outputs(self) -> int:
        """Number of rows of the matrix."""
        return self.shape[1] if self.transposed else self.shape[0]

    def values(self, tensors: dict[str, onnx.TensorProto]) -> npt.NDArray[np.float64]:
        """Return the weights that the layer computes with, as (n_outputs, n_inputs)."""
        weight = read_constant(tensors, self.weight).astype(np.float64)
        if self.scale:
            weight = weight * read_constant(tensors, self.scale).astype(np.float64)
        return np.asarray(self.to_matrix(weight), np.float64)

    def to_matrix(self, weight: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """Return stored weights as (n_outputs, n_inputs)."""
        if self.kind.endswith("Conv"):
            return np.moveaxis(weight, 1, -1).reshape(self.shape[0], -1)
        return weight.T if self.transposed else weight

    def from_matrix(self, matrix: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """Return a matrix in the shape in which the weights are stored."""
        if self.kind.endswith("Conv"):
            last = (self.shape[0], *self.shape[2:], self.shape[1])
            return np.ascontiguousarray(np.moveaxis(matrix.reshape(last), -1, 1))
        return np.ascontiguousarray(matrix.T if self.transposed else matrix)

    def rows_of_inputs(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Spread values of shape (groups, n_inputs) over outputs: (n_outputs, n_inputs)."""
        return np.repeat(values, self.n_outputs // self.groups, axis=0)


def ancestors(model: onnx.ModelProto, tensor: str) -> set[int]:
    """Return the places of all nodes that a tensor depends on; raises `BundleError` if nothing makes it."""
    maker = {name: index for index, node in enumerate(model.graph.node) for name in node.output if name}
    if tensor not in maker:
        raise BundleError(
            f"The model has no tensor {tensor!r}; expected it to be made by one of its operators; get the "
            "model again."
        )
    found: set[int] = set()
    wanted = [tensor]
    while wanted:
        index = maker.get(wanted.pop())
        if index is not None and index not in found:
            found.add(index)
            wanted += model.graph.node[index].input
    return found


def find_layers(model: onnx.ModelProto, *, until: str, fixed: frozenset[str]) -> list[WeightLayer]:
    """Return the layers with constant weights before a tensor, in execution order.

    Parameters
    ----------
    model : onnx.ModelProto
        Passed by `hyperclip.runtime.model_file.parse_model`; not changed.
    until : str
        Tensor behind which everything is left alone, such as ``embedding``.
    fixed : frozenset of str
        Initializers that somebody else writes, such as generated parameters.
    """
    graph = model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    stored = stored_constants(graph)
    uses = Counter(name for node in graph.node for name in node.input)
    before = ancestors(model, until)
    layers: list[WeightLayer] = []
    for index, node in enumerate(graph.node):
        if index not in before or node.op_type not in ("Conv", "Gemm", "MatMul"):
            continue
        weight = stored.get(node.input[1])
        if weight is None or len(tensors[weight.values].dims) < 2:
            continue  # both operands are computed, as in attention
        bias_read = node.input[2] if node.op_type != "MatMul" and len(node.input) > 2 else ""
        if node.op_type == "MatMul":
            bias_read = _added(node.output[0], graph, uses, set(stored))
        bias = stored.get(bias_read) if bias_read else None
        kind, groups, transposed, obstacle = _describe(node, tensors[weight.values])
        shape = tuple(tensors[weight.values].dims)
        n_outputs = shape[1] if transposed else shape[0]
        if tensors[weight.values].data_type not in FLOATS and not _scales_outputs(
            weight, tensors, len(shape), n_outputs, transposed=transposed
        ):
            obstacle = "its weights are stored in a form that is not known"
        if weight.values in fixed:
            obstacle = "its weights are generated"
        elif any(uses[name] > 1 for name in weight.path):
            obstacle = "several operators share its weights"
        elif bias_read and (bias is None or bias.scale or bias.values in fixed):
            obstacle = "its bias is computed"
        elif bias is not None and any(uses[name] > 1 for name in bias.path):
            obstacle = "several operators share its bias"
        elif bias is not None and math.prod(tensors[bias.values].dims) != n_outputs:
            obstacle = "its outputs share a bias"
        is_half = len(weight.path) == 1 and tensors[weight.values].data_type == onnx.TensorProto.FLOAT16
        layers.append(
            WeightLayer(
                name=weight.path[-1],
                node=index,
                kind=kind,
                source=node.input[0],
                weight=weight.values,
                scale=weight.scale,
                bias="" if bias is None else bias.values,
                shape=shape,
                groups=groups,
                transposed=transposed,
                is_half=is_half,
                obstacle=obstacle,
            )
        )
    return layers


def _scales_outputs(
    weight: Stored,
    tensors: dict[str, onnx.TensorProto],
    n_axes: int,
    n_outputs: int,
    *,
    transposed: bool,
) -> bool:
    """Tell whether int8 weights have one scale an output."""
    if not weight.scale:
        return False
    wanted = [1] * n_axes
    wanted[1 if transposed else 0] = n_outputs
    return list(tensors[weight.scale].dims) == wanted


def _added(product: str, graph: onnx.GraphProto, uses: Counter[str], constants: set[str]) -> str:
    """Return the constant that the only reader of a product adds to it, or ""."""
    readers = [node for node in graph.node if product in node.input]
    if uses[product] == 1 and readers and readers[0].op_type == "Add":
        other = [name for name in readers[0].input if name != product]
        if other and other[0] in constants:
            return str(other[0])
    return ""


def _describe(node: onnx.NodeProto, weight: onnx.TensorProto) -> tuple[str, int, bool, str]:
    """Return kind, groups, whether columns are outputs, and what stands in the way of changing weights."""
    n_axes = len(weight.dims)
    kind, groups, transposed, obstacle = node.op_type, 1, False, ""
    if node.op_type == "Conv":
        value = node_attribute(node, "group")
        groups = value if isinstance(value, int) else 1
        if n_axes != 4:
            obstacle = f"its kernel has {n_axes - 2} spatial axes, not two"
        elif node_attribute(node, "auto_pad") not in (None, b"NOTSET"):
            obstacle = "its padding is automatic"
        elif groups > 1 and weight.dims[1] == 1:
            kind = "depthwise Conv"
    else:
        transposed = node.op_type == "MatMul" or not node_attribute(node, "transB")
        if n_axes != 2:
            obstacle = f"its weights have {n_axes} axes, not two"
        elif node_attribute(node, "transA"):
            obstacle = "its input is transposed"
        elif any(node_attribute(node, key) not in (None, 1.0) for key in ("alpha", "beta")):
            obstacle = "its product is scaled"
    return kind, groups, transposed, obstacle
