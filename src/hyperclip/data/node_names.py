"""Which names the nodes of a hierarchy may be shown under, and which of them a task takes."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from hyperclip.data.hierarchy import Hierarchy
from hyperclip.errors import InputError
from hyperclip.runtime.names import same_name_key

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["NodeNames", "PickedNames"]


class NodeNames:
    """The names of each node less what is held out.

    Parameters
    ----------
    hierarchy : Hierarchy
    leaves : collection of int
        Indices of leaves that are held out.
    wnids : collection of str
        Nodes of any level that are held out.
    texts : collection of str
        Names that are held out whatever node they stand for, as are all names of held-out nodes.

    Raises
    ------
    InputError
        If a held-out leaf or node does not exist.
    """

    def __init__(
        self,
        hierarchy: Hierarchy,
        *,
        leaves: Collection[int],
        wnids: Collection[str],
        texts: Collection[str],
    ) -> None:
        banned = _held_out_nodes(hierarchy, leaves, wnids)
        banned_keys = {same_name_key(name) for name in texts}
        banned_keys.update(same_name_key(name) for node in banned for name in hierarchy.names[node])
        self.usable: list[list[tuple[str, str]]] = []  # for each node, (name, key of it)
        for node, group in enumerate(hierarchy.names):
            named = [(name, same_name_key(name)) for name in group] if node not in banned else []
            self.usable.append([pair for pair in named if pair[1] not in banned_keys])
        self.n_own = [len(named) for named in self.usable]  # those before the last resort
        for leaf, named in enumerate(self.usable[: hierarchy.n_leaves]):
            if named:
                last = hierarchy.told_apart(named[0][0], leaf=leaf)  # "crane (wading bird)"
                named.append((last, same_name_key(last)))
        self.is_usable: npt.NDArray[np.bool_] = np.array([len(named) > 0 for named in self.usable])


class PickedNames:
    """The nodes and names of one task while it is being drawn.

    Parameters
    ----------
    names : NodeNames
    synonyms : float
        Share of names, of nodes with several, that are not the first.
    rng : numpy.random.Generator
    """

    def __init__(self, names: NodeNames, *, synonyms: float, rng: np.random.Generator) -> None:
        self.nodes: list[int] = []
        self.names: list[str] = []
        self._of = names
        self._synonyms = synonyms
        self._rng = rng
        self._keys: set[str] = set()
        self._coverage: set[int] = set()

    def add(self, nodes: npt.NDArray[np.int64], n_wanted: int, *, coverage: list[int] | None) -> None:
        """Add nodes in order until there are `n_wanted` in all; those that clash are left out.

        A node clashes where an earlier one has the same `coverage`, or all its names are taken.
        """
        for node in nodes.tolist():
            if len(self.nodes) >= n_wanted:
                return
            if coverage is not None and coverage[node] in self._coverage:
                continue
            name = self._free_name(node)
            if name is None:
                continue
            self.nodes.append(node)
            self.names.append(name)
            if coverage is not None:
                self._coverage.add(coverage[node])

    def _free_name(self, node: int) -> str | None:
        """Draw the first name or a synonym; where it is taken, the next that is free."""
        usable = self._of.usable[node]
        n_own = self._of.n_own[node]
        start = 0
        if n_own > 1 and self._rng.random() < self._synonyms:
            start = int(self._rng.integers(1, n_own))
        for name, key in (*usable[start:n_own], *usable[:start], *usable[n_own:]):
            if key not in self._keys:
                self._keys.add(key)
                return name
        return None


def _held_out_nodes(hierarchy: Hierarchy, leaves: Collection[int], wnids: Collection[str]) -> set[int]:
    """Return the indices of the nodes that are held out."""
    position = {wnid: index for index, wnid in enumerate(hierarchy.wnids)}
    for leaf in leaves:
        if not 0 <= leaf < hierarchy.n_leaves:
            raise InputError(
                f"Held-out leaf {leaf} does not exist; expected 0 to {hierarchy.n_leaves - 1}; correct it."
            )
    for wnid in wnids:
        if wnid not in position:
            raise InputError(
                f"Held-out node {wnid!r} is not in the hierarchy; expected an id such as "
                f"{hierarchy.wnids[0]!r}; correct it."
            )
    return {int(leaf) for leaf in leaves} | {position[wnid] for wnid in wnids}
