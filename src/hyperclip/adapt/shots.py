"""What a method sees of the given pictures, and what it gives back. NumPy alone.

Legend: N pictures, C classes, D numbers of an embedding.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["Floats", "Head", "Indices", "Prior", "Shots"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


class Prior(Protocol):
    """The classifier before it saw pictures: `hyperclip.runtime.head_part.HeadPart`, or anything alike."""

    class_names: tuple[str, ...]
    temperature: float

    def logits(self, embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return logits of shape (n, n_classes), not yet divided by the temperature."""
        ...


@dataclass(frozen=True, kw_only=True)
class Shots:
    """The given pictures in numbers.

    Parameters
    ----------
    features : ndarray of shape (n_images, dim), float64
        Centered, and scaled so that the variances of all columns add up to 1: strengths mean the same
        for every encoder.
    zero_shot : ndarray of shape (n_images, n_classes), float64
        Logits before any picture was seen, divided by their temperature; zeros where there is no prior.
    target : ndarray of shape (n_images,), int64
        Class indices. Every class occurs.
    n_classes : int
    center : ndarray of shape (dim,), float64
        What was taken off the features.
    scale : float
        What they were divided by afterwards.
    """

    features: Floats
    zero_shot: Floats
    target: Indices
    n_classes: int
    center: Floats
    scale: float

    @classmethod
    def standardized(
        cls, features_ND: Floats, zero_shot_NC: Floats, target_N: Indices, *, n_classes: int
    ) -> "Shots":
        """Center and scale features as they come."""
        center_D = features_ND.mean(axis=0)
        centered_ND = features_ND - center_D
        scale = float(np.sqrt((centered_ND**2).sum() / len(centered_ND))) or 1.0
        return cls(
            features=centered_ND / scale,
            zero_shot=zero_shot_NC,
            target=target_N,
            n_classes=n_classes,
            center=center_D,
            scale=scale,
        )

    def __len__(self) -> int:
        return len(self.target)

    @property
    def counts(self) -> Indices:
        """Pictures of each class."""
        return np.bincount(self.target, minlength=self.n_classes).astype(np.int64)

    @property
    def balanced(self) -> Floats:
        """A weight for each picture so that every class weighs the same; the mean is 1."""
        weights: Floats = (len(self) / (self.n_classes * self.counts))[self.target]
        return weights


@dataclass(frozen=True, kw_only=True)
class Head:
    """Logits as a function of features and former logits: ``scale * zero_shot + features @ weight.T + bias``.

    Parameters
    ----------
    weight : ndarray of shape (n_classes, dim), float64
    bias : ndarray of shape (n_classes,), float64
    zero_shot_scale : float
    settings : tuple of (str, float)
        What the method chose for this head, for people.
    """

    weight: Floats
    bias: Floats
    zero_shot_scale: float = 0.0
    settings: tuple[tuple[str, float], ...] = ()

    def logits(self, features_ND: Floats, zero_shot_NC: Floats) -> Floats:
        """Return the logits, shape (n, n_classes)."""
        fitted_NC: Floats = features_ND @ self.weight.T + self.bias
        return fitted_NC if self.zero_shot_scale == 0 else fitted_NC + self.zero_shot_scale * zero_shot_NC

    def on_raw_features(self, shots: Shots) -> "Head":
        """Return the same head for features that were neither centered nor scaled."""
        weight_CD = self.weight / shots.scale
        return Head(
            weight=weight_CD,
            bias=self.bias - weight_CD @ shots.center,
            zero_shot_scale=self.zero_shot_scale,
            settings=self.settings,
        )

    def mixed(
        self, share: float, *, trust: float = 1.0, settings: tuple[tuple[str, float], ...] = ()
    ) -> "Head":
        """Return ``(1 - share) * trust * zero_shot + share * self``; at 0 the zero-shot head, exactly.

        References
        ----------
        M. Wortsman and others, "Robust fine-tuning of zero-shot models", arXiv 2109.01903: the linear case.
        """
        return Head(
            weight=share * self.weight,
            bias=share * self.bias,
            zero_shot_scale=(1 - share) * trust + share * self.zero_shot_scale,
            settings=settings or self.settings,
        )
