"""The method that is kept is the one that answers best on held-out pictures."""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="adapting needs scikit-learn: pip install 'hyperclip[adapt]'")

from hyperclip.adapt.auto import CANDIDATES, Auto
from hyperclip.adapt.text_features import TextFeatures
from hyperclip.adapt.zero_shot import ZeroShot
from tiny_clusters import LinearPrior, make_clusters


def test_the_method_of_least_loss_is_kept() -> None:
    points = make_clusters(shots=8)
    auto = Auto(prior=points.prior).fit(points.embeddings, points.labels)
    assert auto.method_ == list(auto.fitted_)[int(np.argmin(auto.losses_))]
    np.testing.assert_array_equal(
        auto.predict(points.test_embeddings), auto.best_.predict(points.test_embeddings)
    )


def test_names_are_kept_where_pictures_tell_nothing() -> None:
    points = make_clusters(shots=6, noise=0.3)
    rng = np.random.default_rng(0)
    means = np.stack([points.embeddings[points.target == index].mean(axis=0) for index in range(4)])
    sure = LinearPrior(points.prior.class_names, 20 * means)
    noise = 50 * rng.normal(size=points.embeddings.shape)
    noise -= noise @ np.linalg.pinv(means) @ means  # hides the classes from all but the prior
    auto = Auto(prior=sure).fit(points.embeddings + noise, points.labels)
    assert auto.score(points.embeddings + noise, points.labels) > 0.95
    assert "zero_shot" in auto.fitted_


def test_one_picture_a_class_falls_back_on_the_documented_method() -> None:
    points = make_clusters(shots=1)
    auto = Auto(prior=points.prior).fit(points.embeddings, points.labels)
    assert auto.method_ == "wise"
    assert dict(auto.head_.settings)["share"] == 0.75
    assert list(auto.fitted_) == ["wise"]


def test_descriptions_take_no_part_without_texts() -> None:
    points = make_clusters()
    auto = Auto(prior=points.prior).fit(points.embeddings, points.labels)
    assert set(auto.fitted_) == set(CANDIDATES) - {"slr_avd"}
    assert all(seconds >= 0 for seconds in auto.seconds_.values())


def test_what_is_said_about_the_gain_is_honest() -> None:
    """On average the held-out accuracy is near that on new points, not above it by much."""
    differences = []
    for seed in range(8):
        points = make_clusters(shots=6, seed=seed)
        auto = Auto(prior=points.prior).fit(points.embeddings, points.labels)
        promised = auto.held_out_.correct[0].mean()
        differences.append(promised - auto.score(points.test_embeddings, points.test_labels))
    assert np.mean(differences) < 0.05


def test_zero_shot_is_not_changed_by_pictures() -> None:
    points = make_clusters()
    adapter = ZeroShot(prior=points.prior).fit(points.embeddings, points.labels)
    np.testing.assert_allclose(
        adapter.logits(points.test_embeddings), points.prior.logits(points.test_embeddings), atol=1e-5
    )
    assert adapter.temperature_ is not None


def test_random_phrases_are_tried_where_descriptions_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    points = make_clusters(shots=6)
    rows = points.prior.weight / np.linalg.norm(points.prior.weight, axis=1, keepdims=True)
    texts, random = (
        TextFeatures(
            texts=tuple("abcdefgh"),
            kinds=("prompt",) * 4 + ("description",) * 4,
            classes=tuple((index % 4,) for index in range(8)),
            rows=np.concatenate([rows, np.random.default_rng(seed).normal(size=rows.shape)]),
        )
        for seed in range(2)
    )
    place = list(CANDIDATES).index("slr_avd")
    monkeypatch.setattr(Auto, "_best", lambda self, losses: place)
    auto = Auto(prior=points.prior, texts=texts, control=lambda draw: random).fit(
        points.embeddings, points.labels
    )
    assert auto.method_ == "slr_avd"
    reasons = auto.reasons(1.0)
    assert reasons is not None
    assert reasons.words is not None
    np.testing.assert_array_equal(auto.head_.weight, auto.best_.head_.weight)
