"""The space that the text encoder is taught: a sentence encoder's, joined with its image in CLIP's.

Legend: n rows, S dim of the sentence encoder, D dim of CLIP.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperclip.errors import InputError

__all__ = ["KernelRidge", "map_to_clip", "parent_sums", "unit"]

_Floats = npt.NDArray[np.float32]
_PARENT_DECAY = 0.4
_N_PARENTS = 6


class KernelRidge:
    """Kernel ridge regression with the kernel exp(2 (cos - 1)), inputs and targets centered.

    Parameters
    ----------
    inputs : ndarray of shape (n, S), float32, unit length
    targets : ndarray of shape (n, D), float32
    ridge : float
        Added to the diagonal of the kernel.
    """

    def __init__(self, inputs: _Floats, targets: _Floats, ridge: float = 0.1) -> None:
        self._inputs = inputs
        kernel = np.exp(2 * (inputs @ inputs.T - 1))
        self._mean, self._total = kernel.mean(axis=0), kernel.mean()
        centered = kernel - self._mean - kernel.mean(axis=1)[:, None] + self._total
        self._weights = np.linalg.solve(
            centered + ridge * np.eye(len(kernel), dtype=np.float32), targets - targets.mean(axis=0)
        )

    def __call__(self, rows: _Floats, *, chunk: int = 4096) -> _Floats:
        """Map rows (n, S) of unit length to rows (n, D) of unit length, `chunk` at a time."""
        parts = []
        for start in range(0, max(len(rows), 1), chunk):
            kernel = np.exp(2 * (rows[start : start + chunk] @ self._inputs.T - 1))
            centered = kernel - self._mean - kernel.mean(axis=1)[:, None] + self._total
            parts.append(unit(centered @ self._weights))
        return np.concatenate(parts).astype(np.float32)


def unit(rows: npt.ArrayLike) -> npt.NDArray[Any]:
    """Rows divided by their length."""
    rows = np.asarray(rows)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-9))


def map_to_clip(
    knowledge: Path,
    *,
    gloss: _Floats,
    place: Mapping[str, int],
    encode: Callable[[str, list[str]], _Floats],
) -> KernelRidge:
    """Learn the map from the sentence encoder's space to CLIP's, from names with known CLIP vectors.

    Parameters
    ----------
    knowledge : Path
        Folder with ``teacher-clip-b32-names.parquet``.
    gloss : ndarray of shape (n, S), float32
        The sentence encoder's vectors of the definitions.
    place : mapping of str to int
        WordNet id to row of `gloss`.
    encode : callable
        The sentence encoder: a name for the list of texts, and the texts, to vectors.
    """
    import pyarrow.parquet as pq

    path = knowledge / "teacher-clip-b32-names.parquet"
    table = pq.read_table(path)
    if b"scale" not in (table.schema.metadata or {}):
        raise InputError(f"{path} says no scale of its vectors; expected it in the metadata; get it again.")
    scale = np.array(json.loads(table.schema.metadata[b"scale"]), dtype=np.float32)
    found = {row["name"]: row for row in table.to_pylist()}
    names = sorted(found)
    own = encode("clip-names", names)
    clip = unit(np.stack([_as_int8(found[name]["vec"]).astype(np.float32) * scale for name in names]))
    meaning = np.stack(
        [
            gloss[place[found[name]["wnid"]]] if found[name]["wnid"] in place else own[i]
            for i, name in enumerate(names)
        ]
    )
    return KernelRidge(np.concatenate([own, meaning]), np.concatenate([clip, clip]).astype(np.float32))


def _as_int8(value: Any) -> npt.NDArray[np.int8]:
    return np.frombuffer(value, dtype=np.int8) if isinstance(value, bytes) else np.asarray(value, np.int8)


def parent_sums(
    parents: Mapping[str, Sequence[str]], wnids: Sequence[str], vectors: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    """For each node, the mean vectors of what it is a kind of, level by level, fading with the distance.

    Parameters
    ----------
    parents : mapping of str to sequence of str
        WordNet id to those right above it.
    wnids : sequence of str, length n
    vectors : ndarray of shape (n, dim)
        One row a node.

    Returns
    -------
    ndarray of shape (n, dim)
    """
    place = {wnid: i for i, wnid in enumerate(wnids)}
    out = np.zeros_like(vectors)
    for i, wnid in enumerate(wnids):
        level = [wnid]
        for depth in range(1, _N_PARENTS + 1):
            level = [parent for one in level for parent in parents.get(one, ()) if parent in place]
            if not level:
                break
            out[i] += _PARENT_DECAY**depth * vectors[[place[one] for one in level]].mean(axis=0)
    return out
