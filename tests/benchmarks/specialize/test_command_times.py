"""Timing of whole processes."""

import sys

import pytest
from benchmarks.specialize.command_times import time_command


def test_cpu_time_is_that_of_the_process() -> None:
    found = time_command([sys.executable, "-S", "-c", "sum(range(2_000_000))"], n_repeats=2)

    assert found["cpu_s"] > 0
    assert found["wall_s"] > 0
    assert found["n_repeats"] == 2


def test_a_command_that_fails_is_no_measurement() -> None:
    with pytest.raises(RuntimeError, match="ended with 3"):
        time_command([sys.executable, "-S", "-c", "raise SystemExit(3)"], n_repeats=1)
