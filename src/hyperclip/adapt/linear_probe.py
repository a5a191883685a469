"""Multinomial logistic regression with an L2 penalty on embeddings. scikit-learn.

Legend: N pictures, C classes, D numbers of an embedding, R rank.
"""

import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from hyperclip.adapt.adapter import Adapter
from hyperclip.adapt.shots import Floats, Head, Prior, Shots

__all__ = ["STRENGTHS", "LinearProbe", "logistic_heads"]

STRENGTHS = (1.0, 10.0, 100.0)  # C of scikit-learn: the larger, the bolder
DEFAULT = 1
MAX_ITERATIONS = 300
TOLERANCE = 1e-3


def logistic_heads(
    shots: Shots, strengths: Sequence[float], *, balance: bool, features_ND: Floats | None = None
) -> list[Head]:
    """Return one head for each strength, each started from the one before.

    Parameters
    ----------
    shots : Shots
    strengths : sequence of float
        Inverse penalties on the sum of losses, as scikit-learn's `C`; ascending.
    balance : bool
        Whether every class weighs the same, however many pictures it has.
    features_ND : ndarray of shape (n_images, dim), float64, optional
        Read instead of those in `shots`.
    """
    values_ND = shots.features if features_ND is None else features_ND
    # The solution lies in the span of the rows: with fewer pictures than numbers a rotation saves time.
    basis_DR = np.linalg.qr(values_ND.T)[0] if len(values_ND) < values_ND.shape[1] else None
    rows = values_ND if basis_DR is None else values_ND @ basis_DR
    model = LogisticRegression(max_iter=MAX_ITERATIONS, tol=TOLERANCE, warm_start=True)
    heads = []
    for strength in strengths:
        model.set_params(C=strength)
        with warnings.catch_warnings():
            # With one picture a class it suspects a regression; and whether it converged to the last
            # digit matters less than what held-out pictures say.
            warnings.filterwarnings("ignore", message="The number of unique classes")
            warnings.filterwarnings("ignore", category=ConvergenceWarning)
            model.fit(rows, shots.target, sample_weight=shots.balanced if balance else None)
        weight, bias = model.coef_, model.intercept_
        if shots.n_classes == 2:  # scikit-learn fits the difference of two classes
            weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        weight_CD = weight.copy() if basis_DR is None else weight @ basis_DR.T
        heads.append(Head(weight=weight_CD, bias=bias.copy(), settings=(("strength", strength),)))
    return heads


class LinearProbe(Adapter):
    """Logistic regression on embeddings; names play no part.

    Parameters
    ----------
    prior : Prior, optional
        Gives the classes their order.
    features : {"raw", "unit", "centered_unit"}
        What to read of an embedding.
    strengths : tuple of float
        Inverse penalties, of which cross-validation chooses; the middle one where it cannot.
    balance : bool
        Whether every class weighs the same, however many pictures it has.
    """

    name = "linear_probe"

    def __init__(
        self,
        prior: Prior | None = None,
        features: str = "raw",
        strengths: tuple[float, ...] = STRENGTHS,
        balance: bool = True,
    ) -> None:
        self.prior = prior
        self.features = features
        self.strengths = strengths
        self.balance = balance

    def _heads(self, shots: Shots) -> list[Head]:
        return logistic_heads(shots, self.strengths, balance=self.balance)

    def _default(self) -> int:
        return min(DEFAULT, len(self.strengths) - 1)
