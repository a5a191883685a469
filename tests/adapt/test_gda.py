"""Gaussian classes with one covariance: linear discriminant analysis, shrunk."""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="adapting needs scikit-learn: pip install 'hyperclip[adapt]'")

from hyperclip.adapt.gda import gda_head
from hyperclip.errors import InputError
from tiny_clusters import DIM, N_CLASSES, Clusters, make_clusters


def logits(head, features: np.ndarray) -> np.ndarray:
    return features @ head.weight.T + head.bias


def test_without_shrinking_it_is_linear_discriminant_analysis() -> None:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    clusters = make_clusters(shots=40)
    head = gda_head(clusters.embeddings, clusters.target, N_CLASSES, precision="empirical")
    other = LinearDiscriminantAnalysis(solver="lsqr").fit(clusters.embeddings, clusters.target)
    answers = logits(head, clusters.test_embeddings).argmax(axis=1)
    np.testing.assert_array_equal(answers, other.predict(clusters.test_embeddings))


def test_one_picture_of_each_class_gives_the_nearest_mean() -> None:
    clusters = make_clusters(shots=1)
    head = gda_head(clusters.embeddings, clusters.target, N_CLASSES)
    distance = ((clusters.test_embeddings[:, None] - clusters.embeddings) ** 2).sum(axis=2)
    np.testing.assert_array_equal(
        logits(head, clusters.test_embeddings).argmax(axis=1), distance.argmin(axis=1)
    )


@pytest.mark.parametrize("precision", ["ks", "ledoit_wolf"])
def test_turned_embeddings_give_the_same_answers(clusters: Clusters, precision: str) -> None:
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(DIM, DIM)))
    plain = gda_head(clusters.embeddings, clusters.target, N_CLASSES, precision=precision)
    turned = gda_head(clusters.embeddings @ turn, clusters.target, N_CLASSES, precision=precision)
    np.testing.assert_allclose(
        logits(plain, clusters.test_embeddings), logits(turned, clusters.test_embeddings @ turn), atol=1e-8
    )


def test_a_shift_of_all_embeddings_moves_all_logits_of_a_picture_alike(clusters: Clusters) -> None:
    plain = gda_head(clusters.embeddings, clusters.target, N_CLASSES)
    moved = gda_head(clusters.embeddings + 3.0, clusters.target, N_CLASSES)
    one, other = logits(plain, clusters.test_embeddings), logits(moved, clusters.test_embeddings + 3.0)
    np.testing.assert_allclose(
        one - one.mean(axis=1, keepdims=True), other - other.mean(axis=1, keepdims=True), atol=1e-6
    )


def test_scaled_embeddings_give_the_same_answers(clusters: Clusters) -> None:
    plain = gda_head(clusters.embeddings, clusters.target, N_CLASSES)
    scaled = gda_head(5 * clusters.embeddings, clusters.target, N_CLASSES)
    np.testing.assert_allclose(
        logits(plain, clusters.test_embeddings), logits(scaled, 5 * clusters.test_embeddings), atol=1e-8
    )


def test_too_few_pictures_without_shrinking_are_refused() -> None:
    clusters = make_clusters(shots=2)
    doubled = np.hstack([clusters.embeddings, clusters.embeddings])
    with pytest.raises(InputError, match="cannot be inverted"):
        gda_head(np.round(doubled), clusters.target, N_CLASSES, precision="empirical")
