"""Whether probabilities mean what they say.

Legend: N pictures.
"""

import numpy as np
import numpy.typing as npt

from hyperclip.errors import InputError

__all__ = ["expected_calibration_error"]


def expected_calibration_error(
    confidence: npt.ArrayLike, is_right: npt.ArrayLike, *, n_bins: int = 15
) -> float:
    """Return how far confidence is from accuracy, in the mean over pictures.

    Parameters
    ----------
    confidence : array-like of shape (n_images,), float, in [0, 1]
        Probability of the class that was answered.
    is_right : array-like of shape (n_images,), bool
        Whether the answer was right.
    n_bins : int, at least 1
        Bins of equal width; each holds its upper end, the first also 0.

    Returns
    -------
    float
        In [0, 1]: the sum over bins of their share of the pictures times the distance between mean
        confidence and accuracy.

    Raises
    ------
    InputError
        When shapes or values do not fit.

    References
    ----------
    C. Guo et al., "On calibration of modern neural networks", ICML 2017, equation 3.

    Examples
    --------
    >>> expected_calibration_error([0.75, 0.75, 0.25, 0.25], [True, True, True, False])
    0.25
    """
    confidence_N = np.asarray(confidence, dtype=np.float64)
    right_N = np.asarray(is_right)
    if confidence_N.ndim != 1 or confidence_N.size == 0 or right_N.shape != confidence_N.shape:
        raise InputError(
            f"confidence has shape {confidence_N.shape} and is_right {right_N.shape}; expected one number "
            "and one answer a picture; pass both from the same evaluation."
        )
    if not ((confidence_N >= 0) & (confidence_N <= 1)).all():
        raise InputError(
            f"confidence goes from {confidence_N.min():g} to {confidence_N.max():g}; expected probabilities "
            "in [0, 1]; pass those of `Classifier.probabilities`."
        )
    if n_bins < 1:
        raise InputError(f"n_bins is {n_bins}; expected at least 1; try 15.")
    edges = np.linspace(0.0, 1.0, n_bins + 1)[1:-1]
    bin_N = np.searchsorted(edges, confidence_N, side="left")
    gap_N = right_N.astype(np.float64) - confidence_N
    sums = np.bincount(bin_N, weights=gap_N, minlength=n_bins)
    return float(np.abs(sums).sum() / len(confidence_N))
