"""Lists of five names that overlap or depend on one another, and the classes that each name means.

`lists.json` is read; ``python -m benchmarks.overlap.draw_lists`` made it.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["LISTS", "OverlapList", "pictures_of", "read_lists", "write_lists"]

LISTS = Path(__file__).parent / "lists.json"


class OverlapList(NamedTuple):
    """Names, the one that depends on the others first, and for each the WordNet ids of its classes."""

    names: tuple[str, ...]
    means: tuple[tuple[str, ...], ...]


def read_lists(path: Path = LISTS) -> dict[str, list[OverlapList]]:
    """Read the lists of each family."""
    families = json.loads(path.read_text(encoding="utf-8"))["families"]
    return {
        family: [OverlapList(tuple(entry["names"]), tuple(map(tuple, entry["means"]))) for entry in entries]
        for family, entries in families.items()
    }


def write_lists(families: Mapping[str, Sequence[OverlapList]], about: Mapping[str, Any]) -> str:
    """Return the JSON text of lists, one list a line."""
    blocks = []
    for family, lists in families.items():
        lines = [
            "   " + json.dumps({"names": one.names, "means": one.means}, ensure_ascii=False) for one in lists
        ]
        blocks.append(f"  {json.dumps(family)}: [\n" + ",\n".join(lines) + "\n  ]")
    head = ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in about.items())
    return "{\n" + head + ',\n "families": {\n' + ",\n".join(blocks) + "\n }\n}\n"


def pictures_of(
    one: OverlapList,
    class_of: Mapping[str, int],
    labels: npt.NDArray[np.int64],
    *,
    n_each: int,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Draw pictures of each name of a list.

    Parameters
    ----------
    one : OverlapList
    class_of : mapping of str to int
        WordNet id to label.
    labels : ndarray of shape (n_images,), int64
    n_each : int
        At most so many pictures a name, whatever classes of it they show.
    rng : Generator

    Returns
    -------
    rows, target : ndarray of shape (n_drawn,), int64
        Which pictures, and the index of each one's name in the list.
    """
    rows, target = [], []
    for index, wnids in enumerate(one.means):
        own = np.flatnonzero(np.isin(labels, [class_of[wnid] for wnid in wnids]))
        drawn = np.sort(rng.permutation(own)[:n_each])
        rows.append(drawn)
        target.append(np.full(len(drawn), index))
    return np.concatenate(rows).astype(np.int64), np.concatenate(target).astype(np.int64)
