"""Which weights of a matrix go: the smallest of each output, of a whole layer, or of each N:M run.

Legend: R outputs (rows), K inputs of one output (columns).
"""

import re
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hyperclip.errors import InputError

__all__ = ["GRANULARITIES", "Pattern", "check_sparsity", "parse_pattern", "pattern_mask", "smallest_mask"]

GRANULARITIES = ("output", "layer", "cumulative")
MAX_RUN = 64

Mask = npt.NDArray[np.bool_]


class Pattern(NamedTuple):
    """At most `n_kept` of every `n_run` consecutive inputs of an output are not zero."""

    n_kept: int
    n_run: int

    def __str__(self) -> str:
        return f"{self.n_kept}:{self.n_run}"


def parse_pattern(text: str) -> Pattern:
    """Return the pattern that a text such as ``2:4`` stands for.

    Raises
    ------
    InputError
        If it is no such text, or nothing would be left or removed.

    Examples
    --------
    >>> parse_pattern("2:4")
    Pattern(n_kept=2, n_run=4)
    """
    match = re.fullmatch(r"([0-9]{1,3}):([0-9]{1,3})", text) if isinstance(text, str) else None
    if match is None or not 0 < int(match[1]) < int(match[2]) <= MAX_RUN:
        raise InputError(
            f"The pattern is {str(text)[:40]!r}; expected N:M, N kept of every M inputs, with 0 < N < M <= "
            f"{MAX_RUN}; write 2:4."
        )
    return Pattern(int(match[1]), int(match[2]))


def check_sparsity(sparsity: float) -> float:
    """Return the share if it is in [0, 1); raises `InputError` otherwise."""
    is_number = isinstance(sparsity, int | float) and not isinstance(sparsity, bool)
    if not is_number or not 0 <= sparsity < 1:
        raise InputError(
            f"The sparsity is {str(sparsity)[:40]}; expected a share of at least 0 and below 1; 0.5 removes "
            "every second weight."
        )
    return float(sparsity)


def smallest_mask(score_RK: npt.ArrayLike, sparsity: float, *, granularity: str = "output") -> Mask:
    """Mark the smallest scores.

    Parameters
    ----------
    score_RK : array-like of shape (n_outputs, n_inputs), float
        At least 0.
    sparsity : float, in [0, 1)
        Share to remove.
    granularity : {"output", "layer", "cumulative"}
        Compare within each row, and remove ``floor(n_inputs * sparsity)`` of each; or compare all, and
        remove ``floor(n_outputs * n_inputs * sparsity)``; or remove as many of all, from each row the
        longest run of smallest scores whose sum stays within a share of the row's total that is the same
        for every row (Wanda's variant). Rows of few large scores then lose more than others.

    Returns
    -------
    ndarray of shape (n_outputs, n_inputs), bool
        True is removed. Of equal scores the first ones go. A mask contains that of a smaller sparsity.

    References
    ----------
    M. Sun et al., "A simple and effective pruning approach for large language models", ICLR 2024. The
    released code compares with a threshold and so removes one weight too many per layer; here they are
    counted. The released code (``--use_variant``) finds the share of ``cumulative``, its alpha, by
    bisection until the sparsity is within 0.001; sorting what each weight brings its row to gives it
    exactly.

    Examples
    --------
    >>> smallest_mask([[3.0, 1.0, 2.0, 9.0]], 0.5).tolist()
    [[False, True, True, False]]
    """
    score = np.asarray(score_RK)
    ranked = _share_of_row(score) if granularity == "cumulative" else score
    rows = score if granularity == "output" else ranked.reshape(1, -1)
    # The small term takes back what 0.29 * 100 = 28.999... loses.
    n_removed = int(np.floor(rows.shape[1] * check_sparsity(sparsity) + 1e-9))
    mask = np.zeros(rows.shape, np.bool_)
    first = np.argsort(rows, axis=1, kind="stable")[:, :n_removed]
    np.put_along_axis(mask, first, True, axis=1)
    return mask.reshape(score.shape)


def _share_of_row(score_RK: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the share of its row's total that each score and all smaller ones add up to, in [0, 1]."""
    score = score_RK.astype(np.float64)
    order = np.argsort(score, axis=1, kind="stable")
    total = np.cumsum(np.take_along_axis(score, order, axis=1), axis=1)
    total /= np.maximum(total[:, -1:], np.finfo(np.float64).tiny)  # a row of zeros has none to lose
    shares = np.empty_like(score)
    np.put_along_axis(shares, order, total, axis=1)
    return shares


def pattern_mask(score_RK: npt.ArrayLike, pattern: Pattern) -> Mask:
    """Mark all but the `n_kept` largest scores of every `n_run` consecutive inputs of each output.

    Parameters
    ----------
    score_RK : array-like of shape (n_outputs, n_inputs), float
        `n_inputs` is a multiple of the pattern's run.
    pattern : Pattern

    Returns
    -------
    ndarray of shape (n_outputs, n_inputs), bool
        True is removed. Of equal scores the first ones go.

    Raises
    ------
    InputError
        If the runs do not fit.

    Examples
    --------
    >>> pattern_mask([[3.0, 1.0, 2.0, 9.0]], Pattern(2, 4)).tolist()
    [[False, True, True, False]]
    """
    score = np.asarray(score_RK)
    if score.shape[1] % pattern.n_run:
        raise InputError(
            f"There are {score.shape[1]} inputs; expected a multiple of {pattern.n_run} for the pattern "
            f"{pattern}; leave this layer dense."
        )
    share = 1 - pattern.n_kept / pattern.n_run
    return smallest_mask(score.reshape(-1, pattern.n_run), share).reshape(score.shape)
