"""Tasks to evaluate on, drawn once with a seed and then always the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hyperclip.data.hierarchy import Hierarchy
from hyperclip.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["neighbor_tasks", "subtree_tasks"]


def neighbor_tasks(
    embeddings: npt.NDArray[np.floating],
    *,
    n_tasks: int = 100,
    n_classes: int = 10,
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """Draw seed classes, each with the classes that are nearest to it by text.

    Parameters
    ----------
    embeddings : ndarray of shape (n_all_classes, dim)
        Text embeddings; their length does not matter.
    n_tasks : int
        How many tasks; no two hold the same set of classes.
    n_classes : int
        Classes in a task.
    rng : numpy.random.Generator
        Draws the seeds.

    Returns
    -------
    ndarray of shape (n_tasks, n_classes), int64
        Class indices, all different within a task: the seed, then its neighbors from the nearest on.

    Raises
    ------
    InputError
        If there are too few classes for as many different tasks.

    Examples
    --------
    >>> neighbor_tasks(np.eye(4) + np.eye(4)[[1, 0, 3, 2]] / 2, n_tasks=2, n_classes=2,
    ...                rng=np.random.default_rng(0))
    array([[2, 3],
           [0, 1]])
    """
    _check_sizes(n_tasks, n_classes, len(embeddings))
    unit = np.asarray(embeddings, dtype=np.float64)
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    tasks: dict[frozenset[int], npt.NDArray[np.int64]] = {}
    for seed in rng.permutation(len(unit)):
        similarity = unit @ unit[seed]
        similarity[seed] = np.inf  # first, even beside a copy of itself
        nearest = np.argsort(-similarity, kind="stable")[:n_classes]
        tasks.setdefault(frozenset(nearest.tolist()), nearest)
        if len(tasks) == n_tasks:
            return np.stack(list(tasks.values()))
    raise InputError(
        f"The {len(unit)} classes give {len(tasks)} different neighbor tasks; expected {n_tasks}; "
        "ask for fewer."
    )


def subtree_tasks(
    hierarchy: Hierarchy,
    *,
    n_tasks: int = 100,
    n_classes: int = 10,
    max_inner_share: float = 0.4,
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """Draw nodes of the hierarchy, each with classes from below it.

    Parameters
    ----------
    hierarchy : Hierarchy
    n_tasks : int
        How many tasks; no two hold the same set of classes.
    n_classes : int
        Classes in a task.
    max_inner_share : float
        Nodes above a larger share of all classes are left out, as they tie nothing together.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (n_tasks, n_classes), int64
        Leaf indices in ascending order, all different within a task. Nodes take turns, each once in a
        round, in random order.

    Raises
    ------
    InputError
        If there are too few nodes with as many classes for as many different tasks.
    """
    _check_sizes(n_tasks, n_classes, hierarchy.n_leaves)
    inner = hierarchy.covers[hierarchy.n_leaves :]
    n_below = inner.sum(axis=1)
    is_fit = (n_below >= n_classes) & (n_below <= max_inner_share * hierarchy.n_leaves)
    groups = [np.flatnonzero(row) for row in np.unique(inner[is_fit], axis=0)]
    tasks: dict[frozenset[int], npt.NDArray[np.int64]] = {}
    barren_rounds = 0
    while groups and barren_rounds < 20:  # chance alone decides whether a round finds a new set
        n_before = len(tasks)
        for index in rng.permutation(len(groups)):
            chosen = np.sort(rng.choice(groups[index], size=n_classes, replace=False))
            tasks.setdefault(frozenset(chosen.tolist()), chosen)
            if len(tasks) == n_tasks:
                return np.stack(list(tasks.values()))
        barren_rounds = barren_rounds + 1 if len(tasks) == n_before else 0
    raise InputError(
        f"The hierarchy gives {len(tasks)} different tasks of {n_classes} classes below one node; expected "
        f"{n_tasks}; ask for fewer or smaller ones."
    )


def _check_sizes(n_tasks: int, n_classes: int, n_all: int) -> None:
    """Raise `InputError` unless tasks of that size can be drawn."""
    if n_tasks < 1 or not 2 <= n_classes <= n_all:
        raise InputError(
            f"n_tasks is {n_tasks} and n_classes {n_classes}; expected at least 1 and from 2 to the {n_all} "
            "classes; correct them."
        )
