"""What stored results say about arms: means over seeds, paired differences, shares of headroom, goals.

An arm is asked as it would be shipped: made for the list's own names, or neutral without a hypernetwork.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from benchmarks.claim_conditioning.rates import FREEDOMS, chosen_rates
from benchmarks.claim_conditioning.trainings import ARMS
from benchmarks.intervals import Mean, bootstrap_mean

__all__ = ["GOALS", "Difference", "Goal", "Headroom", "Runs", "headroom", "is_met"]


class Difference(NamedTuple):
    """A paired difference of accuracies, as fractions of 1."""

    over_units: Mean  # of means over seeds; units are lists, or classes of a wide list
    by_seed: dict[int, float]
    by_unit: npt.NDArray[np.float64]


class Runs:
    """The measured runs of one encoder.

    Parameters
    ----------
    metrics : mapping
        Of the joined results.
    encoder : str
    """

    def __init__(self, metrics: Mapping[str, Any], encoder: str) -> None:
        self.encoder = encoder
        found = [run for key, run in metrics.items() if key.startswith("run ") and run["encoder"] == encoder]
        self.by_arm: dict[str, dict[int, dict[str, Any]]] = {
            arm: {run["seed"]: run for run in sorted(found, key=lambda run: run["seed"]) if run["arm"] == arm}
            for arm in ARMS
        }

    @staticmethod
    def encoders(metrics: Mapping[str, Any]) -> list[str]:
        """All encoders with results, in the order of their sizes."""
        sizes = {
            run["encoder"]: run["n_encoder_parameters"]
            for key, run in metrics.items()
            if key.startswith("run ")
        }
        return sorted(sizes, key=lambda encoder: int(sizes[encoder]))

    def arms(self) -> list[str]:
        """Arms with at least one run."""
        return [arm for arm, runs in self.by_arm.items() if runs]

    def units(self, arm: str, group: str, context: str | None = None) -> dict[int, npt.NDArray[np.float64]]:
        """Accuracies by seed, each an array over lists or classes; empty where nothing was measured."""
        context = context or ("none" if arm == "siglip" else "own")
        return {
            seed: np.array(run["accuracy"][group][context])
            for seed, run in self.by_arm[arm].items()
            if context in run["accuracy"].get(group, {})
        }

    def mean(self, arm: str, group: str, context: str | None = None) -> tuple[float, dict[int, float]] | None:
        """The mean over seeds, and that of each seed."""
        by_seed = {seed: float(values.mean()) for seed, values in self.units(arm, group, context).items()}
        return (float(np.mean(list(by_seed.values()))), by_seed) if by_seed else None

    def difference(
        self,
        first: str,
        second: str,
        group: str,
        *,
        contexts: tuple[str | None, str | None] = (None, None),
    ) -> Difference | None:
        """First minus second, over the seeds that both have."""
        one, other = self.units(first, group, contexts[0]), self.units(second, group, contexts[1])
        seeds = sorted(set(one) & set(other))
        if not seeds:
            return None
        by_unit = np.mean([one[seed] - other[seed] for seed in seeds], axis=0)
        by_seed = {seed: float((one[seed] - other[seed]).mean()) for seed in seeds}
        return Difference(bootstrap_mean(by_unit), by_seed, by_unit)


class Goal(NamedTuple):
    """One part of the goal."""

    name: str
    groups: tuple[str, ...]  # each must meet it
    pairs: tuple[tuple[str, str], ...]  # alternatives: the best counts
    at_least: float


_OVER_CONTROL = (("hyper_weights", "siglip"), ("hyper", "siglip"))
_OVER_TOKEN = (("hyper_weights", "token_weights"), ("hyper", "token"))
GOALS = (
    Goal("all 200 classes: ≥ +3 over the control", ("all",), _OVER_CONTROL, 0.03),
    Goal("ten neighbors: ≥ +5 over the control", ("neighbors",), _OVER_CONTROL, 0.05),
    Goal("held-out classes: > 0 over the control", ("held_out", "held_out_neighbors"), _OVER_CONTROL, 0.0),
    Goal("ten neighbors: ≥ +2 over learnt tokens", ("neighbors",), _OVER_TOKEN, 0.02),
)


def is_met(difference: Difference, at_least: float) -> bool:
    """Whether the mean reaches a goal, with the interval and every seed above zero."""
    mean, low, _ = difference.over_units
    return mean >= at_least and low > 0 and min(difference.by_seed.values()) > 0


class Headroom(NamedTuple):
    """What optimizing a control for single lists gives, list by list, as fractions of 1."""

    start: npt.NDArray[np.float64]
    gain: dict[str, npt.NDArray[np.float64]]  # by freedom, and `more_of_the_same`
    places: list[int]  # of the lists in their group
    rates: dict[str, str]


def headroom(metrics: Mapping[str, Any], encoder: str, group: str, *, seed: int = 0) -> Headroom | None:
    """Read what the oracle found for the lists of a group."""
    stored = metrics.get(f"oracle {encoder}/siglip-{seed}")
    every: Sequence[Mapping[str, Any]] = list(stored["lists"].values()) if stored else []
    lists = [one for one in every if one["group"] == group]
    if not lists:
        return None
    rates = chosen_rates(every)
    start = np.array([one["start"] for one in lists])
    gain = {
        freedom: np.array([one["val"][freedom][rates[freedom]] for one in lists]) - start
        for freedom in FREEDOMS
    }
    rate = rates["norms_pointwise"]
    gain["more_of_the_same"] = np.array([one["more_of_the_same"][rate] for one in lists]) - start
    known = metrics["lists"][group]["lists"]
    return Headroom(start, gain, [known.index(one["list"]) for one in lists], rates)
