"""What the text encoder was taught for each sense, cut down to a few bits for the glossary."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hyperclip.errors import InputError
from hyperclip.export.wordnet_nouns import Synset
from hyperclip.runtime.class_vectors import CLASS_DIM_MAX, ClassVectors, pack_class_vectors

if TYPE_CHECKING:
    from hyperclip.data.text_targets import TextTargets

__all__ = ["make_class_vectors", "mean_cosine", "taught_vectors"]

SAMPLE_ROWS = 4_096  # enough to choose a step
STEPS = np.geomspace(0.1, 1.5, 40)  # of the root mean square of all numbers


def taught_vectors(synsets: Sequence[Synset], targets: "TextTargets") -> NDArray[np.float64]:
    """Return for each synset the mean of the targets of its words' meanings.

    Parameters
    ----------
    synsets : sequence of Synset
        With WordNet's own words: a target is found by "word: gloss", which names word and sense whatever
        the glossary was when the targets were made.
    targets : TextTargets
        A word's meaning and its definition have the same target.

    Returns
    -------
    ndarray of shape (n_synsets, text_dim), float64
        Unit length; zeros where there is no target.
    """
    row_of: dict[str, int] = {}
    for row in targets.rows_of("sentences"):
        row_of.setdefault(targets.texts[row], int(row))
    taught = np.zeros((len(synsets), targets.vectors.shape[1]))
    for index, synset in enumerate(synsets):
        texts = [f"{lemma}: {synset.gloss}" for lemma in synset.lemmas]
        rows = [row_of[text] for text in texts if text in row_of]
        if rows:
            taught[index] = targets.vectors[rows].astype(np.float64).mean(axis=0)
    taught /= np.maximum(np.linalg.norm(taught, axis=1, keepdims=True), 1e-12)
    return taught


def make_class_vectors(taught: NDArray[np.float64], *, class_dim: int) -> ClassVectors:
    """Cut vectors to their main directions and to whole numbers from -8 to 7 of one step.

    Parameters
    ----------
    taught : ndarray of shape (n_senses, text_dim), float64
        Unit length, or zeros.
    class_dim : int
        How many directions to keep: even, at most 192 and at most text_dim.

    Returns
    -------
    ClassVectors
        The step is the one whose vectors come nearest in direction.

    Raises
    ------
    InputError
        If class_dim cannot be used.
    """
    limit = min(CLASS_DIM_MAX, taught.shape[1])
    if class_dim % 2 or not 2 <= class_dim <= limit:
        raise InputError(f"class_dim is {class_dim}; expected an even number from 2 to {limit}; try 128.")
    _, directions = np.linalg.eigh(taught.T @ taught)
    directions = directions[:, ::-1][:, :class_dim]
    # An eigenvector's sign is arbitrary: fix it, so that every machine writes the same file.
    directions *= np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(class_dim)])
    # Where all numbers lie on one side, it is the negative one, which reaches one step further.
    directions *= np.where((taught @ directions).mean(axis=0) > 0.01, -1, 1)
    numbers = taught @ directions
    unit = max(float(np.sqrt(np.square(numbers).mean())), 1e-12)
    # Only directions count, so the best step is that of the highest cosine, not of the least squared error.
    sample = numbers[:: max(1, len(numbers) // SAMPLE_ROWS)]
    cosines = [_cosine_sum(_round(sample, step), sample) for step in unit * STEPS]
    step = float(unit * STEPS[int(np.argmax(cosines))])
    return pack_class_vectors(_round(numbers, step).astype(np.int8), directions.T.astype(np.float16))


def mean_cosine(classes: ClassVectors, taught: NDArray[np.float64]) -> float:
    """Return the mean cosine between what comes back and what was put in, over rows that are not zero."""
    cosines = [0.0]
    for sense in np.flatnonzero(taught.any(axis=1)):
        found = classes.of(int(sense))
        cosines.append(0.0 if found is None else float(found @ taught[sense]))
    return float(np.mean(cosines[1:])) if len(cosines) > 1 else 0.0


def _cosine_sum(rounded: NDArray[np.float64], numbers: NDArray[np.float64]) -> float:
    lengths = np.maximum(np.linalg.norm(rounded, axis=1), 1e-12)
    return float(((rounded * numbers).sum(axis=1) / lengths).sum())


def _round(numbers: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    rounded: NDArray[np.float64] = np.clip(np.rint(numbers / step), -8, 7)
    return rounded
