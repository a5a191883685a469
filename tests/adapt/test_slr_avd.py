"""Sparse logistic regression on texts: it folds exactly, and mixes with names alone from end to end."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="adapting needs scikit-learn: pip install 'hyperclip[adapt]'")

from hyperclip.adapt.shots import Head
from hyperclip.adapt.slr_avd import SLRAVD, fold_head, measure_likeness
from hyperclip.adapt.text_features import TextFeatures
from hyperclip.errors import InputError
from tiny_clusters import DIM, N_CLASSES, NAMES, Clusters, make_clusters


def texts_of(clusters: Clusters, *, n: int = 20, seed: int = 3) -> TextFeatures:
    """Class prompts along the zero-shot head, and descriptions in random directions."""
    rng = np.random.default_rng(seed)
    rows = np.concatenate([clusters.prior.weight, rng.normal(size=(n, DIM))])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return TextFeatures(
        texts=(*NAMES, *(f"phrase {index}" for index in range(n))),
        kinds=("prompt",) * N_CLASSES + ("description",) * n,
        classes=(*((index,) for index in range(N_CLASSES)), *((index % N_CLASSES,) for index in range(n))),
        rows=rows,
    )


def test_the_folded_head_is_the_head_on_likeness() -> None:
    rng = np.random.default_rng(0)
    features, rows = rng.normal(size=(30, DIM)), rng.normal(size=(50, DIM))
    coefficients, intercepts = rng.normal(size=(N_CLASSES, 50)), rng.normal(size=N_CLASSES)
    likeness = measure_likeness(features, rows)
    head = fold_head(coefficients, intercepts, likeness.mean, likeness.std, rows)
    np.testing.assert_allclose(
        features @ head.weight.T + head.bias, likeness.values @ coefficients.T + intercepts, atol=1e-9
    )


def test_class_prompts_alone_and_unscaled_fold_to_the_zero_shot_head(clusters: Clusters) -> None:
    rows = clusters.prior.weight
    zeros, ones = np.zeros(N_CLASSES), np.ones(N_CLASSES)
    head = fold_head(np.eye(N_CLASSES), zeros, zeros, ones, rows)
    np.testing.assert_array_equal(head.weight, rows)
    np.testing.assert_array_equal(head.bias, zeros)


def test_few_texts_decide_and_the_head_is_good(clusters: Clusters) -> None:
    fitted = SLRAVD(clusters.prior, texts=texts_of(clusters)).fit(clusters.embeddings, clusters.labels)
    before = clusters.prior.logits(clusters.test_embeddings).argmax(axis=1)
    is_right = fitted.predict(clusters.test_embeddings) == clusters.test_labels
    assert 0 < fitted.share_nonzero_ < 0.6
    assert is_right.mean() > (np.array(NAMES)[before] == clusters.test_labels).mean()


def test_a_share_of_nothing_is_names_alone(clusters: Clusters) -> None:
    fitted = SLRAVD(clusters.prior, texts=texts_of(clusters), shares=(0.0,))
    fitted.fit(clusters.embeddings, clusters.labels)
    names_alone = clusters.prior.logits(clusters.test_embeddings)
    logits = fitted.decision_function(clusters.test_embeddings)
    np.testing.assert_array_equal(logits.argmax(axis=1), names_alone.argmax(axis=1))
    slope = (logits * names_alone).sum() / (names_alone**2).sum()
    np.testing.assert_allclose(logits, slope * names_alone, rtol=1e-4, atol=1e-4)


def test_a_share_of_all_does_not_look_at_names(clusters: Clusters) -> None:
    fitted = SLRAVD(clusters.prior, texts=texts_of(clusters), shares=(1.0,))
    fitted.fit(clusters.embeddings, clusters.labels)
    assert fitted.head_.zero_shot_scale == 0


def test_the_same_pictures_give_the_same_support(clusters: Clusters) -> None:
    one, other = (
        SLRAVD(clusters.prior, texts=texts_of(clusters)).fit(clusters.embeddings, clusters.labels)
        for _ in range(2)
    )
    np.testing.assert_array_equal(one.solution_.coefficients, other.solution_.coefficients)


def test_a_text_that_stands_twice_changes_no_answer(clusters: Clusters) -> None:
    texts = texts_of(clusters)
    twice = dataclasses.replace(
        texts, texts=(*texts.texts, "again"), kinds=(*texts.kinds, "description"),
        classes=(*texts.classes, (0,)), rows=np.concatenate([texts.rows, texts.rows[5:6]]),
    )  # fmt: skip
    answers = [
        SLRAVD(clusters.prior, texts=given, n_strengths=5, shares=(1.0,))
        .fit(clusters.embeddings, clusters.labels)
        .predict_proba(clusters.test_embeddings)
        for given in (texts, twice)
    ]
    np.testing.assert_allclose(answers[0], answers[1], atol=0.02)


def test_descriptions_in_another_order_change_no_answer(clusters: Clusters) -> None:
    texts = texts_of(clusters)
    order = np.random.default_rng(0).permutation(len(texts.texts))
    mixed = TextFeatures(
        texts=tuple(texts.texts[i] for i in order), kinds=tuple(texts.kinds[i] for i in order),
        classes=tuple(texts.classes[i] for i in order), rows=texts.rows[order],
    )  # fmt: skip
    answers = [
        SLRAVD(clusters.prior, texts=given).fit(clusters.embeddings, clusters.labels)
        .predict_proba(clusters.test_embeddings)
        for given in (texts, mixed)
    ]  # fmt: skip
    np.testing.assert_allclose(answers[0], answers[1], atol=5e-3)


def test_larger_embeddings_change_nothing_where_directions_count() -> None:
    clusters = make_clusters()
    texts = texts_of(clusters)
    answers = [
        SLRAVD(None, features="unit", texts=texts)
        .fit(scale * clusters.embeddings, clusters.labels)
        .predict(scale * clusters.test_embeddings)
        for scale in (1.0, 7.0)
    ]
    np.testing.assert_array_equal(answers[0], answers[1])


def test_words_are_compared_with_random_ones(clusters: Clusters) -> None:
    fitted = SLRAVD(
        clusters.prior, texts=texts_of(clusters), control=lambda draw: texts_of(clusters, seed=9 + draw)
    )
    fitted.fit(clusters.embeddings, clusters.labels)
    reasons = fitted.reasons(1.0)
    assert reasons is not None
    assert reasons.words is not None
    assert reasons.words.n == len(clusters.labels)
    assert max(reasons.words.random) >= reasons.words.texts  # neither kind means anything here


def test_contributions_add_up_to_the_learnt_logit(clusters: Clusters) -> None:
    fitted = SLRAVD(clusters.prior, texts=texts_of(clusters), shares=(1.0,))
    fitted.fit(clusters.embeddings, clusters.labels)
    reasons = fitted.reasons(1.0)
    assert reasons is not None
    texts = {text: row for text, row in zip(texts_of(clusters).texts, texts_of(clusters).rows, strict=True)}
    rows = np.stack([texts[text] for text in reasons.texts])
    likeness = (clusters.test_embeddings @ rows.T - reasons.mean) / reasons.std
    total = np.zeros((len(likeness), N_CLASSES))
    for index, row in enumerate(reasons.coefficients):
        for place, value in row:
            total[:, index] += value * likeness[:, place]
    logits = fitted.decision_function(clusters.test_embeddings) * (fitted.temperature_ or 1.0)
    for guess in (logits, fitted.decision_function(clusters.test_embeddings)):
        rest = guess - total
        if np.ptp(rest - rest[:1], axis=0).max() < 1e-3:
            return
    raise AssertionError("what is left is no constant of each class")


def test_mixing_is_linear_with_the_two_heads_at_its_ends() -> None:
    rng = np.random.default_rng(0)
    head = Head(weight=rng.normal(size=(3, 5)), bias=rng.normal(size=3))
    features, zero_shot = rng.normal(size=(7, 5)), rng.normal(size=(7, 3))
    np.testing.assert_array_equal(head.mixed(0.0).logits(features, zero_shot), zero_shot)
    np.testing.assert_array_equal(
        head.mixed(1.0).logits(features, zero_shot), head.logits(features, zero_shot)
    )
    ends = 0.7 * zero_shot + 0.3 * head.logits(features, zero_shot)
    np.testing.assert_allclose(head.mixed(0.3).logits(features, zero_shot), ends, atol=1e-12)


def test_likeness_to_many_texts_has_no_more_directions_than_the_embedding() -> None:
    rng = np.random.default_rng(0)
    features, rows = rng.normal(size=(100, DIM)), rng.normal(size=(60, DIM))
    assert np.linalg.matrix_rank(features @ rows.T) == DIM


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_the_size_of_the_embeddings_does_not_matter(factor: float, clusters: Clusters) -> None:
    one = SLRAVD(texts=texts_of(clusters), n_strengths=4, smallest=0.2).fit(
        clusters.embeddings, clusters.labels
    )
    other = SLRAVD(texts=texts_of(clusters), n_strengths=4, smallest=0.2).fit(
        factor * clusters.embeddings, clusters.labels
    )
    np.testing.assert_allclose(
        one.logits(clusters.test_embeddings),
        other.logits(factor * clusters.test_embeddings),
        rtol=1e-3,
        atol=1e-4,
    )


def test_one_picture_a_class_gets_the_documented_strength_and_share() -> None:
    points = make_clusters(shots=1)
    adapter = SLRAVD(prior=points.prior, texts=texts_of(points)).fit(points.embeddings, points.labels)
    settings = dict(adapter.head_.settings)
    assert settings["share"] == 0.5
    assert settings["strength"] == pytest.approx(1 / 30, rel=0.3)


def test_texts_of_another_model_are_refused(clusters: Clusters) -> None:
    texts = texts_of(clusters)
    wrong = TextFeatures(texts=texts.texts, kinds=texts.kinds, classes=texts.classes, rows=texts.rows[:, :5])
    with pytest.raises(InputError, match="directions of 5 numbers; expected 12 as the embeddings have"):
        SLRAVD(texts=wrong).fit(clusters.embeddings, clusters.labels)


def test_a_ratio_without_any_l1_is_refused(clusters: Clusters) -> None:
    with pytest.raises(InputError, match="l1_ratio is 0; expected a number above 0 and up to 1"):
        SLRAVD(l1_ratio=0).fit(clusters.embeddings, clusters.labels)
