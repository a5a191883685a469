"""Zero weights of an ONNX graph layer by layer, and set right what this shifts.

Legend: O outputs, K inputs of one output, G groups.
"""

from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from hyperclip.compress.contract import Layer, OnProgress
from hyperclip.compress.input_sums import InputNorms, OutputMoments
from hyperclip.compress.macs import multiply_adds
from hyperclip.compress.masks import parse_pattern, pattern_mask, smallest_mask
from hyperclip.compress.settings import PruneConfig
from hyperclip.compress.stored import read_constant
from hyperclip.compress.walk import Walk
from hyperclip.compress.weight_layers import WeightLayer, find_layers

__all__ = ["Arrays", "Score", "prune_graph"]

MAX_SCALE = 10.0  # beyond it an output says nothing any more, and its noise would be all that is left
SMALLEST_STD = 1e-6

Arrays = dict[str, npt.NDArray[np.generic]]
Matrix = npt.NDArray[np.float64]
Score = Callable[[Matrix, Matrix | None], Matrix]
"""From weights (O, K) and the norms of the inputs (O, K), None without data, to scores (O, K)."""


def prune_graph(
    model: onnx.ModelProto,
    feeds: Sequence[Arrays],
    *,
    blank: Arrays,
    score: Score,
    config: PruneConfig,
    part: str,
    until: str,
    fixed: frozenset[str] = frozenset(),
    on_progress: OnProgress | None = None,
) -> tuple[onnx.ModelProto, tuple[Layer, ...]]:
    """Return a model of the same graph in which weights are zero.

    Parameters
    ----------
    model : onnx.ModelProto
        Passed by `hyperclip.runtime.model_file.parse_model`; not changed.
    feeds : sequence of dict of str to ndarray
        Calibration data in batches. Without any, `score` gets no norms and nothing is repaired.
    blank : dict of str to ndarray
        Inputs of the usual size with one item, for counting multiply-adds; their values do not matter.
    score : callable
        See `Score`; the smallest scores go.
    config : PruneConfig
    part : str
        What to call the graph in the report.
    until : str
        Tensor behind which everything is left alone.
    fixed : frozenset of str
        Initializers that must not change.
    on_progress : callable, optional
        See `hyperclip.compress.contract.OnProgress`; a step is a layer.

    Returns
    -------
    model : onnx.ModelProto
        With the initializers in their old types; where a product without bias had to be repaired, with an
        `Add` behind it.
    layers : tuple of Layer
        Every layer with constant weights before `until`.
    """
    pruned = onnx.ModelProto()
    pruned.CopyFrom(model)
    work = _GraphPruning(pruned, find_layers(pruned, until=until, fixed=fixed), config, score)
    if feeds:
        dense, walk, n_done = Walk(model, feeds), Walk(pruned, feeds), 0
        for _, same in groupby(work.layers, key=lambda layer: layer.source):
            unit = list(same)
            work.prune_unit(unit, dense, walk)
            n_done += len(unit)
            if on_progress is not None:
                on_progress(n_done, len(work.layers), "layers")
    else:
        for layer in work.layers:
            work.prune(layer, None)
    macs = multiply_adds(model, blank, [layer.node for layer in work.layers])
    layers = tuple(work.report(layer, part, macs[layer.node]) for layer in work.layers)
    work.add_biases()
    return pruned, layers


class _GraphPruning:
    """The model that is being changed, and what is known of its layers."""

    def __init__(
        self, model: onnx.ModelProto, layers: list[WeightLayer], config: PruneConfig, score: Score
    ) -> None:
        self.model = model
        self.layers = layers
        self._config = config
        self._score = score
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._notes = {
            layer.node: config.reason_to_keep(layer, is_first=index == 0)
            for index, layer in enumerate(layers)
        }
        self._n_before = {layer.node: self._n_nonzero(layer) for layer in layers}
        self._new_biases: dict[int, npt.NDArray[np.generic]] = {}
        self._has_pruned = False

    def prune_unit(self, unit: Sequence[WeightLayer], dense: Walk, walk: Walk) -> None:
        """Prune and repair layers that read the same tensor, and move both walks to them."""
        usable = [layer for layer in unit if not layer.obstacle]
        if not usable:
            return
        outputs = [self.model.graph.node[layer.node].output[0] for layer in usable]
        norms = {layer.node: InputNorms(layer, self.model.graph.node[layer.node]) for layer in usable}
        source = [usable[0].source]
        seen_dense = dense.advance(usable[0].node, source)
        seen_now = walk.advance(usable[0].node, source)
        for (inputs,), (inputs_now,) in zip(seen_dense, seen_now, strict=True):
            for layer in usable:
                if not self._notes[layer.node]:
                    norms[layer.node].add(inputs_now if self._config.is_sequential else inputs)
        for layer in usable:
            self.prune(layer, norms[layer.node])
        if self._config.repair != "none" and self._has_pruned:
            before, after = ([OutputMoments(layer) for layer in usable] for _ in range(2))
            for place, moments in ((dense, before), (walk, after)):
                for arrays in place.look_ahead(outputs):
                    for item, array in zip(moments, arrays, strict=True):
                        item.add(array)
            for layer, old, new in zip(usable, before, after, strict=True):
                self._repair(layer, old, new)

    def prune(self, layer: WeightLayer, norms: InputNorms | None) -> None:
        """Zero weights of one layer, if it is one to prune."""
        if self._notes[layer.node]:
            return
        mask = self._mask(layer, norms)
        stored = layer.to_matrix(read_constant(self._tensors, layer.weight))
        self._write(layer.weight, layer.from_matrix(np.where(mask, stored.dtype.type(0), stored)))
        self._has_pruned = True

    def _repair(self, layer: WeightLayer, dense: OutputMoments, now: OutputMoments) -> None:
        """Bring mean and, where wanted, standard deviation of the outputs back to what they were."""
        scale = np.ones(layer.n_outputs)
        if self._config.repair == "moments":
            usual = now.std > SMALLEST_STD
            scale[usual] = np.clip(dense.std[usual] / now.std[usual], 1 / MAX_SCALE, MAX_SCALE)
            self._scale_outputs(layer, scale)
        bias = np.zeros(layer.n_outputs)
        if layer.bias and self.model.graph.node[layer.node].op_type != "MatMul":  # part of the outputs
            bias = read_constant(self._tensors, layer.bias).astype(np.float64).reshape(-1)
        self._shift_bias(layer, (dense.mean - bias) - scale * (now.mean - bias))

    def _scale_outputs(self, layer: WeightLayer, factors: Matrix) -> None:
        """Multiply all weights of each output; of int8 weights only the scale changes."""
        if layer.scale:
            scale = read_constant(self._tensors, layer.scale)
            self._write(layer.scale, (scale.astype(np.float64).reshape(-1) * factors).astype(scale.dtype))
            return
        weight = read_constant(self._tensors, layer.weight)
        matrix = layer.to_matrix(weight).astype(np.float64) * factors[:, None]
        self._write(layer.weight, layer.from_matrix(matrix.astype(weight.dtype)))

    def _mask(self, layer: WeightLayer, sums: InputNorms | None) -> npt.NDArray[np.bool_]:
        """Return which weights go, as (n_outputs, n_inputs)."""
        norms = None if sums is None else layer.rows_of_inputs(sums.norms)
        score = self._score(layer.values(self._tensors), norms)
        if self._config.pattern is not None:
            return pattern_mask(score, parse_pattern(self._config.pattern))
        return smallest_mask(score, self._config.share, granularity=self._config.granularity)

    def _shift_bias(self, layer: WeightLayer, shift: Matrix) -> None:
        """Add to the bias of a layer; one without bias gets an `Add` at the end."""
        node = self.model.graph.node[layer.node]
        dtype = np.float16 if layer.is_half else np.float32
        if not layer.bias and node.op_type == "MatMul":
            self._new_biases[layer.node] = shift.astype(dtype)
        elif not layer.bias:
            name = self._unused(f"{layer.name}.repair")
            tensor = numpy_helper.from_array(shift.astype(dtype), name)
            self.model.graph.initializer.append(tensor)
            self._tensors[name] = self.model.graph.initializer[-1]
            node.input.append(name)
        else:
            bias = read_constant(self._tensors, layer.bias)
            self._write(layer.bias, (bias.astype(np.float64).reshape(-1) + shift).astype(bias.dtype))

    def _write(self, name: str, array: npt.NDArray[np.generic]) -> None:
        """Replace the values of an initializer in place."""
        tensor = self._tensors[name]
        dims = list(tensor.dims)
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array.reshape(dims)), name))

    def _unused(self, name: str) -> str:
        """Return a name that no tensor has."""
        taken = {*self._tensors, *(output for node in self.model.graph.node for output in node.output)}
        while name in taken:
            name += "_"
        return name

    def add_biases(self) -> None:
        """Put an `Add` behind the products that have no bias of their own."""
        nodes: list[onnx.NodeProto] = []
        for index, node in enumerate(self.model.graph.node):
            nodes.append(node)
            if index in self._new_biases:
                name, product = (self._unused(f"{node.output[0]}.{what}") for what in ("repair", "product"))
                self.model.graph.initializer.append(numpy_helper.from_array(self._new_biases[index], name))
                result = node.output[0]
                node.output[0] = product
                nodes.append(helper.make_node("Add", [product, name], [result], name=f"{node.name}.repair"))
        if self._new_biases:
            copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
            del self.model.graph.node[:]
            self.model.graph.node.extend(copies)

    def _n_nonzero(self, layer: WeightLayer) -> int:
        return int(np.count_nonzero(read_constant(self._tensors, layer.weight)))

    def report(self, layer: WeightLayer, part: str, macs: int) -> Layer:
        """Say what became of a layer."""
        return Layer(
            name=layer.name,
            part=part,
            kind=layer.kind,
            shape_before=layer.shape,
            shape_after=layer.shape,
            n_nonzero_before=self._n_before[layer.node],
            n_nonzero_after=self._n_nonzero(layer),
            macs_before=macs,
            macs_after=macs,
            note=self._notes[layer.node],
        )
