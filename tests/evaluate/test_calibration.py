"""Calibration error against a slow count, and at its two ends."""

import numpy as np
import pytest

from hyperclip.errors import InputError
from hyperclip.evaluate.calibration import expected_calibration_error


@pytest.mark.parametrize("n_bins", [1, 4, 15])
def test_error_is_the_formula_of_its_reference(n_bins: int) -> None:
    rng = np.random.default_rng(0)
    confidence = np.concatenate([rng.random(200), [0.0, 0.25, 0.5, 1.0]])
    is_right = rng.random(len(confidence)) < confidence**2
    expected = 0.0
    for index in range(n_bins):
        low, high = index / n_bins, (index + 1) / n_bins
        inside = (confidence > low) & (confidence <= high) | ((index == 0) & (confidence == 0))
        if inside.any():
            distance = abs(is_right[inside].mean() - confidence[inside].mean())
            expected += inside.mean() * distance

    found = expected_calibration_error(confidence, is_right, n_bins=n_bins)

    assert found == pytest.approx(expected, abs=1e-12)


def test_honest_probabilities_have_hardly_any_error() -> None:
    rng = np.random.default_rng(1)
    confidence = rng.random(200_000)

    assert expected_calibration_error(confidence, rng.random(200_000) < confidence) < 0.01


def test_sure_and_always_wrong_is_the_worst() -> None:
    assert expected_calibration_error([1.0, 1.0], [False, False]) == 1.0


@pytest.mark.parametrize(
    ("confidence", "is_right", "n_bins", "said"),
    [
        ([0.5], [True, False], 15, "same evaluation"),
        ([], [], 15, "same evaluation"),
        ([1.5], [True], 15, "probabilities in"),
        ([float("nan")], [True], 15, "probabilities in"),
        ([0.5], [True], 0, "at least 1"),
    ],
)
def test_what_cannot_be_judged_is_refused(
    confidence: list[float], is_right: list[bool], n_bins: int, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        expected_calibration_error(confidence, is_right, n_bins=n_bins)
