"""Ten-way tasks of semantic neighbors from Tiny-ImageNet, and whose context each borrows in the swap test.

Neighbors are by MiniLM's vectors of names and glosses: no model that is measured had a part in it, so
all models get the same tasks.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Classes", "draw_tasks", "group_tasks", "read_classes", "swap_partners"]

N_CLASSES = 10


class Classes(NamedTuple):
    """The classes of a data set, in the order of its labels."""

    names: tuple[str, ...]
    wnids: tuple[str, ...]
    glosses: tuple[str | None, ...]

    def vectors(self, encode: Callable[[Sequence[str]], npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        """Return the mean of the vectors of "name" and "name: gloss", shape (n_classes, dim)."""
        texts = [
            f"{name}: {gloss}" if gloss else name
            for name, gloss in zip(self.names, self.glosses, strict=True)
        ]
        return encode(list(self.names)) + encode(texts)


def read_classes(path: Path) -> Classes:
    """Read a ``classes.json`` with name, wnid and gloss."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    return Classes(
        tuple(row["name"] for row in rows),
        tuple(row["wnid"] for row in rows),
        tuple(row["gloss"] for row in rows),
    )


def draw_tasks(
    vectors: npt.NDArray[np.float32],
    *,
    among: npt.NDArray[np.int64] | None = None,
    n_tasks: int = 100,
    n_classes: int = N_CLASSES,
    seed: int = 0,
) -> npt.NDArray[np.int64]:
    """Draw tasks of nearest neighbors, shape (n_tasks, n_classes), class indices.

    Parameters
    ----------
    vectors : ndarray of shape (n_all, dim)
        Of all classes.
    among : ndarray of int, optional
        Only these classes take part.
    """
    from hyperclip.data.fixed_tasks import neighbor_tasks

    among = np.arange(len(vectors)) if among is None else among
    drawn = neighbor_tasks(
        vectors[among], n_tasks=n_tasks, n_classes=n_classes, rng=np.random.default_rng(seed)
    )
    return np.asarray(among[drawn], np.int64)


def swap_partners(tasks: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return for each task the next one, in a circle, that shares no class with it (or the fewest).

    Parameters
    ----------
    tasks : ndarray of shape (n_tasks, n_classes), int64
        At least two.

    Returns
    -------
    ndarray of shape (n_tasks,), int64
        Indices of tasks, never a task's own.
    """
    sets = [set(task.tolist()) for task in tasks]
    n = len(sets)
    partners = []
    for index, own in enumerate(sets):
        others = [(index + step) % n for step in range(1, n)]
        shared = [len(own & sets[other]) for other in others]
        partners.append(others[int(np.argmin(shared))])  # the first of the fewest
    return np.array(partners, dtype=np.int64)


def group_tasks(
    vectors: npt.NDArray[np.float32], held_out: Sequence[int], *, n_tasks: int, seed: int = 0
) -> dict[str, npt.NDArray[np.int64]]:
    """Draw tasks among the classes that were trained on, and a third as many among the held-out ones."""
    is_held = np.isin(np.arange(len(vectors)), held_out)
    seen, held = np.flatnonzero(~is_held), np.flatnonzero(is_held)
    tasks = {"seen": draw_tasks(vectors, among=seen, n_tasks=n_tasks, seed=seed)}
    if len(held) >= 2 * N_CLASSES:
        tasks["held_out"] = draw_tasks(vectors, among=held, n_tasks=max(2, n_tasks // 4), seed=seed)
    return tasks
