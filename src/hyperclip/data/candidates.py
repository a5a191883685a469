"""For each kind of task, the nodes to take names from: an endless choice made quick.

Each function returns node indices (see `hyperclip.data.hierarchy`), the preferred ones first; some may
repeat or clash, which is for the caller to sort out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hyperclip.data.hierarchy import Hierarchy
from hyperclip.data.task_config import TaskConfig
from hyperclip.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt

    Nodes = npt.NDArray[np.int64]

__all__ = ["Candidates"]


class Candidates:
    """What the kinds of task draw from, worked out once.

    Parameters
    ----------
    hierarchy : Hierarchy
    config : TaskConfig
    is_usable : ndarray of shape (n_nodes,), bool
        Nodes that may be named at all.
    embeddings : ndarray of shape (n_leaves or n_covering, dim), optional
        Text embeddings of the first nodes; needed where `config.neighbors` is above 0.

    Raises
    ------
    InputError
        If the embeddings are missing or do not fit, or no class may be named.
    """

    def __init__(
        self,
        hierarchy: Hierarchy,
        config: TaskConfig,
        *,
        is_usable: npt.NDArray[np.bool_],
        embeddings: npt.NDArray[np.floating] | None,
    ) -> None:
        n_leaves, n_covering = hierarchy.n_leaves, hierarchy.n_covering
        self._hierarchy = hierarchy
        self._temperature = config.neighbor_temperature
        n_below = hierarchy.covers.sum(axis=1)
        fits = (n_below >= config.min_inner_leaves) & (n_below <= config.max_inner_share * n_leaves)
        is_named = is_usable[:n_covering] & fits
        is_named[:n_leaves] = is_usable[:n_leaves]
        self.leaves: Nodes = np.flatnonzero(is_usable[:n_leaves])
        self.strangers: Nodes = np.flatnonzero(is_usable[n_covering:]) + n_covering
        self._inner: Nodes = np.flatnonzero(is_named[n_leaves:]) + n_leaves
        if not self.leaves.size:
            raise InputError(
                f"All {n_leaves} classes are held out or nameless; expected one to draw; hold out fewer."
            )
        narrow = np.flatnonzero(fits[n_leaves:]) + n_leaves  # a parent need not be named itself
        groups = (np.asarray(hierarchy.children[node], dtype=np.int64) for node in narrow)
        self._families = [group for group in (g[is_named[g]] for g in groups) if group.size >= 2]
        leaf_groups = (np.flatnonzero(hierarchy.covers[node] & is_usable[:n_leaves]) for node in narrow)
        self._subtrees = [group for group in leaf_groups if group.size >= 2]
        self._pairs = []  # a node with the nodes below it that cover fewer leaves
        for node in self._inner:
            lower = np.flatnonzero(hierarchy.below[node] & is_named & (n_below < n_below[node]))
            if lower.size:
                self._pairs.append((int(node), lower))
        self._neighbor_rows, self._embeddings = _check_embeddings(
            embeddings, config=config, hierarchy=hierarchy, is_named=is_named
        )

    def draw(self, kind: str, n: int, *, rng: np.random.Generator) -> Nodes:
        """Return about `n` nodes or more for a kind of task; fewer where there are no more."""
        match kind:
            case "neighbors":
                return self._neighbors(rng)
            case "siblings":
                return _draw_groups(self._families, n, rng)
            case "subtrees":
                return _draw_groups(self._subtrees, n, rng)
            case "mixed_levels":
                return self._mixed_levels(n, rng)
            case "inner_nodes":
                return rng.permutation(self._inner)
            case "all_leaves":
                return self.leaves
            case _:
                return rng.permutation(self.leaves)

    def _neighbors(self, rng: np.random.Generator) -> Nodes:
        """Order all rows by similarity to a random one; Gumbel noise makes it a draw without replacement."""
        seed = int(rng.integers(self._neighbor_rows.size))
        score = self._embeddings @ self._embeddings[seed]
        if self._temperature > 0:
            score = score / self._temperature + rng.gumbel(size=score.size)
        score[seed] = np.inf
        return self._neighbor_rows[np.argsort(-score, kind="stable")]

    def _mixed_levels(self, n: int, rng: np.random.Generator) -> Nodes:
        """Return a fifth of the names as pairs (node, node below it), then leaves under none of them."""
        nodes: list[int] = []
        under_any = np.zeros(self._hierarchy.n_leaves, dtype=bool)
        for index in rng.permutation(len(self._pairs))[: max(1, n // 5)]:
            node, lower = self._pairs[index]
            nodes += [node, int(rng.choice(lower))]
            under_any |= self._hierarchy.covers[node]
        elsewhere = self.leaves[~under_any[self.leaves]]
        return np.concatenate([np.asarray(nodes, dtype=np.int64), rng.permutation(elsewhere)])


def _draw_groups(groups: list[Nodes], n: int, rng: np.random.Generator) -> Nodes:
    """Return the members of one random group after another, each shuffled, until there are `n`."""
    if not groups:
        return np.zeros(0, dtype=np.int64)
    weights = np.minimum([group.size for group in groups], n).astype(float)  # large enough is best
    first = int(rng.choice(len(groups), p=weights / weights.sum()))
    chosen, count = [rng.permutation(groups[first])], groups[first].size
    if count < n:
        for index in rng.permutation(len(groups)):
            if index != first:
                chosen.append(rng.permutation(groups[index]))
                count += groups[index].size
            if count >= n:
                break
    return np.concatenate(chosen)


def _check_embeddings(
    embeddings: npt.NDArray[np.floating] | None,
    *,
    config: TaskConfig,
    hierarchy: Hierarchy,
    is_named: npt.NDArray[np.bool_],
) -> tuple[Nodes, npt.NDArray[np.float32]]:
    """Return the rows that may be named, and their unit embeddings."""
    if embeddings is None:
        if config.neighbors > 0:
            raise InputError(
                f"neighbors is {config.neighbors} but there are no embeddings; expected one row a class; "
                "give them or set neighbors to 0."
            )
        embeddings = np.zeros((hierarchy.n_leaves, 1), dtype=np.float32)
    if embeddings.ndim != 2 or len(embeddings) not in (hierarchy.n_leaves, hierarchy.n_covering):
        raise InputError(
            f"The embeddings have shape {embeddings.shape}; expected ({hierarchy.n_leaves} classes or "
            f"{hierarchy.n_covering} classes and inner nodes, dim); embed the names in the hierarchy's order."
        )
    rows = np.flatnonzero(is_named[: len(embeddings)])
    chosen = np.asarray(embeddings[rows], dtype=np.float32)
    return rows, chosen / np.maximum(np.linalg.norm(chosen, axis=1, keepdims=True), 1e-12)
