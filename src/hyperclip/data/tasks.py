"""Draw lists of names, as a user might give them, that pictures with leaf labels or soft labels can serve.

A name covers the leaves below its node, so the target of a picture is the summed mass of the leaves
below each name, and every picture serves every list.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hyperclip.data.candidates import Candidates
from hyperclip.data.hierarchy import Hierarchy
from hyperclip.data.node_names import NodeNames, PickedNames
from hyperclip.data.task_config import TASK_KINDS, TaskConfig
from hyperclip.errors import InputError
from hyperclip.runtime.names import same_name_key

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Task", "TaskConfig", "TaskSampler", "caption_task", "leaf_shares", "soft_targets"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """A list of names to tell apart.

    Parameters
    ----------
    names : tuple of str
        All different after case folding.
    wnids : tuple of (str or None)
        The node behind each name, so that its meaning can be told; None where there is none.
    membership : ndarray of shape (n_names, n_leaves), bool
        Which leaves each name covers; an empty row is a name without pictures.
    kind : str
        How the task was drawn: a field of `TaskConfig`, or ``"captions"``.
    has_context : bool
        False: score the names, but give the hypernetwork none of them.
    """

    names: tuple[str, ...]
    wnids: tuple[str | None, ...]
    membership: npt.NDArray[np.bool_]
    kind: str
    has_context: bool = True


class TaskSampler:
    """Draws tasks from a hierarchy; each is a pure function of the generator's state.

    Parameters
    ----------
    hierarchy : Hierarchy
    config : TaskConfig
        How often which kind of task is drawn, and how large.
    embeddings : ndarray of shape (n_leaves or n_covering, dim), optional
        Text embeddings of the leaves, or of leaves and inner nodes, in the hierarchy's order.
    held_out_leaves : collection of int
        Leaf indices that are never named. Names above them still cover them.
    held_out_wnids : collection of str
        Nodes of any level that are never named.
    held_out_names : collection of str
        Never shown, for whatever node. All names of held-out nodes count as such, too.

    Raises
    ------
    InputError
        If the embeddings do not fit or are needed, something unknown is held out, or no class is left.

    Examples
    --------
    >>> pets = Hierarchy.build([("n1", ["cat"]), ("n2", ["dog"])], parents={}, names={})
    >>> sampler = TaskSampler(pets, TaskConfig(neighbors=0))
    >>> sorted(sampler.sample(np.random.default_rng(0)).names)
    ['cat', 'dog']
    """

    def __init__(
        self,
        hierarchy: Hierarchy,
        config: TaskConfig,
        *,
        embeddings: npt.NDArray[np.floating] | None = None,
        held_out_leaves: Collection[int] = (),
        held_out_wnids: Collection[str] = (),
        held_out_names: Collection[str] = (),
    ) -> None:
        self._hierarchy = hierarchy
        self._config = config
        self._names = NodeNames(hierarchy, leaves=held_out_leaves, wnids=held_out_wnids, texts=held_out_names)
        self._candidates = Candidates(
            hierarchy, config, is_usable=self._names.is_usable, embeddings=embeddings
        )
        weights = np.array([getattr(config, kind) for kind in TASK_KINDS], dtype=float)
        self._kind_ends = np.cumsum(weights / weights.sum())[:-1]
        # Nodes with equal coverage look the same to pictures: one list never holds two of them.
        coverage_ids: dict[bytes, int] = {}
        self._coverage = [
            coverage_ids.setdefault(row.tobytes(), len(coverage_ids)) for row in hierarchy.covers
        ]
        self._membership = np.concatenate([hierarchy.covers, np.zeros((1, hierarchy.n_leaves), dtype=bool)])

    def sample(self, rng: np.random.Generator) -> Task:
        """Draw a task.

        Parameters
        ----------
        rng : numpy.random.Generator
            Decides everything: the same state gives the same task.

        Returns
        -------
        Task
            Of log-uniform size between `n_min` and `n_max` names, fewer where the hierarchy has no
            more, in random order. Where a kind of task runs out of nodes, random leaves fill it up.
        """
        config = self._config
        size = np.exp(rng.uniform(np.log(config.n_min), np.log(config.n_max + 1)))
        n = int(np.clip(size, config.n_min, config.n_max))
        kind = TASK_KINDS[int(np.searchsorted(self._kind_ends, rng.random(), side="right"))]
        n_distractors = 0
        if kind == "all_leaves":
            n = self._candidates.leaves.size
        elif rng.random() < config.distractor_tasks:
            n_distractors = min(int(np.ceil(n * config.distractor_share)), n - 1)
        has_context = bool(rng.random() >= config.empty_context)

        picked = PickedNames(self._names, synonyms=config.synonyms, rng=rng)
        n_classes = n - n_distractors
        picked.add(self._candidates.draw(kind, n_classes, rng=rng), n_classes, coverage=self._coverage)
        if len(picked.nodes) < n_classes:
            picked.add(rng.permutation(self._candidates.leaves), n_classes, coverage=self._coverage)
        strangers = self._candidates.strangers
        if n_distractors and strangers.size:
            n_wanted = len(picked.nodes) + n_distractors
            drawn = strangers[rng.integers(strangers.size, size=2 * n_distractors + 8)]
            picked.add(drawn, n_wanted, coverage=None)
        return self._make_task(picked, kind=kind, has_context=has_context, rng=rng)

    def _make_task(
        self, picked: PickedNames, *, kind: str, has_context: bool, rng: np.random.Generator
    ) -> Task:
        """Shuffle the picked names and look up what they cover."""
        order = rng.permutation(len(picked.nodes))
        nodes = np.array(picked.nodes, dtype=np.int64)[order]
        return Task(
            names=tuple(picked.names[index] for index in order),
            wnids=tuple(self._hierarchy.wnids[node] for node in nodes),
            membership=self._membership[np.minimum(nodes, self._hierarchy.n_covering)],
            kind=kind,
            has_context=has_context,
        )


def leaf_shares(membership: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Return how the mass of each leaf is shared among the names of a task.

    Parameters
    ----------
    membership : ndarray of shape (n_names, n_leaves), bool
        Which leaves each name covers.

    Returns
    -------
    ndarray of shape (n_names, n_leaves), float32
        A leaf goes to the most specific name above it, the one that covers the fewest leaves; equally
        specific names share it. Columns sum to 1, or to 0 where no name covers the leaf.

    Examples
    --------
    >>> animal_and_cat = np.array([[True, True, True], [True, False, False]])
    >>> leaf_shares(animal_and_cat)
    array([[0., 1., 1.],
           [1., 0., 0.]], dtype=float32)
    """
    membership = np.asarray(membership, dtype=bool)
    n_covered = membership.sum(axis=1, dtype=np.int32)
    breadth = np.where(membership, n_covered[:, None], np.iinfo(np.int32).max)
    narrowest = membership & (breadth == breadth.min(axis=0, initial=np.iinfo(np.int32).max))
    count = np.maximum(narrowest.sum(axis=0), 1)
    shares: npt.NDArray[np.float32] = (narrowest / count).astype(np.float32)
    return shares


def soft_targets(
    membership: npt.NDArray[np.bool_], leaf_probs: npt.NDArray[np.floating]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Turn leaf probabilities of pictures into targets for the names of a task.

    Parameters
    ----------
    membership : ndarray of shape (n_names, n_leaves), bool
        Which leaves each name covers.
    leaf_probs : ndarray of shape (n_images, n_leaves)
        Soft or one-hot labels, from 0 to 1, with a sum of at most 1 a picture.

    Returns
    -------
    targets : ndarray of shape (n_images, n_names), float32
        Rows sum to 1; uniform where the task covers nothing of the picture.
    mass : ndarray of shape (n_images,), float32
        Share of the picture's mass that the task covers: its weight in the loss.

    Raises
    ------
    InputError
        If the shapes do not fit.
    """
    if membership.ndim != 2 or leaf_probs.ndim != 2 or membership.shape[1] != leaf_probs.shape[1]:
        raise InputError(
            f"membership has shape {membership.shape} and leaf_probs {leaf_probs.shape}; expected (n_names, "
            "n_leaves) and (n_images, n_leaves); use the leaves of one hierarchy."
        )
    if not len(membership):
        raise InputError("The task has no names; expected at least one; draw another task.")
    summed = np.asarray(leaf_probs, dtype=np.float32) @ leaf_shares(membership).T
    mass = summed.sum(axis=1)
    targets: npt.NDArray[np.float32] = np.full_like(summed, 1 / len(membership))
    np.divide(summed, mass[:, None], out=targets, where=mass[:, None] > 0)
    return targets, mass


def caption_task(captions: Sequence[str | Sequence[str]], *, n: int, rng: np.random.Generator) -> Task:
    """Draw a set of captions as the context of a task.

    Parameters
    ----------
    captions : sequence of str, or of sequences of str
        One or several captions of each picture; of several, one is drawn.
    n : int
        How many; fewer where there are not as many different ones.
    rng : numpy.random.Generator

    Returns
    -------
    Task
        Without leaves: `membership` has shape (n, 0). No two names are equal after case folding.

    Raises
    ------
    InputError
        If there is no caption or `n` is below 1.
    """
    if not captions or n < 1:
        raise InputError(
            f"There are {len(captions)} captions to draw {n} from; expected at least one each; give captions."
        )
    chosen: dict[str, str] = {}
    for index in rng.permutation(len(captions)):
        group = captions[index]
        if not isinstance(group, str):
            if not group:
                continue
            group = group[int(rng.integers(len(group)))]
        chosen.setdefault(same_name_key(group), group)
        if len(chosen) == n:
            break
    names = tuple(chosen.values())
    return Task(
        names=names,
        wnids=(None,) * len(names),
        membership=np.zeros((len(names), 0), dtype=bool),
        kind="captions",
    )
