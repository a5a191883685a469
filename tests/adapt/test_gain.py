"""The interval of what was gained."""

import numpy as np
import pytest

from hyperclip.adapt.gain import paired_gain


def test_accuracies_and_their_difference() -> None:
    before = np.array([True, False, False, True, False])
    after = np.array([True, True, True, False, False])
    gain = paired_gain(before, after)
    assert (gain.n, gain.zero_shot, gain.adapted) == (5, 0.4, 0.6)
    assert gain.mean == pytest.approx(0.2)
    assert gain.low < 0 < gain.high


def test_no_difference_in_few_pictures_is_no_certainty() -> None:
    gain = paired_gain(np.ones(8, bool), np.ones(8, bool))
    assert gain.mean == 0
    assert gain.low < -0.1
    assert gain.high > 0.1


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    n_held = 0
    for _ in range(1000):
        before, after = rng.random(40) < 0.5, rng.random(40) < 0.7  # independent: 0.2 apart
        gain = paired_gain(before, after)
        n_held += gain.low <= 0.2 <= gain.high
    assert 0.93 <= n_held / 1000 <= 0.98
