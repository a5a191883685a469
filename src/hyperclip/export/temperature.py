"""Fit the temperature that makes probabilities honest, on pictures that training did not see."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hyperclip.errors import InputError

__all__ = ["fit_temperature"]


def fit_temperature(
    logits: Sequence[npt.NDArray[np.floating]], targets: Sequence[npt.NDArray[np.integer]]
) -> float:
    """The temperature with the least negative log-likelihood over several tasks.

    Parameters
    ----------
    logits : sequence of ndarray of shape (n_images, n_classes)
        One array a task.
    targets : sequence of ndarray of shape (n_images,), int
        Class indices.

    Returns
    -------
    float
        In [0.05, 20]; probabilities are softmax(logits / temperature).

    Raises
    ------
    InputError
        If there are no pictures.
    """
    if not sum(len(rows) for rows in logits):
        raise InputError(
            "There are no pictures to fit a temperature on; expected some; give held-out pictures."
        )

    def loss(log_temperature: float) -> float:
        total, count = 0.0, 0
        for rows, target in zip(logits, targets, strict=True):
            scaled = np.asarray(rows, np.float64) / np.exp(log_temperature)
            scaled -= scaled.max(axis=1, keepdims=True)
            log_z = np.log(np.exp(scaled).sum(axis=1))
            total += float((log_z - scaled[np.arange(len(target)), target]).sum())
            count += len(target)
        return total / count

    low, high = np.log(0.05), np.log(20.0)
    ratio = (np.sqrt(5) - 1) / 2
    for _ in range(40):  # golden section: the loss has one minimum in the inverse temperature
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return round(float(np.exp((low + high) / 2)), 4)
