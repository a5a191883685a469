"""Clusters of points in a few dimensions, and a linear zero-shot head that knows half of the truth."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

N_CLASSES = 4
DIM = 12
NAMES = ("ant", "bee", "cow", "dog")


@dataclass
class LinearPrior:
    """A zero-shot head that is one matrix."""

    class_names: tuple[str, ...]
    weight: npt.NDArray[np.float64]
    temperature: float = 1.0

    def logits(self, embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the logits of embeddings."""
        return (embeddings @ self.weight.T).astype(np.float32)


@dataclass
class Clusters:
    """Points around class means, with labels."""

    prior: LinearPrior
    embeddings: npt.NDArray[np.float64]
    labels: npt.NDArray[np.str_]
    test_embeddings: npt.NDArray[np.float64]
    test_labels: npt.NDArray[np.str_]

    @property
    def target(self) -> npt.NDArray[np.int64]:
        """Class indices of the labels."""
        return np.array([NAMES.index(label) for label in self.labels])


def make_clusters(*, shots: int = 6, seed: int = 0, noise: float = 0.9) -> Clusters:
    """Return classes that a matrix tells apart, and a prior that knows half of the truth."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(N_CLASSES, DIM))
    target = np.repeat(np.arange(N_CLASSES), shots)
    test_target = np.repeat(np.arange(N_CLASSES), 50)
    names = np.array(NAMES)

    def points(index: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return means[index] + noise * rng.normal(size=(len(index), DIM))

    prior = LinearPrior(NAMES, 0.5 * (means + 1.2 * rng.normal(size=means.shape)))
    return Clusters(prior, points(target), names[target], points(test_target), names[test_target])
