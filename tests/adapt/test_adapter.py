"""The contract of all methods: scikit-learn's habits, classes by name, one sentence for trouble."""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="adapting needs scikit-learn: pip install 'hyperclip[adapt]'")

from sklearn.base import clone
from sklearn.utils.estimator_checks import estimator_checks_generator

from hyperclip.adapt.methods import METHODS
from hyperclip.errors import InputError
from tiny_clusters import NAMES, Clusters, make_clusters

WITHOUT_PRIOR = [name for name, method in METHODS.items() if not method.needs_prior]
CHECKS = [
    pytest.param(estimator, check, id=f"{name}-{getattr(check, 'func', check).__name__}")
    for name in WITHOUT_PRIOR
    for estimator, check in estimator_checks_generator(METHODS[name]())
]


@pytest.mark.parametrize(("estimator", "check"), CHECKS)
def test_methods_that_need_no_prior_pass_the_checks_of_scikit_learn(estimator, check) -> None:
    check(estimator)


@pytest.mark.parametrize("name", METHODS)
def test_a_fitted_method_answers_with_names_and_probabilities(name: str, clusters: Clusters) -> None:
    adapter = METHODS[name](prior=clusters.prior).fit(clusters.embeddings, clusters.labels)
    assert adapter.classes_.tolist() == list(NAMES)
    probabilities = adapter.predict_proba(clusters.test_embeddings)
    assert probabilities.shape == (200, 4)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-9)
    predicted = adapter.predict(clusters.test_embeddings)
    np.testing.assert_array_equal(predicted, adapter.classes_[probabilities.argmax(axis=1)])


@pytest.mark.parametrize("name", METHODS)
def test_the_order_of_the_pictures_does_not_matter(name: str, clusters: Clusters) -> None:
    order = np.random.default_rng(1).permutation(len(clusters.labels))
    one = METHODS[name](prior=clusters.prior).fit(clusters.embeddings, clusters.labels)
    other = METHODS[name](prior=clusters.prior).fit(clusters.embeddings[order], clusters.labels[order])
    assert one.chosen_ == other.chosen_
    np.testing.assert_allclose(one.head_.weight, other.head_.weight, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("name", METHODS)
def test_reordered_classes_reorder_the_rows_of_the_head(name: str, clusters: Clusters) -> None:
    order = [2, 0, 3, 1]
    prior = clusters.prior
    turned = type(prior)(tuple(NAMES[place] for place in order), prior.weight[order])
    one = METHODS[name](prior=prior).fit(clusters.embeddings, clusters.labels)
    other = METHODS[name](prior=turned).fit(clusters.embeddings, clusters.labels)
    np.testing.assert_array_equal(
        one.predict(clusters.test_embeddings), other.predict(clusters.test_embeddings)
    )


@pytest.mark.parametrize("name", METHODS)
def test_a_method_can_be_cloned_and_fitted_again_to_the_same(name: str, clusters: Clusters) -> None:
    adapter = METHODS[name](prior=clusters.prior).fit(clusters.embeddings, clusters.labels)
    again = clone(adapter).fit(clusters.embeddings, clusters.labels)
    np.testing.assert_array_equal(adapter.logits(clusters.embeddings), again.logits(clusters.embeddings))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("features", ["unit", "centered_unit"])
def test_directions_alone_count_where_the_features_are_directions(
    name: str, features: str, clusters: Clusters
) -> None:
    if METHODS[name].needs_prior:
        pytest.skip("the prior reads lengths")
    adapter = METHODS[name](features=features).fit(clusters.embeddings, clusters.labels)
    logits = adapter.logits(clusters.test_embeddings)
    np.testing.assert_allclose(adapter.logits(3 * clusters.test_embeddings), logits, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", METHODS)
def test_one_picture_of_each_class_is_enough(name: str) -> None:
    few = make_clusters(shots=1)
    adapter = METHODS[name](prior=few.prior).fit(few.embeddings, few.labels)
    assert adapter.held_out_ is None
    assert adapter.temperature_ is None
    assert np.isfinite(adapter.predict_proba(few.test_embeddings)).all()


@pytest.mark.parametrize("name", METHODS)
def test_uneven_classes_and_one_with_a_single_picture_are_fine(name: str, clusters: Clusters) -> None:
    keep = (clusters.labels != "ant") | (np.arange(len(clusters.labels)) == 0)
    adapter = METHODS[name](prior=clusters.prior).fit(clusters.embeddings[keep], clusters.labels[keep])
    assert adapter.held_out_ is not None
    assert "ant" not in np.array(NAMES)[adapter.held_out_.target]  # its only picture is never held out
    assert len(adapter.held_out_.target) == 18


@pytest.mark.parametrize("name", METHODS)
def test_embeddings_that_are_not_finite_are_refused(name: str, clusters: Clusters) -> None:
    embeddings = clusters.embeddings.copy()
    embeddings[5, 2] = np.nan
    with pytest.raises(InputError, match="Row 5 of the embeddings holds NaN; expected finite numbers; leave"):
        METHODS[name](prior=clusters.prior).fit(embeddings, clusters.labels)


@pytest.mark.parametrize("name", METHODS)
def test_a_single_class_is_refused_in_one_sentence(name: str, clusters: Clusters) -> None:
    prior = type(clusters.prior)(("ant",), clusters.prior.weight[:1])
    keep = clusters.labels == "ant"
    with pytest.raises(InputError, match="All pictures are of one class, 'ant'; expected two classes or"):
        METHODS[name](prior=prior).fit(clusters.embeddings[keep], clusters.labels[keep])


@pytest.mark.parametrize("name", ["wise", "slr_avd"])
@pytest.mark.parametrize("shares", [(), (1.5,), (-0.1, 0.5), (float("nan"),)])
def test_shares_that_are_none_are_refused(name: str, shares, clusters: Clusters) -> None:
    with pytest.raises(InputError, match=r"shares is .*; expected at least one number, each from 0 to 1"):
        METHODS[name](prior=clusters.prior, shares=shares).fit(clusters.embeddings, clusters.labels)


def test_a_covariance_that_is_not_shrunk_needs_more_pictures_than_numbers() -> None:
    few = make_clusters(shots=2)
    with pytest.raises(InputError, match="The covariance of 8 pictures in 12 numbers cannot be inverted"):
        METHODS["gda"](prior=few.prior, precision="empirical").fit(few.embeddings, few.labels)


def test_a_class_without_pictures_is_named(clusters: Clusters) -> None:
    keep = clusters.labels != "cow"
    with pytest.raises(InputError, match="There is no picture of 'cow'; expected at least one of each"):
        METHODS["gda"](prior=clusters.prior).fit(clusters.embeddings[keep], clusters.labels[keep])


def test_labels_that_are_no_classes_are_named(clusters: Clusters) -> None:
    labels = np.where(clusters.labels == "cow", "cat", clusters.labels)
    with pytest.raises(InputError, match="The labels 'cat' are no classes of the prior; expected its"):
        METHODS["gda"](prior=clusters.prior).fit(clusters.embeddings, labels)


def test_a_method_that_mixes_needs_something_to_mix_with(clusters: Clusters) -> None:
    with pytest.raises(InputError, match="Wise has no prior; expected the zero-shot head; pass prior="):
        METHODS["wise"]().fit(clusters.embeddings, clusters.labels)


def test_unknown_features_are_refused(clusters: Clusters) -> None:
    with pytest.raises(InputError, match="features is 'sharp'; expected one of raw, unit, centered_unit"):
        METHODS["gda"](features="sharp").fit(clusters.embeddings, clusters.labels)


def test_held_out_answers_are_about_the_pictures_they_say(clusters: Clusters) -> None:
    adapter = METHODS["gda"](prior=clusters.prior).fit(clusters.embeddings, clusters.labels)
    held_out = adapter.held_out_
    np.testing.assert_array_equal(clusters.target[held_out.rows], held_out.target)
    assert sorted(held_out.rows.tolist()) == list(range(24))
