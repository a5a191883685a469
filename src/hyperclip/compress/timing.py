"""Time two programs in alternating pairs, so that a busy machine disturbs both alike."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hyperclip.errors import InputError

__all__ = ["Latency", "alternating_times"]


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Time of the smaller model as a share of the time of the dense one."""

    ratio: float  # median over rounds; below 1 is faster
    low: float  # quartiles over rounds
    high: float
    before_ms: float  # medians of a call
    after_ms: float
    n_rounds: int


def alternating_times(before: Callable[[], object], after: Callable[[], object], *, n_rounds: int) -> Latency:
    """Call both once a round, every other round in reverse order, after one call each that does not count.

    Parameters
    ----------
    before, after : callable
        Called without arguments.
    n_rounds : int, at least 1

    Raises
    ------
    InputError
        If there is no round.
    """
    if n_rounds < 1:
        raise InputError(f"n_rounds is {n_rounds}; expected at least 1; try 15.")
    calls = (before, after)
    times: tuple[list[float], list[float]] = ([], [])
    for call in calls:
        call()
    for number in range(n_rounds):
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            started = time.perf_counter()
            calls[which]()
            times[which].append(time.perf_counter() - started)
    ratios = [new / old for old, new in zip(*times, strict=True)]
    low, high = np.quantile(ratios, [0.25, 0.75])
    return Latency(
        ratio=statistics.median(ratios),
        low=float(low),
        high=float(high),
        before_ms=1000 * statistics.median(times[0]),
        after_ms=1000 * statistics.median(times[1]),
        n_rounds=n_rounds,
    )
