"""Figures of the swap test."""

import numpy as np
import pytest
from benchmarks.conditioning.swap_test import relative_variance, summarize


def test_equal_changes_do_not_vary() -> None:
    changes = np.tile(np.random.default_rng(0).normal(size=5), (8, 1))

    assert relative_variance(changes) == pytest.approx(0.0, abs=1e-12)


def test_changes_without_a_common_part_vary_wholly() -> None:
    changes = np.random.default_rng(0).normal(size=(8, 5))

    assert relative_variance(np.concatenate([changes, -changes])) == pytest.approx(1.0)


def test_no_changes_have_no_variance() -> None:
    assert relative_variance(np.zeros((4, 0))) is None
    assert relative_variance(np.zeros((4, 3))) is None


def test_own_is_compared_task_by_task() -> None:
    neutral = np.random.default_rng(0).random(20)

    found = summarize({"own": neutral + 0.02, "neutral": neutral, "swapped": neutral + 0.02})

    assert found["own_minus"]["neutral"]["mean"] == pytest.approx(0.02)
    assert found["own_minus"]["neutral"]["low"] == pytest.approx(0.02)
    assert found["own_minus"]["swapped"]["mean"] == pytest.approx(0.0)
    assert "own" not in found["own_minus"]
