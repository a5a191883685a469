"""Fixed functions of an embedding that an adapted head reads: the same in NumPy and as operators.

``raw`` is the embedding. ``unit`` is its direction. ``centered_unit`` takes each embedding's own mean away
before: an embedding of concept logits means the same after a shift of all of them.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

__all__ = ["FEATURES", "default_features", "feature_nodes", "head_features"]

FEATURES = ("raw", "unit", "centered_unit")
TINY = 1e-9  # added to a length, so that an embedding of zeros stays zeros


def default_features(head_kind: str) -> str:
    """Return what an adapted head reads unless told otherwise, by the kind of the former head.

    A linear head's embedding is made for matrices as it is; the result folds into one. The other kinds
    have concept logits for an embedding.
    """
    return "raw" if head_kind == "linear" else "centered_unit"


def head_features(embeddings: npt.ArrayLike, kind: str) -> npt.NDArray[np.float64]:
    """Return the features of embeddings of shape (n, dim), of the same shape.

    Parameters
    ----------
    embeddings : array-like of shape (n, dim)
    kind : {"raw", "unit", "centered_unit"}

    Examples
    --------
    >>> head_features([[3.0, 5.0]], "centered_unit").round(3)
    array([[-0.707,  0.707]])
    """
    values = np.asarray(embeddings, np.float64)
    if kind == "raw":
        return values
    if kind == "centered_unit":
        values = values - values.mean(axis=1, keepdims=True)
    features: npt.NDArray[np.float64] = values / (np.linalg.norm(values, axis=1, keepdims=True) + TINY)
    return features


def feature_nodes(
    kind: str, *, output: str, prefix: str
) -> tuple[list[onnx.NodeProto], dict[str, npt.NDArray[Any]]]:
    """Return the operators from ``embedding`` to a tensor `output`, and their constants; none for ``raw``."""
    if kind == "raw":
        return [], {}
    make = helper.make_node
    constants: dict[str, npt.NDArray[Any]] = {
        f"{prefix}axis": np.array([1], np.int64),
        f"{prefix}tiny": np.array([TINY], np.float32),
    }
    nodes, start = [], "embedding"
    if kind == "centered_unit":
        start = f"{prefix}centered"
        nodes = [
            make("ReduceMean", ["embedding", f"{prefix}axis"], [f"{prefix}mean"], keepdims=1),
            make("Sub", ["embedding", f"{prefix}mean"], [start]),
        ]
    nodes += [
        make("ReduceL2", [start, f"{prefix}axis"], [f"{prefix}length"], keepdims=1),
        make("Add", [f"{prefix}length", f"{prefix}tiny"], [f"{prefix}divisor"]),
        make("Div", [start, f"{prefix}divisor"], [output]),
    ]
    return nodes, constants
