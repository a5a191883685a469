"""Gaussian discriminant analysis with one shared covariance, in closed form. NumPy.

Legend: N pictures, C classes, D numbers of an embedding.
"""

import numpy as np

from hyperclip.adapt.adapter import Adapter
from hyperclip.adapt.prototype import class_means, nearest_mean_head
from hyperclip.adapt.shots import Floats, Head, Indices, Prior, Shots
from hyperclip.adapt.trust import trust_in_zero_shot
from hyperclip.bundle.strict import quote
from hyperclip.errors import InputError

__all__ = ["GDA", "PRECISIONS", "gda_head", "scatter", "shrinkage"]

PRECISIONS = ("ks", "ledoit_wolf", "empirical")
WEIGHTS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
DEFAULT = 3


def scatter(features_ND: Floats, target_N: Indices, means_CD: Floats) -> Floats:
    """Return the sum of squares and products within classes, shape (dim, dim)."""
    rest_ND = features_ND - means_CD[target_N]
    sums_DD: Floats = rest_ND.T @ rest_ND
    return sums_DD


def shrinkage(n_images: int, dim: int) -> float:
    """Return the share of the round covariance in Kubokawa and Srivastava's estimate: set by sizes alone."""
    return dim / (n_images - 1 + dim)


def gda_head(
    features_ND: Floats,
    target_N: Indices,
    n_classes: int,
    *,
    precision: str = "ks",
    n_images: int | None = None,
) -> Head:
    """Return the linear head of Gaussian classes with a shared covariance and equal priors.

    Parameters
    ----------
    features_ND : ndarray of shape (n_rows, dim), float64
    target_N : ndarray of shape (n_rows,), int64
        Every class occurs.
    n_classes : int
    precision : {"ks", "ledoit_wolf", "empirical"}
        How the covariance is shrunk to a round one. ``"empirical"``: not at all.
    n_images : int, optional
        How many pictures the rows come from, where these are crops; crops of one picture are alike.

    Returns
    -------
    Head
        ``weight = P means`` and ``bias = -means P means / 2``, with P the inverse of
        ``(1 - s) S + s tr(S) / dim``. Where S is zero (one picture a class) P is the identity, which
        makes it the nearest class mean.

    Raises
    ------
    InputError
        If the covariance is not invertible, which only ``"empirical"`` can bring about.

    References
    ----------
    Z. Wang and others, "A hard-to-beat baseline for training-free CLIP-based adaptation", arXiv
    2402.04087. Their precision is ours times `shrinkage`, so that ours does not grow with the number of
    pictures.
    """
    means_CD = class_means(features_ND, target_N, n_classes)
    n_rows, dim = features_ND.shape
    n_images = n_rows if n_images is None else n_images
    covariance_DD = scatter(features_ND, target_N, means_CD) / max(n_rows - 1, 1)
    size = float(np.trace(covariance_DD))
    if size <= 1e-12 * float((features_ND**2).sum() / n_rows):
        return nearest_mean_head(means_CD)
    if precision == "ks":
        share = shrinkage(n_images, dim)
    elif precision == "ledoit_wolf":
        from sklearn.covariance import ledoit_wolf_shrinkage

        share = float(ledoit_wolf_shrinkage(features_ND - means_CD[target_N], assume_centered=True))
    else:
        share = 0.0
    shrunk_DD = (1 - share) * covariance_DD
    shrunk_DD[np.diag_indices(dim)] += share * size / dim
    if share == 0 and np.linalg.matrix_rank(shrunk_DD, hermitian=True) < dim:  # rounding hides it from solve
        raise InputError(
            f"The covariance of {n_rows} pictures in {dim} numbers cannot be inverted; expected more "
            "pictures than numbers; use precision='ks'."
        )
    weight_CD = np.linalg.solve(shrunk_DD, means_CD.T).T
    return Head(weight=weight_CD, bias=-0.5 * (weight_CD * means_CD).sum(axis=1))


class GDA(Adapter):
    """Gaussian classes with a shared covariance, added to the zero-shot head.

    Parameters
    ----------
    prior : Prior, optional
        The zero-shot head; without it, the Gaussians alone.
    features : {"raw", "unit", "centered_unit"}
        What to read of an embedding.
    precision : {"ks", "ledoit_wolf", "empirical"}
        How the covariance is estimated; see `gda_head`.
    weights : tuple of float
        Standard deviation within a picture that the Gaussians' logits get before they are added to the
        zero-shot logits; cross-validation chooses among these and the Gaussians alone. Where it cannot,
        the fourth.
    """

    name = "gda"

    def __init__(
        self,
        prior: Prior | None = None,
        features: str = "raw",
        precision: str = "ks",
        weights: tuple[float, ...] = WEIGHTS,
    ) -> None:
        self.prior = prior
        self.features = features
        self.precision = precision
        self.weights = weights

    def _heads(self, shots: Shots) -> list[Head]:
        if self.precision not in PRECISIONS:
            raise InputError(
                f"precision is {quote(self.precision)}; expected one of {', '.join(PRECISIONS)}; use one of "
                "them."
            )
        alone = gda_head(shots.features, shots.target, shots.n_classes, precision=self.precision)
        if self.prior is None:
            return [alone]
        spread = _spread(alone.logits(shots.features, shots.zero_shot))
        trust = trust_in_zero_shot(shots)
        mixed = [
            Head(
                weight=weight / spread * alone.weight,
                bias=weight / spread * alone.bias,
                zero_shot_scale=trust,
                settings=(("weight", weight),),
            )
            for weight in self.weights
        ]
        pure = Head(weight=alone.weight / spread, bias=alone.bias / spread)
        return [*mixed, pure]

    def _default(self) -> int:
        return 0 if self.prior is None else min(DEFAULT, len(self.weights) - 1)


def _spread(logits_NC: Floats) -> float:
    """Return the standard deviation of logits within a picture; 1 where they do not differ."""
    return float((logits_NC - logits_NC.mean(axis=1, keepdims=True)).std()) or 1.0
