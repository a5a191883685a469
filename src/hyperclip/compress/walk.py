"""Walk through an ONNX graph with calibration data, from layer to layer, while its weights change.

What later operators still need is kept for every batch, so that each operator runs once; where that would
take more memory than allowed, the walk starts again from the last place that was kept.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx

from hyperclip.runtime.session import Session

__all__ = ["Walk", "constant_tensors"]

MAX_KEPT_BYTES = 512 * 2**20

Arrays = dict[str, npt.NDArray[np.generic]]


def constant_tensors(graph: onnx.GraphProto) -> set[str]:
    """Return the names of everything that depends on constants alone."""
    constant = {tensor.name for tensor in graph.initializer} | {""}
    for node in graph.node:
        if node.op_type == "Constant" or (node.input and constant.issuperset(node.input)):
            constant.update(node.output)
    return constant


class Walk:
    """Runs a model piece by piece on the same data.

    Parameters
    ----------
    model : onnx.ModelProto
        Its initializers may change between steps; its nodes may not.
    feeds : sequence of dict of str to ndarray
        Batches: the model's inputs.
    max_kept_bytes : int
        How much may be kept between steps.
    """

    def __init__(
        self, model: onnx.ModelProto, feeds: Sequence[Arrays], *, max_kept_bytes: int = MAX_KEPT_BYTES
    ) -> None:
        self._model = model
        self._feeds = list(feeds)
        self._max_kept_bytes = max_kept_bytes
        self._constant = constant_tensors(model.graph)
        self._last_use: dict[str, int] = {}
        for index, node in enumerate(model.graph.node):
            for name in node.input:
                self._last_use[name] = index
        self._known = [(-1, value.name) for value in model.graph.input if value.name in self._feeds[0]]
        self._known += [
            (index, name) for index, node in enumerate(model.graph.node) for name in node.output if name
        ]

    def advance(self, node: int, tensors: Sequence[str]) -> Iterator[list[npt.NDArray[np.generic]]]:
        """Yield tensors that are there before a node, batch by batch, and remember the place.

        Parameters
        ----------
        node : int
            Place in the graph; not before that of an earlier call. From now on only weights of this node
            and of later ones may change.
        tensors : sequence of str
            Made by earlier nodes, or inputs of the model.
        """
        live = [
            name
            for index, name in self._known
            if index < node and name not in self._constant and self._last_use.get(name, -1) >= node
        ]
        new: list[Arrays] | None = []
        kept_bytes = 0
        for values in self._run(list(dict.fromkeys([*live, *tensors]))):
            yield [values[name] for name in tensors]
            alive = {name: values[name] for name in live}
            kept_bytes += sum(array.nbytes for array in alive.values())
            if new is not None:
                new.append(alive)
            if kept_bytes > self._max_kept_bytes:
                new = None
        if new is not None:
            self._feeds = new

    def look_ahead(self, tensors: Sequence[str]) -> Iterator[list[npt.NDArray[np.generic]]]:
        """Yield tensors under the weights of now, batch by batch, without moving on."""
        for values in self._run(tensors):
            yield [values[name] for name in tensors]

    def _run(self, wanted: Sequence[str]) -> Iterator[Arrays]:
        """Yield what is kept and some tensors, batch by batch."""
        made = [name for name in wanted if name not in self._feeds[0]]
        piece, read = self._piece(self._feeds[0], made) if made else (None, [])
        for feed in self._feeds:
            results = [] if piece is None else piece.run(made, {name: feed[name] for name in read})
            yield {**feed, **dict(zip(made, results, strict=True))}

    def _piece(
        self, given: Mapping[str, npt.NDArray[np.generic]], wanted: Sequence[str]
    ) -> tuple[Session, list[str]]:
        """Return the part of the model that makes some tensors from given ones, and which it reads."""
        graph = self._model.graph
        maker = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
        nodes: set[int] = set()
        seen: set[str] = set()
        stack = list(wanted)
        while stack:
            name = stack.pop()
            if name in seen:
                continue
            seen.add(name)
            if name not in given and name in maker:
                nodes.add(maker[name])
                stack += graph.node[maker[name]].input
        part = onnx.ModelProto(ir_version=self._model.ir_version, opset_import=self._model.opset_import)
        part.graph.name = "piece"
        part.graph.node.extend(graph.node[index] for index in sorted(nodes))
        part.graph.initializer.extend(tensor for tensor in graph.initializer if tensor.name in seen)
        for name in given:
            if name in seen:
                kind = onnx.helper.np_dtype_to_tensor_dtype(given[name].dtype)
                part.graph.input.append(onnx.helper.make_tensor_value_info(name, kind, None))
        part.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
        where = "a part of the model"
        return Session(part.SerializeToString(), where=where), [value.name for value in part.graph.input]
