"""The nodes that a task can be drawn from: classes with pictures, what they are kinds of, and strangers.

Indices: *leaves* (classes with pictures, in the order given) come first, then *inner* nodes (above at
least one leaf), then *strangers* (nodes that cover no leaf and lie below none: names without pictures).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from hyperclip.errors import InputError
from hyperclip.runtime.names import same_name_key

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Hierarchy"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Hierarchy:
    """Classes, the nodes above them and names without pictures; made by `build` or `read_hierarchy`.

    Parameters
    ----------
    wnids : tuple of str
        Ids such as ``n02084071``: leaves, then inner nodes, then strangers.
    names : tuple of tuple of str
        The names of each node, the usual one first; empty where a node has none.
    n_leaves : int
        How many of the nodes are leaves.
    n_inner : int
        How many are inner nodes.
    covers : ndarray of shape (n_leaves + n_inner, n_leaves), bool
        Whether a node is a leaf or lies above it.
    below : ndarray of shape (n_leaves + n_inner, n_leaves + n_inner), bool
        Whether the second node lies strictly below the first.
    children : tuple of tuple of int
        For each leaf and inner node, the leaves and inner nodes directly below it.
    """

    wnids: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]
    n_leaves: int
    n_inner: int
    covers: npt.NDArray[np.bool_]
    below: npt.NDArray[np.bool_]
    children: tuple[tuple[int, ...], ...]

    @classmethod
    def build(
        cls,
        leaves: Sequence[tuple[str, Sequence[str]]],
        *,
        parents: Mapping[str, Sequence[str]],
        names: Mapping[str, Sequence[str]],
        strangers: Iterable[str] = (),
    ) -> Hierarchy:
        """Order the nodes and find out which leaves each covers.

        Parameters
        ----------
        leaves : sequence of (wnid, names)
            Classes with pictures, in the order of their labels; at least one name each.
        parents : mapping of wnid to wnids
            Directly above each node; an unknown node has none.
        names : mapping of wnid to names
            Of inner nodes and strangers, the usual name first.
        strangers : iterable of wnids
            Candidates for names without pictures. Those that cover a leaf, lie below one, or share a
            name with a node that does are left out, because a picture could show them after all.

        Returns
        -------
        Hierarchy
            The same for the same input.

        Raises
        ------
        InputError
            If there is no leaf, one occurs twice or has no name, or a node lies above itself.

        Examples
        --------
        >>> pets = Hierarchy.build([("n1", ["cat"]), ("n2", ["dog"])], parents={"n1": ["n0"], "n2": ["n0"]},
        ...                        names={"n0": ["pet"], "n3": ["teapot"]}, strangers=["n3"])
        >>> pets.leaf_sets["n0"], pets.wnids
        ((0, 1), ('n1', 'n2', 'n0', 'n3'))
        """
        leaf_wnids = [wnid for wnid, _ in leaves]
        _check_leaves(leaves)
        above = {wnid: _ancestors(wnid, parents) for wnid in leaf_wnids}
        inner = sorted({node for nodes in above.values() for node in nodes} - set(leaf_wnids))
        covering = [*leaf_wnids, *inner]
        above.update((wnid, _ancestors(wnid, parents)) for wnid in inner)
        position = {wnid: index for index, wnid in enumerate(covering)}
        below = np.zeros((len(covering), len(covering)), dtype=bool)
        children: list[list[int]] = [[] for _ in covering]
        for index, wnid in enumerate(covering):
            if wnid in above[wnid]:
                raise InputError(
                    f"The node {wnid} lies above itself; expected parents without circles; "
                    "correct the hierarchy."
                )
            below[[position[node] for node in above[wnid]], index] = True
            for parent in dict.fromkeys(parents.get(wnid, ())):
                children[position[parent]].append(index)
        covers = below[:, : len(leaves)].copy()
        np.fill_diagonal(covers, True)

        node_names = [tuple(given) for _, given in leaves]
        node_names += [tuple(names.get(wnid, ())) for wnid in inner]
        taken = {same_name_key(name) for group in node_names for name in group}
        leaf_set = set(leaf_wnids)
        kept = [
            wnid
            for wnid in dict.fromkeys(strangers)
            if wnid not in position
            and not taken.intersection(map(same_name_key, names.get(wnid, ())))
            and not leaf_set.intersection(_ancestors(wnid, parents))
        ]
        return cls(
            wnids=(*covering, *kept),
            names=(*node_names, *(tuple(names.get(wnid, ())) for wnid in kept)),
            n_leaves=len(leaves),
            n_inner=len(inner),
            covers=covers,
            below=below,
            children=tuple(map(tuple, children)),
        )

    @property
    def n_covering(self) -> int:
        """How many nodes cover at least one leaf: they come before the strangers."""
        return self.n_leaves + self.n_inner

    @cached_property
    def leaf_index(self) -> dict[str, int]:
        """Leaf id to leaf index, for data sets whose labels are in another order."""
        return {wnid: index for index, wnid in enumerate(self.wnids[: self.n_leaves])}

    @cached_property
    def leaf_sets(self) -> dict[str, tuple[int, ...]]:
        """Id of each leaf and inner node to the indices of the leaves that it covers."""
        return {
            wnid: tuple(np.flatnonzero(row).tolist())
            for wnid, row in zip(self.wnids, self.covers, strict=False)
        }

    @cached_property
    def leaf_names(self) -> tuple[str, ...]:
        """One name for each leaf, all different after case folding, so that all can stand in one list.

        Of leaves with the same first name, those take another one that have any; several that have
        none are told apart by what they are a kind of: ``"crane (wading bird)"``.
        """
        groups = self.names[: self.n_leaves]
        first = [same_name_key(group[0]) for group in groups]
        count = Counter(first)
        claimed = set(first)
        chosen = [group[0] for group in groups]
        for index, group in enumerate(groups):
            if count[first[index]] > 1:
                free = [name for name in group[1:] if same_name_key(name) not in claimed]
                if free:
                    chosen[index] = free[0]
                    claimed.add(same_name_key(free[0]))
                    count[first[index]] -= 1
        for index, name in enumerate(chosen):
            if same_name_key(name) == first[index] and count[first[index]] > 1:
                chosen[index] = self.told_apart(name, leaf=index)
        if len(set(map(same_name_key, chosen))) < len(chosen):
            return tuple(f"{name} ({self.wnids[index]})" for index, name in enumerate(chosen))
        return tuple(chosen)

    def told_apart(self, name: str, *, leaf: int) -> str:
        """Return a leaf's name with its kind behind it, for where others have the same name."""
        above = np.flatnonzero(self.below[:, leaf])
        named = [node for node in above[np.argsort(self.covers[above].sum(axis=1))] if self.names[node]]
        return f"{name} ({self.names[named[0]][0] if named else self.wnids[leaf]})"


def _check_leaves(leaves: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Raise `InputError` if leaves are missing, repeated or nameless."""
    if not leaves:
        raise InputError("There are no leaf classes; expected at least one; give the classes with pictures.")
    count = Counter(wnid for wnid, _ in leaves)
    repeated = sorted(wnid for wnid, times in count.items() if times > 1)
    if repeated:
        raise InputError(
            f"The leaf ids {', '.join(repeated[:5])} repeat; expected each class once; remove the copies."
        )
    nameless = [wnid for wnid, names in leaves if not names]
    if nameless:
        raise InputError(
            f"The leaf classes {', '.join(nameless[:5])} have no names; expected at least one each; add it."
        )


def _ancestors(wnid: str, parents: Mapping[str, Sequence[str]]) -> list[str]:
    """Return all nodes above one, each once, in a fixed order; the node itself only if it is in a circle."""
    found: dict[str, None] = {}
    pending = list(parents.get(wnid, ()))
    while pending:
        node = pending.pop()
        if node not in found:
            found[node] = None
            pending.extend(parents.get(node, ()))
    return list(found)
