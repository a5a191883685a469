"""Magnitude: zero the smallest weights, the baseline of every pruning method (no PyTorch needed)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hyperclip.bundle.read import Bundle
from hyperclip.compress.contract import CompressionData, MethodReport, OnProgress
from hyperclip.compress.prune_model import prune_model
from hyperclip.compress.settings import PruneConfig
from hyperclip.runtime.classifier import Classifier

__all__ = ["MagnitudeConfig", "compress", "magnitude_score"]

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class MagnitudeConfig(PruneConfig):
    """As `PruneConfig`; data serve for the repair alone."""


def magnitude_score(weight_OK: Matrix, norms_OK: Matrix | None) -> Matrix:
    """Return the size of each weight, shape (n_outputs, n_inputs), float64; the norms do not count.

    Examples
    --------
    >>> magnitude_score(np.array([[2.0, -3.0]]), None).tolist()
    [[2.0, 3.0]]
    """
    return np.abs(weight_OK)


def compress(
    model: Classifier | Bundle,
    data: CompressionData,
    config: MagnitudeConfig,
    *,
    on_progress: OnProgress | None = None,
) -> tuple[Classifier | Bundle, MethodReport]:
    """Prune a classifier file, or both encoders of a bundle, by the size of weights; no retraining.

    Parameters
    ----------
    model : Classifier or Bundle
        Not changed.
    data : CompressionData
        May be empty; then nothing is repaired.
    config : MagnitudeConfig
    on_progress : callable, optional

    Returns
    -------
    model : Classifier or Bundle
        With zeros; generated parameters and the head are as before.
    report : MethodReport

    Raises
    ------
    InputError
        If a picture cannot be read or no layer can be pruned.
    BundleError
        If the model is damaged.
    """
    return prune_model(
        model, data, config, method="magnitude", score=magnitude_score, needs_data=False,
        on_progress=on_progress,
    )  # fmt: skip
