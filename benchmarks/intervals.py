"""Confidence intervals of means and of paired differences, by the bootstrap with a fixed seed."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Mean", "bootstrap_mean", "paired_difference"]

N_RESAMPLES = 5000
_CHUNK = 2_000_000  # drawn numbers at a time: bounds the memory


class Mean(NamedTuple):
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float


def bootstrap_mean(values: npt.ArrayLike, *, seed: int = 0, n_resamples: int = N_RESAMPLES) -> Mean:
    """Return the mean of values and its percentile bootstrap interval.

    Parameters
    ----------
    values : array-like of shape (n,), float
        One a picture, a task or whatever was drawn independently.
    seed : int
    n_resamples : int

    Returns
    -------
    Mean
        The interval holds 95 % of the means of resamples.

    References
    ----------
    B. Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7 (1979).
    """
    sample = np.asarray(values, dtype=np.float64)
    rng = np.random.default_rng(seed)
    distinct, counts = np.unique(sample, return_counts=True)
    means: list[npt.NDArray[np.float64]] = []
    if len(distinct) <= 16:  # right or wrong: how often each value is drawn is all that matters
        drawn = rng.multinomial(len(sample), counts / len(sample), size=n_resamples)
        means.append(drawn @ distinct / len(sample))
    else:
        at_once = max(1, _CHUNK // len(sample))
        for start in range(0, n_resamples, at_once):
            n_rows = min(at_once, n_resamples - start)
            means.append(sample[rng.integers(len(sample), size=(n_rows, len(sample)))].mean(axis=1))
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return Mean(float(sample.mean()), float(low), float(high))


def paired_difference(first: npt.ArrayLike, second: npt.ArrayLike, *, seed: int = 0) -> Mean:
    """Return the mean of ``first - second`` with its interval; pair by pair, so what both share cancels.

    Parameters
    ----------
    first, second : array-like of shape (n,), float or bool
        Of the same pictures or tasks, in the same order.
    """
    one, other = (np.asarray(values, dtype=np.float64) for values in (first, second))
    if one.shape != other.shape:
        raise ValueError(f"There are {one.shape} values and {other.shape}; expected pairs; align them.")
    return bootstrap_mean(one - other, seed=seed)
