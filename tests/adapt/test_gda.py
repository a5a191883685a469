"""Gaussian classes with one covariance: linear discriminant analysis, shrunk."""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="adapting needs scikit-learn: pip install 'hyperclip[adapt]'")

from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from hyperclip.adapt.gda import GDA, gda_head, shrinkage
from hyperclip.adapt.prototype import class_means
from hyperclip.errors import InputError
from tiny_clusters import DIM, N_CLASSES, Clusters, make_clusters


def logits(head, features: np.ndarray) -> np.ndarray:
    return features @ head.weight.T + head.bias


def test_without_shrinking_it_is_linear_discriminant_analysis() -> None:
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


def test_with_shrinkage_it_predicts_as_linear_discriminant_analysis_with_the_same_shrinkage() -> None:
    points = make_clusters(shots=3)
    share = shrinkage(*points.embeddings.shape)
    oracle = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=share, priors=[0.25] * 4)
    oracle.fit(points.embeddings, points.target)
    head = gda_head(points.embeddings, points.target, 4)
    n = len(points.embeddings)
    np.testing.assert_allclose(n / (n - 1) * head.weight, oracle.coef_, rtol=1e-8)
    np.testing.assert_array_equal(
        logits(head, points.test_embeddings).argmax(axis=1), oracle.predict(points.test_embeddings)
    )


def test_the_paper_s_precision_is_ours_times_the_shrinkage() -> None:
    points = make_clusters(shots=3)
    n, dim = points.embeddings.shape
    means = class_means(points.embeddings, points.target, 4)
    rest = points.embeddings - means[points.target]
    covariance = rest.T @ rest / (n - 1)
    theirs = dim * np.linalg.inv((n - 1) * covariance + np.trace(covariance) * np.eye(dim))
    head = gda_head(points.embeddings, points.target, 4)
    np.testing.assert_allclose(shrinkage(n, dim) * head.weight, means @ theirs, rtol=1e-8)


def test_a_round_covariance_is_the_nearest_mean() -> None:
    rng = np.random.default_rng(0)
    means = rng.normal(size=(3, 2))
    around = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]]) * 0.3
    points, target = (means[:, None] + around).reshape(-1, 2), np.repeat(np.arange(3), 4)
    head = gda_head(points, target, 3)
    asked = rng.normal(size=(100, 2))
    nearest = ((asked[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(logits(head, asked).argmax(axis=1), nearest)


def test_stretching_the_space_changes_answers_only_with_shrinkage() -> None:
    points = make_clusters(shots=20)
    stretch = np.diag(np.linspace(0.1, 10, 12))
    for precision, is_same in (("empirical", True), ("ks", False)):
        one = gda_head(points.embeddings, points.target, 4, precision=precision)
        other = gda_head(points.embeddings @ stretch, points.target, 4, precision=precision)
        difference = logits(other, points.test_embeddings @ stretch) - logits(one, points.test_embeddings)
        size = np.abs(logits(one, points.test_embeddings)).max()
        assert bool(np.abs(difference).max() < 1e-6 * size) is is_same


def test_doubling_every_row_leaves_the_means_and_shrinks_less() -> None:
    points = make_clusters()
    n, dim = points.embeddings.shape
    assert shrinkage(2 * n, dim) < shrinkage(n, dim)
    twice, target = np.tile(points.embeddings, (2, 1)), np.tile(points.target, 2)
    as_images = gda_head(twice, target, 4, n_images=n)  # crops of one picture count once
    once = gda_head(points.embeddings, points.target, 4)
    np.testing.assert_array_equal(
        logits(as_images, points.test_embeddings).argmax(axis=1),
        logits(once, points.test_embeddings).argmax(axis=1),
    )


def test_the_folded_head_is_the_sum_of_both_logits(clusters: Clusters) -> None:
    adapter = GDA(prior=clusters.prior, weights=(2.0,)).fit(clusters.embeddings, clusters.labels)
    head = adapter.head_
    expected = logits(head, clusters.test_embeddings)
    expected = expected + head.zero_shot_scale * clusters.prior.logits(clusters.test_embeddings)
    np.testing.assert_allclose(adapter.logits(clusters.test_embeddings), expected, atol=1e-6)


def test_an_unknown_precision_is_refused(clusters: Clusters) -> None:
    with pytest.raises(InputError, match="precision is 'best'; expected one of ks, ledoit_wolf, empirical"):
        GDA(precision="best").fit(clusters.embeddings, clusters.labels)
