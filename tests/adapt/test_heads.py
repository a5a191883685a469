"""The simple methods: nearest mean, linear probe, their mixture with names, and the trust in names."""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="adapting needs scikit-learn: pip install 'hyperclip[adapt]'")

from hyperclip.adapt.linear_probe import LinearProbe, logistic_heads
from hyperclip.adapt.prototype import Prototype
from hyperclip.adapt.shots import Shots
from hyperclip.adapt.trust import trust_in_zero_shot
from hyperclip.adapt.wise import Wise
from tiny_clusters import Clusters, make_clusters


def test_the_prototype_answers_with_the_nearest_mean(clusters: Clusters) -> None:
    adapter = Prototype(prior=clusters.prior).fit(clusters.embeddings, clusters.labels)
    means = np.stack([clusters.embeddings[clusters.target == index].mean(axis=0) for index in range(4)])
    nearest = ((clusters.test_embeddings[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(adapter.predict(clusters.test_embeddings), adapter.classes_[nearest])


def test_fewer_pictures_than_numbers_give_the_same_probe_as_the_long_way() -> None:
    rng = np.random.default_rng(0)
    features, target = rng.normal(size=(12, 30)), np.repeat(np.arange(3), 4)
    shots = Shots.standardized(features, np.zeros((12, 3)), target, n_classes=3)
    (short,) = logistic_heads(shots, [1.0], balance=False)
    padded = np.pad(shots.features, ((0, 30), (0, 0)))[:12]  # the same rows; the span decides
    (again,) = logistic_heads(shots, [1.0], balance=False, features_ND=padded)
    np.testing.assert_allclose(short.weight, again.weight, atol=1e-10)
    outside = rng.normal(size=30)
    outside -= np.linalg.pinv(shots.features) @ shots.features @ outside
    np.testing.assert_allclose(short.weight @ outside, 0, atol=1e-8)  # nothing is learnt off the span


def test_balance_keeps_a_large_class_from_taking_all() -> None:
    points = make_clusters(shots=30, noise=2.0)
    keep = (points.labels == "ant") | (np.arange(len(points.labels)) % 10 == 0)
    plain, fair = (
        LinearProbe(prior=points.prior, balance=balance).fit(points.embeddings[keep], points.labels[keep])
        for balance in (False, True)
    )
    share = [(adapter.predict(points.test_embeddings) == "ant").mean() for adapter in (plain, fair)]
    assert share[1] < share[0]


def test_the_share_is_that_of_the_probe(clusters: Clusters) -> None:
    adapter = Wise(prior=clusters.prior, shares=(0.5,), strengths=(10.0,))
    adapter.fit(clusters.embeddings, clusters.labels)
    probe = LinearProbe(prior=clusters.prior, strengths=(10.0,)).fit(clusters.embeddings, clusters.labels)
    np.testing.assert_allclose(adapter.head_.weight, 0.5 * probe.head_.weight, atol=1e-9)
    assert 0 < adapter.head_.zero_shot_scale <= 0.5


@pytest.mark.parametrize(("is_right", "low", "high"), [(True, 0.99, 1.0), (False, 0.0, 0.1)])
def test_names_are_trusted_as_far_as_the_pictures_bear_them_out(
    is_right: bool, low: float, high: float
) -> None:
    target = np.arange(40) % 4
    logits = 5 * np.eye(4)[target if is_right else np.random.default_rng(0).permutation(target)]
    shots = Shots.standardized(np.random.default_rng(0).normal(size=(40, 3)), logits, target, n_classes=4)
    assert low <= trust_in_zero_shot(shots) <= high
