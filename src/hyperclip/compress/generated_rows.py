"""Leave only some of the generated parameters in the graph that generates them.

The rows of the last layer that nobody reads any more are taken out, with their biases, their scales of
stored whole numbers and their learnt values; what lies before them is untouched.
"""

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from hyperclip.errors import BundleError
from hyperclip.runtime.graph import node_attribute

__all__ = ["keep_generated"]

GENERATED, DENSE = "generated", "generated/dense"
_EVERY_PLACE = ("Tanh", "Sigmoid", "Erf", "Sqrt", "Exp", "Log", "Neg", "Cast", "Identity", "Clip")
_BROADCAST = ("Add", "Sub", "Mul", "Div", "Pow")

Places = npt.NDArray[np.int64]


class _NotFollowedError(Exception):
    """An operator stands in the way, of which it is not known what a place of its output needs."""


def keep_generated(
    data: bytes, kept: Places, shift: npt.NDArray[np.float32], *, n_dense: int, is_sliced: bool = True
) -> bytes:
    """Return ``specializer.onnx`` or ``hypernetwork.onnx`` with fewer generated parameters.

    Parameters
    ----------
    data : bytes
        Passed by `hyperclip.runtime.model_file.parse_model`.
    kept : ndarray of shape (n_kept,), int64, ascending
        Places of the parameters that stay.
    shift : ndarray of shape (n_kept,), float32
        What is added to each, whatever the names: how far training moved its neutral value.
    n_dense : int
        How many there were.
    is_sliced : bool
        Take the rows out. If not, or where an operator cannot be followed, all are computed and the kept ones
        picked, which is as right and saves no bytes.

    Raises
    ------
    BundleError
        If the graph has no output `generated`.
    """
    model = onnx.ModelProto.FromString(data)
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    if GENERATED not in makers:
        raise BundleError(
            f"The graph makes no tensor {GENERATED!r}; expected the output of a hypernetwork; get the model "
            "again."
        )
    node = makers.pop(GENERATED)
    node.output[:] = [DENSE if name == GENERATED else name for name in node.output]
    makers[DENSE] = node
    cut = _Cut(graph, makers, kept, n_dense)
    try:
        if not is_sliced:
            raise _NotFollowedError
        result = cut.along(DENSE, -1)
    except _NotFollowedError:
        cut = _Cut(graph, makers, kept, n_dense)
        cut.store("generated/kept", kept)
        result = cut.add("Gather", [DENSE, "generated/kept"], "generated/picked")
    cut.finish(result, shift)
    _drop_unused(graph, cut)
    for value in graph.output:
        if value.name == GENERATED and value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_param = "parameters"
    onnx.checker.check_model(model)
    written: bytes = model.SerializeToString(deterministic=True)
    return written


class _Cut:
    """New nodes and constants that compute the kept places of a tensor, made from its end backwards."""

    def __init__(
        self, graph: onnx.GraphProto, makers: dict[str, onnx.NodeProto], kept: Places, n_dense: int
    ) -> None:
        self._stored = {tensor.name: tensor for tensor in graph.initializer}
        self._makers, self._kept, self._n_dense = makers, kept, n_dense
        self._known: dict[tuple[str, int], str] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.arrays: dict[str, npt.NDArray[np.generic]] = {}

    def along(self, tensor: str, axis: int) -> str:
        """Return the name of a tensor with only the kept places; the axis counts from the end."""
        if (tensor, axis) not in self._known:
            self._known[tensor, axis] = self._make(tensor, axis)
        return self._known[tensor, axis]

    def store(self, name: str, array: npt.NDArray[np.generic]) -> str:
        """Keep a constant."""
        self.arrays[name] = array
        return name

    def add(self, op_type: str, inputs: list[str], output: str, like: onnx.NodeProto | None = None) -> str:
        """Append a node with the attributes of another."""
        node = helper.make_node(op_type, inputs, [output], name=output)
        node.attribute.extend(like.attribute if like is not None else [])
        self.nodes.append(node)
        return output

    def _make(self, tensor: str, axis: int) -> str:
        name = f"{tensor}/kept{-axis}"
        if tensor in self._stored:
            return self._constant(tensor, axis, name)
        node = self._makers.get(tensor)
        if node is None:  # an input
            raise _NotFollowedError
        if node.op_type in _EVERY_PLACE:
            return self.add(node.op_type, [self.along(node.input[0], axis), *node.input[1:]], name, node)
        if node.op_type in _BROADCAST:
            return self.add(node.op_type, [self.along(one, axis) for one in node.input], name, node)
        if node.op_type == "MatMul" and axis == -1:
            return self.add("MatMul", [node.input[0], self.along(node.input[1], -1)], name, node)
        if node.op_type == "Gemm" and axis == -1:
            rows = -2 if node_attribute(node, "transB") else -1
            rest = [self.along(one, -1) for one in node.input[2:] if one]
            return self.add("Gemm", [node.input[0], self.along(node.input[1], rows), *rest], name, node)
        if node.op_type == "Gather" and node_attribute(node, "axis") in (None, 0) and self._is_one(node):
            return self.add("Gather", [self.along(node.input[0], axis), node.input[1]], name, node)
        raise _NotFollowedError

    def _constant(self, tensor: str, axis: int, name: str) -> str:
        dims = self._stored[tensor].dims
        if len(dims) < -axis or dims[axis] == 1:  # the same for all places
            return tensor
        if dims[axis] != self._n_dense:
            raise _NotFollowedError
        array = numpy_helper.to_array(self._stored[tensor])
        return self.store(name, np.take(array, self._kept, axis=axis))

    def _is_one(self, node: onnx.NodeProto) -> bool:
        """Whether a Gather takes a single row."""
        index = self._stored.get(node.input[1])
        return index is not None and len(index.dims) == 0

    def finish(self, result: str, shift: npt.NDArray[np.float32]) -> None:
        """Add the shift and call the result `generated`."""
        last = self.nodes[-1] if self.nodes else None
        if last is not None and last.output[0] == result and last.op_type == "Add":
            for place, name in enumerate(last.input):
                own = self.arrays.get(name)
                if own is not None and own.dtype == np.float32 and own.shape == shift.shape:
                    last.input[place] = self.store("generated/base", np.add(own, shift))
                    last.output[0] = GENERATED
                    return
        self.add("Add", [result, self.store("generated/shift", shift)], GENERATED)


def _drop_unused(graph: onnx.GraphProto, cut: _Cut) -> None:
    """Put the new nodes in, and leave out what no output needs any more."""
    nodes = [*graph.node, *cut.nodes]
    makers = {name: index for index, node in enumerate(nodes) for name in node.output}
    needed: set[int] = set()
    wanted = [value.name for value in graph.output]
    while wanted:
        index = makers.get(wanted.pop())
        if index is not None and index not in needed:
            needed.add(index)
            wanted += nodes[index].input
    copies = [onnx.NodeProto.FromString(nodes[index].SerializeToString()) for index in sorted(needed)]
    read = {name for node in copies for name in node.input}
    tensors = [tensor for tensor in graph.initializer if tensor.name in read]
    tensors += [
        numpy_helper.from_array(np.array(array, order="C"), name)
        for name, array in cut.arrays.items()
        if name in read
    ]
    kept = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in tensors]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(copies)
    graph.initializer.extend(kept)
