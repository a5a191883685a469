"""The lists of classes on which the arms are measured, drawn once with a seed.

Everything is a group of lists. Wide lists (all 200 classes, say) are groups of one. Similarity and neighbors
are by MiniLM's vectors of names and glosses, in which no measured model had a part.

Legend: K all classes (Tiny-ImageNet's, then CIFAR-10's), E text dim.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from benchmarks.conditioning.tasks import draw_tasks, swap_partners

__all__ = [
    "WAYS",
    "Group",
    "below_one_node",
    "draw_groups",
    "mean_similarity",
    "random_lists",
    "with_partners",
]

N_CLASSES = 10
WAYS = (2, 5, 20, 40, 80)
"""Sizes of random lists, beside ten and the 160 classes themselves."""
_N_PICTURES_OF_A_SIZE = 160  # lists of a size hold about so many classes together


class Group(NamedTuple):
    """Lists that are reported together."""

    lists: tuple[npt.NDArray[np.int64], ...]
    partners: tuple[npt.NDArray[np.int64], ...]  # whose names each borrows in the swap test
    similarity: tuple[float, ...]  # of a list's classes, see `mean_similarity`

    @property
    def is_wide(self) -> bool:
        """Whether this is one list, reported class by class instead of list by list."""
        return len(self.lists) == 1


def draw_groups(
    vectors_KE: npt.NDArray[np.float32],
    *,
    n_main: int,
    held_out: Sequence[int],
    covers: npt.NDArray[np.bool_],
    n_lists: int,
    seed: int = 0,
) -> dict[str, Group]:
    """Draw all lists.

    Parameters
    ----------
    vectors_KE : ndarray of shape (K, E)
        For neighbors and similarity; the classes after the first `n_main` are of another data set.
    n_main : int
        Classes of the data set that was trained on, held-out ones included.
    held_out : sequence of int
        Those of them that training never named.
    covers : ndarray of shape (n_nodes, n_main), bool
        Which classes lie below each inner node of WordNet.
    n_lists : int
        Lists of neighbors; half as many of the other kinds.

    Returns
    -------
    dict of str to Group
    """
    held = np.array(sorted(held_out), dtype=np.int64)
    seen = np.setdiff1d(np.arange(n_main), held)
    half = max(2, n_lists // 2)
    neighbors = draw_tasks(vectors_KE, among=seen, n_tasks=n_lists, seed=seed)
    drawn: dict[str, Sequence[npt.NDArray[np.int64]]] = {
        "all": [np.arange(n_main)],
        "seen": [seen],
        "held_out": [held],
        "neighbors": list(neighbors),
        "subtrees": below_one_node(covers, seen, n_lists=half, seed=seed),
        "random": random_lists(seen, N_CLASSES, n_lists=half, seed=seed),
        "held_out_neighbors": list(
            draw_tasks(vectors_KE, among=held, n_tasks=max(2, n_lists // 4), seed=seed)
        ),
    }
    for n_classes in WAYS:
        n = max(2, round(_N_PICTURES_OF_A_SIZE / n_classes * n_lists / 60))
        drawn[f"random_{n_classes}"] = random_lists(seen, n_classes, n_lists=n, seed=seed + 1)
    if len(vectors_KE) > n_main:
        drawn["cifar10"] = [np.arange(n_main, len(vectors_KE))]
    return {
        name: with_partners(lists, [mean_similarity(vectors_KE[one]) for one in lists], neighbors[0])
        for name, lists in drawn.items()
    }


def with_partners(
    lists: Sequence[npt.NDArray[np.int64]],
    similarity: Sequence[float],
    first_neighbors: npt.NDArray[np.int64],
) -> Group:
    """Make a group in which each list borrows the names of another, or a wide list those of neighbors."""
    if len(lists) == 1:
        return Group(tuple(lists), (first_neighbors,), tuple(similarity))
    partners = tuple(lists[other] for other in swap_partners(np.stack(lists)))
    return Group(tuple(lists), partners, tuple(similarity))


def random_lists(
    among: npt.NDArray[np.int64], n_classes: int, *, n_lists: int, seed: int
) -> list[npt.NDArray[np.int64]]:
    """Draw lists of classes that have nothing to do with one another."""
    rng = np.random.default_rng(seed)
    return [np.sort(rng.choice(among, size=n_classes, replace=False)) for _ in range(n_lists)]


def below_one_node(
    covers: npt.NDArray[np.bool_],
    among: npt.NDArray[np.int64],
    *,
    n_lists: int,
    n_classes: int = N_CLASSES,
    max_share: float = 0.4,
    seed: int = 0,
) -> list[npt.NDArray[np.int64]]:
    """Draw lists whose classes lie below one inner node of WordNet; nodes take turns.

    Parameters
    ----------
    covers : ndarray of shape (n_nodes, n_main), bool
    among : ndarray of int
        Classes that take part.
    n_lists, n_classes : int
    max_share : float
        Nodes above a larger share of the classes are left out, as they tie nothing together.

    Raises
    ------
    ValueError
        If no node has enough classes.
    """
    inner = np.unique(covers[:, among], axis=0)
    below = inner.sum(axis=1)
    nodes = inner[(below >= n_classes) & (below <= max_share * len(among))]
    if not len(nodes):
        raise ValueError(f"No node has {n_classes} classes below it; expected at least one; ask for fewer.")
    rng = np.random.default_rng(seed)
    order: list[int] = []
    while len(order) < n_lists:
        order.extend(rng.permutation(len(nodes)).tolist())
    return [
        np.sort(rng.choice(among[nodes[node]], size=n_classes, replace=False)) for node in order[:n_lists]
    ]


def mean_similarity(vectors_CE: npt.NDArray[np.floating]) -> float:
    """Return the mean cosine between two different classes of a list."""
    unit = vectors_CE / np.maximum(np.linalg.norm(vectors_CE, axis=1, keepdims=True), 1e-12)
    n = len(unit)
    return float(((unit @ unit.T).sum() - n) / (n * (n - 1)))
