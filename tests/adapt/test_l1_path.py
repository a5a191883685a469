"""The sparse path: nothing at its start, optimal everywhere, and the same as scikit-learn's."""

import logging

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="adapting needs scikit-learn: pip install 'hyperclip[adapt]'")

from hyperclip.adapt.l1_path import gradient, largest_strength, solve_path
from hyperclip.runtime.classifier import softmax

N, M, K = 60, 15, 4


def problem(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = np.arange(N) % K
    features = rng.normal(size=(N, M))
    features[:, :K] += 1.5 * np.eye(K)[target]
    return (features - features.mean(axis=0)) / features.std(axis=0), target


def test_above_the_largest_strength_everything_is_zero_and_below_it_is_not() -> None:
    features, target = problem()
    largest = largest_strength(features, target, K)
    above, below = solve_path(features, target, K, [1.02 * largest, 0.9 * largest])
    assert not above.coefficients.any()
    assert np.ptp(above.intercepts) < 1e-5  # equally many of each class
    assert 0 < np.count_nonzero(below.coefficients) < K * M


def test_with_nothing_but_intercepts_classes_get_their_shares() -> None:
    features, target = problem()
    few = np.concatenate([np.flatnonzero(target != 3), np.flatnonzero(target == 3)[:5]])
    (found,) = solve_path(features[few], target[few], K, [10.0])
    shares = np.exp(found.intercepts) / np.exp(found.intercepts).sum()
    np.testing.assert_allclose(shares, np.bincount(target[few]) / len(few), atol=1e-6)


@pytest.mark.parametrize("share", [0.5, 0.1, 0.02])
def test_the_optimality_conditions_hold(share: float) -> None:
    features, target = problem()
    strength = share * largest_strength(features, target, K)
    (found,) = solve_path(features, target, K, [strength], tolerance=1e-6, max_iterations=20_000)
    slope = gradient(features, target, found)
    used = found.coefficients != 0
    assert np.abs(slope).max() <= strength * (1 + 1e-4)
    np.testing.assert_allclose(slope[used], -strength * np.sign(found.coefficients[used]), rtol=1e-3)


def test_the_median_over_the_classes_of_each_feature_is_zero() -> None:
    features, target = problem()
    (found,) = solve_path(features, target, K, [0.05 * largest_strength(features, target, K)])
    low, high = np.sort(found.coefficients, axis=0)[
        [1, 2]
    ]  # of four classes: zero lies between the middle two
    assert (low <= 1e-6).all()
    assert (high >= -1e-6).all()


def test_it_is_what_scikit_learn_finds() -> None:
    from sklearn.linear_model import LogisticRegression

    features, target = problem()
    strength = 0.1 * largest_strength(features, target, K)
    (found,) = solve_path(features, target, K, [strength], tolerance=1e-7, max_iterations=50_000)
    other = LogisticRegression(
        l1_ratio=1.0, solver="saga", C=1 / (strength * N), tol=1e-9, max_iter=100_000
    ).fit(features, target)
    # A shift of one feature's coefficients over all classes changes nothing, and with evenly many classes
    # the penalty does not always say which: rows are compared after it is taken away.
    ours, theirs = (values - values.mean(axis=0) for values in (found.coefficients, other.coef_))
    np.testing.assert_allclose(ours, theirs, atol=2e-4)


def test_features_in_another_order_give_the_same_in_that_order() -> None:
    features, target = problem()
    strength = 0.1 * largest_strength(features, target, K)
    order = np.random.default_rng(1).permutation(M)
    (one,) = solve_path(features, target, K, [strength], tolerance=1e-7, max_iterations=50_000)
    (other,) = solve_path(features[:, order], target, K, [strength], tolerance=1e-7, max_iterations=50_000)
    np.testing.assert_allclose(other.coefficients, one.coefficients[:, order], atol=1e-5)


def test_a_repeated_feature_changes_no_answer() -> None:
    features, target = problem()
    strengths = largest_strength(features, target, 4) * np.array([0.3, 0.1])
    twice = np.concatenate([features, features[:, :1]], axis=1)
    one = solve_path(features, target, 4, strengths, tolerance=1e-6)[-1]
    other = solve_path(twice, target, 4, strengths, tolerance=1e-6)[-1]
    np.testing.assert_allclose(
        softmax(twice @ other.coefficients.T + other.intercepts),
        softmax(features @ one.coefficients.T + one.intercepts),
        atol=1e-4,
    )


def test_weights_count_as_repeated_pictures() -> None:
    features, target = (part[:30] for part in problem())
    repeated = np.concatenate([features, features[:10]])
    weights = np.where(np.arange(30) < 10, 2.0, 1.0)
    weights *= 30 / weights.sum()
    strengths = [largest_strength(features, target, 4, weights_N=weights) / 10]
    one = solve_path(features, target, 4, strengths, weights_N=weights, tolerance=1e-6)[-1]
    other = solve_path(repeated, np.concatenate([target, target[:10]]), 4, strengths, tolerance=1e-6)[-1]
    np.testing.assert_allclose(one.coefficients, other.coefficients, atol=1e-4)


def test_stopping_early_is_said(caplog: pytest.LogCaptureFixture) -> None:
    features, target = problem()
    with caplog.at_level(logging.WARNING, logger="hyperclip"):
        solve_path(
            features,
            target,
            4,
            [largest_strength(features, target, 4) / 100],
            tolerance=1e-9,
            max_iterations=10,
        )
    assert "The L1 path was stopped early" in caplog.text


def test_at_the_largest_strength_itself_everything_is_zero_to_the_bit() -> None:
    features, target = problem()
    few = np.concatenate([np.flatnonzero(target != 3), np.flatnonzero(target == 3)[:5]])
    (found,) = solve_path(features[few], target[few], K, [largest_strength(features[few], target[few], K)])
    assert not found.coefficients.any()
    np.testing.assert_allclose(softmax(found.intercepts), np.bincount(target[few]) / len(few), rtol=1e-12)
