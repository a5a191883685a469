"""Which sense of each name is meant: the one that fits the other names.

A sense's score is its fit plus a prior. The fit to another name is the best, over that name's senses,
of the cosine of the meaning vectors plus the share of common ancestors, plus the prior of that sense;
over several other names it is a soft maximum that gets sharper with their number, so that in a list
of a thousand names the few related ones count. The prior prefers common senses, senses whose first
word the name is, things to people, fruit to the plants that bear it, and what the image encoder was
shown pictures of.

The weights were fitted by logistic regression on everyday names with known senses (LVIS) and rounded;
``benchmarks/senses`` has the figures. Whole-number vectors make every cosine exact, and all sums run
over names in sorted order, so that a choice does not depend on the order of the list.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from hyperclip.runtime.glossary_format import FOOD, LEARNT, PERSON, PLANT
from hyperclip.runtime.word_index import Candidate

__all__ = ["choose_senses"]

VECTOR_WEIGHT = 1.0  # of the cosine of the meaning vectors
KIND_WEIGHT = 1.0  # of the share of common ancestors
RANK_WEIGHT = 0.15  # per unit of log(rank)
NOT_FIRST_WORD_COST = 0.2
PERSON_COST = 0.3  # "tiger" for a fierce person
COMMON_PERSON_COST = 0.15  # where that is the commonest sense: "pilot", "baby"
CROP_COST = 0.3  # a plant, where the name is also a food
LEARNT_BONUS = 0.12  # under this word the image encoder was shown pictures: a bit more than rank 2 costs
MAX_ANCESTORS = 512  # in huge lists only the ancestors with most senses below them are compared
CHUNK_CELLS = 4_000_000


def choose_senses(
    names: Sequence[Sequence[Candidate]],
    *,
    vectors: NDArray[np.float32],
    ancestors: Sequence[frozenset[int]],
    flags: NDArray[np.uint8],
) -> tuple[list[int], list[float]]:
    """Choose one sense for each name so that it fits the others.

    Parameters
    ----------
    names : sequence of sequences of Candidate
        Each name's possible senses, at least one; each list of senses once, sorted.
    vectors : ndarray of shape (n_candidates, dim), float32, whole numbers from -8 to 7
        Meaning vectors of all candidates, name after name.
    ancestors : sequence of frozenset of int
        For each candidate the rows of all that it is a kind of, and its own.
    flags : ndarray of shape (n_candidates,), uint8
        Bits as in `GlossaryTables`.

    Returns
    -------
    list of int
        For each name the position of the chosen candidate in its list.
    list of float
        For each name how well the chosen candidate fits the other names, at most about 2; 0 where
        there are none.
    """
    if not names:
        return [], []
    sizes = np.array([len(candidates) for candidates in names], np.int64)
    starts = np.cumsum(sizes) - sizes
    owner = np.repeat(np.arange(len(names)), sizes)
    prior = _prior(names, flags, owner)
    n_others = len(names) - 1
    if n_others < 1:
        return [int(np.argmax(prior))], [0.0]
    lengths = np.sqrt((vectors * vectors).sum(axis=1))
    lengths[lengths == 0] = 1
    incidence, n_ancestors = _incidence(ancestors)
    single_prior = prior.astype(np.float32)
    sharpness = max(0.0, float(np.log(n_others / 2)))
    chosen, fits = [0] * len(names), [0.0] * len(names)
    for group in _groups(sizes, max_rows=max(1, CHUNK_CELLS // len(owner))):
        rows = slice(starts[group.start], starts[group.stop - 1] + sizes[group.stop - 1])
        # Whole numbers up to here, which float32 holds exactly; it also halves the time of a huge list.
        fit = vectors[rows] @ vectors.T
        fit *= np.float32(VECTOR_WEIGHT) / lengths[rows, None]
        fit /= lengths
        shared = incidence[rows] @ incidence.T
        shared *= np.float32(KIND_WEIGHT * 2)
        shared /= n_ancestors[rows, None] + n_ancestors
        fit += shared
        fit += single_prior
        to_name = np.maximum.reduceat(fit, starts, axis=1)
        total = _soft_maximum(to_name.astype(np.float64), owner[rows], sharpness)
        for name in group:
            own = slice(starts[name] - rows.start, starts[name] - rows.start + sizes[name])
            best = int(np.argmax(total[own] + prior[starts[name] : starts[name] + sizes[name]]))
            chosen[name], fits[name] = best, float(total[own][best])
    return chosen, fits


def _prior(
    names: Sequence[Sequence[Candidate]], flags: NDArray[np.uint8], owner: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return what speaks for each candidate whatever the other names are, shape (n_candidates,)."""
    flat = [candidate for candidates in names for candidate in candidates]
    prior = -RANK_WEIGHT * np.log(np.array([candidate.rank for candidate in flat], np.float64))
    is_first_word = np.array([candidate.is_first_word for candidate in flat], bool)
    prior -= NOT_FIRST_WORD_COST * ~is_first_word
    prior -= np.array([candidate.cost for candidate in flat])
    is_commonest = np.array([candidate.rank == 1 for candidate in flat])
    prior -= np.where(is_commonest, COMMON_PERSON_COST, PERSON_COST) * ((flags & PERSON) > 0)
    is_food = np.bincount(owner, (flags & FOOD) > 0, minlength=len(names)) > 0
    prior -= CROP_COST * (((flags & PLANT) > 0) & is_food[owner])
    prior += LEARNT_BONUS * (((flags & LEARNT) > 0) & is_first_word)
    return prior


def _incidence(ancestors: Sequence[frozenset[int]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return which candidate has which ancestor, for those that several have, and how many each has."""
    counts = np.array([len(own) for own in ancestors])
    row_of = np.repeat(np.arange(len(ancestors)), counts)
    all_ancestors = np.fromiter((row for own in ancestors for row in own), np.int64, counts.sum())
    _, column_of, n_senses = np.unique(all_ancestors, return_inverse=True, return_counts=True)
    kept = np.flatnonzero(n_senses > 1)
    kept = kept[np.argsort(-n_senses[kept], kind="stable")][:MAX_ANCESTORS]
    column = np.full(len(n_senses), -1)
    column[kept] = np.arange(len(kept))
    incidence = np.zeros((len(ancestors), len(kept)), np.float32)
    is_kept = column[column_of] >= 0
    incidence[row_of[is_kept], column[column_of][is_kept]] = 1
    return incidence, counts.astype(np.float32)


def _groups(sizes: NDArray[np.int64], *, max_rows: int) -> Iterator[range]:
    """Yield ranges of names whose candidates are at most `max_rows` together, or one name."""
    first, n_rows = 0, 0
    for name, size in enumerate(sizes):
        if n_rows and n_rows + size > max_rows:
            yield range(first, name)
            first, n_rows = name, 0
        n_rows += int(size)
    yield range(first, len(sizes))


def _soft_maximum(
    to_name: NDArray[np.float64], owner: NDArray[np.int64], sharpness: float
) -> NDArray[np.float64]:
    """Return the soft maximum of each row over all names but its own; the mean at sharpness 0."""
    is_own = owner[:, None] == np.arange(to_name.shape[1])
    n_others = to_name.shape[1] - 1
    if sharpness == 0:
        mean: NDArray[np.float64] = np.where(is_own, 0, to_name).sum(axis=1) / n_others
        return mean
    scaled = np.where(is_own, -np.inf, to_name * sharpness)
    top = scaled.max(axis=1, keepdims=True)
    soft: NDArray[np.float64] = np.log(np.exp(scaled - top).sum(axis=1) / n_others) + top[:, 0]
    return soft / sharpness
