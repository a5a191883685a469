"""How much better a method does than names alone, on pictures that were held out. NumPy alone."""

import numpy as np
import numpy.typing as npt

from hyperclip.runtime.adaptation import Gain

__all__ = ["paired_gain"]

NORMAL_95 = 1.959964


def paired_gain(before_N: npt.NDArray[np.bool_], after_N: npt.NDArray[np.bool_]) -> Gain:
    """Return the accuracies of two classifiers on the same pictures and the interval of their difference.

    Parameters
    ----------
    before_N, after_N : ndarray of shape (n_images,), bool
        Whether each is right about each picture.

    Returns
    -------
    Gain
        With the adjusted interval for paired shares, which does not collapse when both always agree.

    References
    ----------
    A. Agresti and Y. Min, "Simple improved confidence intervals for comparing matched proportions",
    Statistics in Medicine 24 (2005): half a picture is added to each of the four cells.
    """
    n = len(before_N)
    only_after = float((after_N & ~before_N).sum()) + 0.5
    only_before = float((before_N & ~after_N).sum()) + 0.5
    total = n + 2
    mean = (only_after - only_before) / total
    error = np.sqrt(only_after + only_before - (only_after - only_before) ** 2 / total) / total
    return Gain(
        n=n,
        zero_shot=float(before_N.mean()),
        adapted=float(after_N.mean()),
        low=float(max(-1.0, mean - NORMAL_95 * error)),
        high=float(min(1.0, mean + NORMAL_95 * error)),
    )
