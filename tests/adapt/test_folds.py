"""Pictures are dealt evenly, copies together, and candidates are judged at their best temperature."""

import numpy as np
import pytest

from hyperclip.adapt.folds import assign_folds, best_temperatures, cross_validate, log_losses
from hyperclip.adapt.prototype import class_means, nearest_mean_head
from hyperclip.adapt.shots import Shots
from tiny_clusters import make_clusters


def test_folds_are_as_even_as_they_can_be_and_keep_one_of_each_class() -> None:
    points = make_clusters(shots=5)
    fold = assign_folds(points.embeddings, points.target)
    for index in range(4):
        assert sorted(fold[points.target == index]) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("shots", "n_folds"), [(2, 2), (3, 3), (5, 5), (16, 5)])
def test_there_are_no_more_folds_than_pictures(shots: int, n_folds: int) -> None:
    points = make_clusters(shots=shots)
    assert len(np.unique(assign_folds(points.embeddings, points.target))) == n_folds


def test_copies_lie_in_one_fold() -> None:
    points = make_clusters(shots=4)
    twice = np.concatenate([points.embeddings, points.embeddings])
    target = np.concatenate([points.target, points.target])
    fold = assign_folds(twice, target)
    np.testing.assert_array_equal(fold[:16], fold[16:])
    assert set(fold.tolist()) == {0, 1, 2, 3}


def test_nothing_is_held_out_where_every_class_has_one_picture_and_copies_of_it() -> None:
    points = make_clusters(shots=1)
    twice = np.concatenate([points.embeddings, points.embeddings])
    assert (assign_folds(twice, np.concatenate([points.target, points.target])) == -1).all()


def test_no_head_saw_the_pictures_that_it_is_asked_about() -> None:
    points = make_clusters(shots=4)
    shots = Shots.standardized(points.embeddings, np.zeros((16, 4)), points.target, n_classes=4)
    seen: list[int] = []

    def fit(known: Shots):
        seen.append(len(known))
        return [nearest_mean_head(class_means(known.features, known.target, 4))]

    found = cross_validate(shots, points.embeddings, fit)
    assert seen == [12, 12, 12, 12]
    row = found.rows[0]
    fold = found.fold[0]
    known = found.rows[found.fold != fold]
    means = class_means(points.embeddings[known], points.target[known], 4)
    expected = ((points.embeddings[row] - means) ** 2).sum(axis=1).argmin()
    assert found.logits[0, 0].argmax() == expected


def test_a_head_is_judged_by_its_answers_not_by_the_size_of_its_numbers() -> None:
    rng = np.random.default_rng(0)
    logits, target = rng.normal(size=(50, 3)), rng.integers(0, 3, 50)
    _, losses = best_temperatures(np.stack([logits, 4 * logits]), target)
    assert losses[0].mean() == pytest.approx(losses[1].mean(), rel=0.01)  # the grid has steps of a fifth


def test_losses_are_minus_the_logarithm_of_the_softmax() -> None:
    logits, target = np.array([[1.0, 2.0, 0.0]]), np.array([1])
    probability = np.exp(2 / 0.5) / np.exp(np.array([1, 2, 0]) / 0.5).sum()
    assert log_losses(logits, target, np.array([0.5]))[0, 0] == pytest.approx(-np.log(probability))
