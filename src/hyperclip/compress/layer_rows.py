"""Rows of the report for layers that lost channels."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from hyperclip.compress.contract import Layer
from hyperclip.compress.macs import multiply_adds, weight_nodes
from hyperclip.compress.weight_layers import ancestors

__all__ = ["layer_rows"]

EMBEDDING = "embedding"


def layer_rows(
    before: onnx.ModelProto,
    after: onnx.ModelProto,
    feed: Mapping[str, npt.NDArray[np.generic]],
    *,
    part: str,
) -> tuple[Layer, ...]:
    """Return each layer of an image encoder, before and after.

    Parameters
    ----------
    before, after : onnx.ModelProto
        Of the same operators, with weights as plain initializers.
    feed : mapping of str to ndarray
        One picture; the values do not matter.
    part : str
        See `Layer`.
    """
    inside = ancestors(before, EMBEDDING)
    places = [place for place in weight_nodes(before) if place in inside]
    counts = [multiply_adds(model, feed, places) for model in (before, after)]
    stored = [{tensor.name: tensor for tensor in model.graph.initializer} for model in (before, after)]
    layers = []
    for place in places:
        nodes = [model.graph.node[place] for model in (before, after)]
        tensors = [known[node.input[1]] for known, node in zip(stored, nodes, strict=True)]
        shapes = [tuple(tensor.dims) for tensor in tensors]
        n_nonzero = [int(np.count_nonzero(numpy_helper.to_array(tensor))) for tensor in tensors]
        is_depthwise = nodes[0].op_type == "Conv" and shapes[0][1] == 1 and shapes[0][0] > 1
        layers.append(
            Layer(
                name=tensors[0].name,
                part=part,
                kind="depthwise Conv" if is_depthwise else nodes[0].op_type,
                shape_before=shapes[0],
                shape_after=shapes[1],
                n_nonzero_before=n_nonzero[0],
                n_nonzero_after=n_nonzero[1],
                macs_before=counts[0][place],
                macs_after=counts[1][place],
            )
        )
    return tuple(layers)
