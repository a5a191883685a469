"""Numbers that say how good predictions are: arrays in, floats out.

Legend: N pictures or queries, C classes, M candidates of a retrieval.
"""

from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperclip.errors import InputError

__all__ = [
    "confusion_matrix",
    "mean_per_class_recall",
    "per_class_recall",
    "retrieval_recall",
    "top1_accuracy",
    "topk_accuracy",
    "wilson_interval",
]

_ROWS_AT_ONCE = 1024  # bounds the memory that comparing a whole matrix would take


def top1_accuracy(logits: npt.ArrayLike, target: npt.ArrayLike) -> float:
    """Return the share of pictures whose highest logit is that of their class.

    Parameters
    ----------
    logits : array-like of shape (n_images, n_classes), float
        Or probabilities; of equal ones the first counts.
    target : array-like of shape (n_images,), int
        Class indices in [0, n_classes).

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    InputError
        When shapes, values or indices do not fit.

    Examples
    --------
    >>> top1_accuracy([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]], [0, 1, 1])
    0.6666666666666666
    """
    return topk_accuracy(logits, target, k=1)


def topk_accuracy(logits: npt.ArrayLike, target: npt.ArrayLike, k: int = 5) -> float:
    """Return the share of pictures whose class is among the ``k`` highest logits.

    Parameters
    ----------
    logits : array-like of shape (n_images, n_classes), float
        Or probabilities; equal ones rank by their position.
    target : array-like of shape (n_images,), int
        Class indices in [0, n_classes).
    k : int, at least 1
        With ``k >= n_classes`` the result is 1.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    InputError
        When shapes, values or indices do not fit.

    Examples
    --------
    >>> topk_accuracy([[3, 2, 1], [3, 2, 1]], [1, 2], k=2)
    0.5
    """
    scores_NC = _as_scores(logits, "logits")
    target_N = _as_indices(target, n_classes=scores_NC.shape[1], n=len(scores_NC), name="target")
    _check_k(k)
    n_correct = 0
    for start in range(0, len(scores_NC), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        n_correct += int((_ranks(scores_NC[rows], target_N[rows]) < k).sum())
    return n_correct / len(scores_NC)


def confusion_matrix(pred: npt.ArrayLike, target: npt.ArrayLike, n_classes: int) -> npt.NDArray[np.int64]:
    """Count how often each class was taken for each other.

    Parameters
    ----------
    pred, target : array-like of shape (n_images,), int
        Class indices in [0, n_classes).
    n_classes : int
        Number of classes.

    Returns
    -------
    ndarray of shape (n_classes, n_classes), int64
        Rows are true classes, columns predicted ones.

    Raises
    ------
    InputError
        When shapes or indices do not fit.

    Examples
    --------
    >>> confusion_matrix([0, 1, 1], [0, 0, 1], 2).tolist()
    [[1, 1], [0, 1]]
    """
    target_N = _as_indices(target, n_classes=n_classes, n=None, name="target")
    pred_N = _as_indices(pred, n_classes=n_classes, n=len(target_N), name="pred")
    counts = np.bincount(target_N * n_classes + pred_N, minlength=n_classes**2)
    return counts.reshape(n_classes, n_classes).astype(np.int64)


def per_class_recall(pred: npt.ArrayLike, target: npt.ArrayLike, n_classes: int) -> npt.NDArray[np.float64]:
    """Return for each class the share of its pictures that were recognized.

    Parameters
    ----------
    pred, target : array-like of shape (n_images,), int
        Class indices in [0, n_classes).
    n_classes : int
        Number of classes.

    Returns
    -------
    ndarray of shape (n_classes,), float64
        In [0, 1]; NaN for classes without a picture.

    Raises
    ------
    InputError
        When shapes or indices do not fit.

    Examples
    --------
    >>> per_class_recall([0, 1, 1], [0, 0, 1], 3).tolist()
    [0.5, 1.0, nan]
    """
    counts_CC = confusion_matrix(pred, target, n_classes)
    n_true_C = counts_CC.sum(axis=1)
    recall_C = np.full(n_classes, np.nan)
    np.divide(np.diagonal(counts_CC), n_true_C, out=recall_C, where=n_true_C > 0)
    return recall_C


def mean_per_class_recall(pred: npt.ArrayLike, target: npt.ArrayLike, n_classes: int) -> float:
    """Return the mean of `per_class_recall` over the classes that have pictures.

    Also known as balanced accuracy: each class counts the same, however many pictures it has.

    Parameters
    ----------
    pred, target : array-like of shape (n_images,), int
        Class indices in [0, n_classes).
    n_classes : int
        Number of classes.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    InputError
        When shapes or indices do not fit.

    Examples
    --------
    >>> mean_per_class_recall([0, 1, 1], [0, 0, 1], 3)
    0.75
    """
    return float(np.nanmean(per_class_recall(pred, target, n_classes)))


def wilson_interval(n_correct: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return Wilson's confidence interval of a share.

    Parameters
    ----------
    n_correct, n : int
        Successes and trials, ``0 <= n_correct <= n`` and ``n >= 1``.
    level : float, in (0, 1)
        Confidence.

    Returns
    -------
    (float, float)
        Lower and upper end, in [0, 1].

    Raises
    ------
    InputError
        When the counts or the level make no sense.

    References
    ----------
    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22
    (1927); without continuity correction.

    Examples
    --------
    >>> low, high = wilson_interval(5, 6)
    >>> f"{low:.3f} to {high:.3f}"
    '0.436 to 0.970'
    """
    if not 0 <= n_correct <= n or n < 1:
        raise InputError(
            f"{n_correct} of {n} is no share; expected 0 <= n_correct <= n and n >= 1; count again."
        )
    if not 0.0 < level < 1.0:
        raise InputError(f"level is {level}; expected a number between 0 and 1; try 0.95.")
    z = NormalDist().inv_cdf((1.0 + level) / 2.0)
    share = n_correct / n
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5 / (1 + z * z / n)
    # Rounding must not move the ends that are exact.
    low = 0.0 if n_correct == 0 else max(0.0, center - half)
    high = 1.0 if n_correct == n else min(1.0, center + half)
    return low, high


def retrieval_recall(similarity: npt.ArrayLike, positives: npt.ArrayLike, k: int) -> float:
    """Return the share of queries with a fitting candidate among the ``k`` most similar (recall@k).

    Parameters
    ----------
    similarity : array-like of shape (n_queries, n_candidates), float
        Equal ones rank by their position.
    positives : array-like of shape (n_queries, n_candidates), bool
        Which candidates fit which query; at least one for each.
    k : int, at least 1
        How many of the most similar candidates count.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    InputError
        When shapes or values do not fit, or a query has no fitting candidate.

    Examples
    --------
    >>> retrieval_recall([[0.9, 0.8, 0.1], [0.9, 0.1, 0.8]], [[0, 1, 0], [0, 1, 0]], k=2)
    0.5
    """
    scores_NM = _as_scores(similarity, "similarity")
    fits_NM = np.asarray(positives).astype(bool)
    _check_k(k)
    if fits_NM.shape != scores_NM.shape:
        raise InputError(
            f"positives has shape {fits_NM.shape}; expected {scores_NM.shape} as similarity has; "
            "give one row a query."
        )
    without = np.flatnonzero(~fits_NM.any(axis=1))
    if without.size:
        raise InputError(
            f"Query {without[0]} has no fitting candidate; expected at least one for each; leave it out."
        )
    n_found = 0
    for start in range(0, len(scores_NM), _ROWS_AT_ONCE):
        scores, fits = scores_NM[start : start + _ROWS_AT_ONCE], fits_NM[start : start + _ROWS_AT_ONCE]
        best = np.where(fits, scores, -np.inf).argmax(axis=1)  # of the fitting ones, the first of the best
        n_found += int((_ranks(scores, best) < k).sum())
    return n_found / len(scores_NM)


def _ranks(scores_NC: npt.NDArray[Any], index_N: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return how many scores of each row come before the one at the index, equal ones by position."""
    own_N1 = np.take_along_axis(scores_NC, index_N[:, None], axis=1)
    is_earlier = np.arange(scores_NC.shape[1]) < index_N[:, None]
    ranks: npt.NDArray[np.int64] = ((scores_NC > own_N1) | ((scores_NC == own_N1) & is_earlier)).sum(axis=1)
    return ranks


def _as_scores(values: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    """Return scores as an array of two axes without a NaN, whose rank would be arbitrary."""
    scores = np.asarray(values)
    if scores.ndim != 2 or scores.size == 0 or scores.dtype.kind not in "fiu":
        raise InputError(
            f"{name} has shape {scores.shape} and dtype {scores.dtype}; expected one row of numbers a "
            "picture; check the order of the arguments."
        )
    if np.isnan(scores).any():
        row = int(np.flatnonzero(np.isnan(scores).any(axis=1))[0])
        raise InputError(f"{name} has a NaN in row {row}; expected numbers; look for what computed it.")
    return scores


def _as_indices(values: npt.ArrayLike, *, n_classes: int, n: int | None, name: str) -> npt.NDArray[np.int64]:
    """Return class indices as an array of one axis, all in range."""
    indices = np.asarray(values)
    if indices.ndim != 1 or indices.size == 0 or indices.dtype.kind not in "iu":
        raise InputError(
            f"{name} has shape {indices.shape} and dtype {indices.dtype}; expected one integer a picture; "
            "give class indices."
        )
    if n is not None and len(indices) != n:
        raise InputError(f"{name} has {len(indices)} entries; expected {n}, one a picture; check its source.")
    if indices.min() < 0 or indices.max() >= n_classes:
        bad = int(indices[(indices < 0) | (indices >= n_classes)][0])
        raise InputError(
            f"{name} holds {bad}; expected class indices from 0 to {n_classes - 1}; check its source."
        )
    return indices.astype(np.int64)


def _check_k(k: int) -> None:
    """Refuse a number of places that is none."""
    if k < 1:
        raise InputError(f"k is {k}; expected at least 1; try 5.")
