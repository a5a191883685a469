"""The baseline that ignores the pictures: names alone. scikit-learn for the contract only."""

import numpy as np

from hyperclip.adapt.adapter import Adapter
from hyperclip.adapt.shots import Head, Prior, Shots

__all__ = ["ZeroShot"]


class ZeroShot(Adapter):
    """Keeps the head that was made from names; only its temperature is fitted to the pictures.

    Parameters
    ----------
    prior : Prior
        The zero-shot head.
    features : str
        Not used; every method has it.
    """

    name = "zero_shot"
    needs_prior = True

    def __init__(self, prior: Prior | None = None, features: str = "raw") -> None:
        self.prior = prior
        self.features = features

    def _heads(self, shots: Shots) -> list[Head]:
        n_classes, dim = shots.n_classes, shots.features.shape[1]
        return [Head(weight=np.zeros((n_classes, dim)), bias=np.zeros(n_classes), zero_shot_scale=1.0)]
