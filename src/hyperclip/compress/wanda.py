"""Wanda: zero the weights whose size times the norm of their input is smallest (no PyTorch needed)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hyperclip.bundle.read import Bundle
from hyperclip.compress.contract import CompressionData, MethodReport, OnProgress
from hyperclip.compress.prune_model import prune_model
from hyperclip.compress.settings import PruneConfig
from hyperclip.runtime.classifier import Classifier

__all__ = ["WandaConfig", "compress", "wanda_score"]

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class WandaConfig(PruneConfig):
    """As `PruneConfig`."""


def wanda_score(weight_OK: Matrix, norms_OK: Matrix | None) -> Matrix:
    """Return by how much a layer's output changes when one weight alone is taken away.

    Parameters
    ----------
    weight_OK : ndarray of shape (n_outputs, n_inputs), float64
    norms_OK : ndarray of shape (n_outputs, n_inputs), float64, at least 0
        Euclidean norm of the input that each weight multiplies, over all calibration data.

    Returns
    -------
    ndarray of shape (n_outputs, n_inputs), float64
        ``|weight| * norm``, the Frobenius norm of the change.

    References
    ----------
    M. Sun, Z. Liu, A. Bair, J. Z. Kolter, "A simple and effective pruning approach for large language
    models", ICLR 2024, equation 1.

    Examples
    --------
    >>> wanda_score(np.array([[2.0, -3.0]]), np.array([[4.0, 1.0]])).tolist()
    [[8.0, 3.0]]
    """
    assert norms_OK is not None
    return np.abs(weight_OK) * norms_OK


def compress(
    model: Classifier | Bundle,
    data: CompressionData,
    config: WandaConfig,
    *,
    on_progress: OnProgress | None = None,
) -> tuple[Classifier | Bundle, MethodReport]:
    """Prune a classifier file, or both encoders of a bundle, by weight times input; no retraining.

    Parameters
    ----------
    model : Classifier or Bundle
        Not changed.
    data : CompressionData
        At least one picture. The text encoder of a bundle is pruned where there are texts.
    config : WandaConfig
    on_progress : callable, optional

    Returns
    -------
    model : Classifier or Bundle
        With zeros; generated parameters and the head are as before.
    report : MethodReport

    Raises
    ------
    InputError
        If there are no pictures, one cannot be read, or no layer can be pruned.
    BundleError
        If the model is damaged.
    """
    return prune_model(
        model, data, config, method="wanda", score=wanda_score, needs_data=True, on_progress=on_progress
    )
