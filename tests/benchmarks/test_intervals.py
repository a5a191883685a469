"""Bootstrap intervals."""

import numpy as np
import pytest
from benchmarks.intervals import bootstrap_mean, paired_difference


def test_equal_values_have_an_interval_without_width() -> None:
    assert bootstrap_mean(np.full(40, 0.25)) == (0.25, 0.25, 0.25)


@pytest.mark.parametrize("kind", ["right or wrong", "real"])
def test_the_interval_is_that_of_the_normal_approximation_for_many_values(kind: str) -> None:
    rng = np.random.default_rng(3)
    values = rng.random(2000) < 0.3 if kind == "right or wrong" else rng.normal(2.0, 1.0, 2000)

    mean, low, high = bootstrap_mean(values)

    half = 1.96 * np.std(values) / np.sqrt(len(values))
    assert mean == pytest.approx(np.mean(values))
    assert low == pytest.approx(mean - half, abs=0.1 * half)  # 5,000 resamples: the ends vary by some percent
    assert high == pytest.approx(mean + half, abs=0.1 * half)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(0).random(50)

    assert bootstrap_mean(values, seed=1) == bootstrap_mean(values, seed=1)
    assert bootstrap_mean(values, seed=1) != bootstrap_mean(values, seed=2)


def test_pairs_share_what_makes_tasks_hard() -> None:
    difficulty = np.random.default_rng(0).normal(0, 1, 200)
    first, second = difficulty + 0.1, difficulty

    mean, low, high = paired_difference(first, second)

    assert (mean, low, high) == pytest.approx((0.1, 0.1, 0.1))


def test_unequal_numbers_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="expected pairs"):
        paired_difference([1.0, 0.0], [1.0])
