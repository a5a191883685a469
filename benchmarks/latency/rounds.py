"""Timing that a busy machine disturbs little: short turns in alternating order, medians, and the spread."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Times", "ratio", "spread", "take_turns"]

N_EXTREMES = (
    2  # rounds at each end that the spread leaves out: it runs from the 3rd lowest to the 3rd highest
)


@dataclass
class Times:
    """Milliseconds a call, the median of each round, by the wall clock and by the thread's CPU clock."""

    wall_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Return medians and spreads."""
        return {
            "wall_ms": statistics.median(self.wall_ms),
            "wall_ms_spread": spread(self.wall_ms),
            "cpu_ms": statistics.median(self.cpu_ms),
            "cpu_ms_spread": spread(self.cpu_ms),
        }


def take_turns(
    candidates: Mapping[str, Callable[[], object]], *, n_rounds: int, seconds_a_turn: float
) -> dict[str, Times]:
    """Time candidates in rounds; every other round goes backwards.

    Parameters
    ----------
    candidates : mapping of str to callable
        What is timed; called without arguments, in this thread.
    n_rounds : int
        At least 1.
    seconds_a_turn : float
        About how long each candidate is called in a round, at least three times.

    Returns
    -------
    dict of str to Times
        One median a round.
    """
    n_calls = {}
    for name, call in candidates.items():
        call()  # allocates what stays
        started = time.perf_counter()
        call()
        n_calls[name] = max(3, round(seconds_a_turn / max(time.perf_counter() - started, 1e-6)))
    found = {name: Times() for name in candidates}
    names = list(candidates)
    for number in range(n_rounds):
        for name in names if number % 2 == 0 else reversed(names):
            wall, cpu = _timed(candidates[name], n_calls[name])
            found[name].wall_ms.append(1000 * wall)
            found[name].cpu_ms.append(1000 * cpu)
    return found


def _timed(call: Callable[[], object], n_calls: int) -> tuple[float, float]:
    """Return the median seconds of a call by both clocks."""
    wall, cpu = [], []
    for _ in range(n_calls):
        wall_start, cpu_start = time.perf_counter(), time.thread_time()
        call()
        cpu.append(time.thread_time() - cpu_start)
        wall.append(time.perf_counter() - wall_start)
    return statistics.median(wall), statistics.median(cpu)


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Return the 3rd lowest and the 3rd highest value, or the ends of fewer than seven."""
    ordered = sorted(values)
    cut = N_EXTREMES if len(ordered) > 3 * N_EXTREMES else 0
    return ordered[cut], ordered[-1 - cut]


def ratio(first: Sequence[float], second: Sequence[float]) -> dict[str, Any]:
    """Return the median of the ratios ``first / second`` of each round, and their spread."""
    ratios = [one / other for one, other in zip(first, second, strict=True)]
    return {"median": statistics.median(ratios), "spread": spread(ratios), "n_rounds": len(ratios)}
