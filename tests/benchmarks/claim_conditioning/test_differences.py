"""What stored results say about arms."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.claim_conditioning.differences import Difference, Runs, headroom, is_met
from benchmarks.claim_conditioning.plots import draw_all
from benchmarks.claim_conditioning.tables import tables
from benchmarks.intervals import Mean


def run(arm: str, seed: int, values: list[float], none: list[float] | None = None) -> dict[str, Any]:
    contexts = {"none": values} if arm == "siglip" else dict.fromkeys(("own", "swapped", "all_names"), values)
    if arm != "siglip":
        contexts["none"] = none or [value - 0.1 for value in values]
    return {
        "encoder": "compact_20k", "arm": arm, "seed": seed, "accuracy": {"neighbors": contexts},
        "losses": [[100 * step, 5 - step / 10, 2.0] for step in range(1, 11)], "n_steps": 1000,
        "n_encoder_parameters": 20000, "n_generated": 0 if arm == "siglip" else 100,
        "change_relative_variance": None, "change_rms": None,
    }  # fmt: skip


def oracle_list(name: str, start: float, norms: float) -> dict[str, Any]:
    def by_rate(best: float) -> dict[str, dict[str, float]]:
        freedoms = ("head", "norms", "norms_pointwise", "everything")
        return {freedom: {"0.1": best, "0.2": best - 0.1} for freedom in freedoms}

    return {
        "group": "neighbors", "list": name, "start": start, "development": by_rate(0.5),
        "val": by_rate(norms), "more_of_the_same": {"0.1": start + 0.01, "0.2": 0.0},
    }  # fmt: skip


METRICS: dict[str, Any] = {
    "run a": run("siglip", 0, [0.4, 0.5]),
    "run b": run("siglip", 1, [0.4, 0.4]),
    "run c": run("hyper", 0, [0.5, 0.7]),
    "run d": run("token", 0, [0.3, 0.4]),
    "lists": {"neighbors": {"n_classes": 10, "lists": ["1 2", "3 4"], "similarity": [0.2, 0.4]}},
    "oracle compact_20k/siglip-0": {"lists": {"x": oracle_list("3 4", 0.5, 0.9)}},
}


def test_only_seeds_of_both_arms_are_compared() -> None:
    difference = Runs(METRICS, "compact_20k").difference("hyper", "siglip", "neighbors")

    assert difference is not None
    assert difference.by_seed == pytest.approx({0: 0.15})
    np.testing.assert_allclose(difference.by_unit, [0.1, 0.2])


def test_a_mean_is_that_of_the_seeds() -> None:
    found = Runs(METRICS, "compact_20k").mean("siglip", "neighbors")

    assert found is not None
    assert found[0] == pytest.approx(0.425)
    assert found[1] == pytest.approx({0: 0.45, 1: 0.4})


def test_contexts_of_one_arm_are_paired() -> None:
    difference = Runs(METRICS, "compact_20k").difference(
        "hyper", "hyper", "neighbors", contexts=("own", "none")
    )

    assert difference is not None
    assert difference.over_units.mean == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("mean", "low", "seeds", "expected"),
    [(0.06, 0.04, {0: 0.05, 1: 0.07}, True), (0.04, 0.03, {0: 0.04}, False), (0.06, -0.01, {0: 0.06}, False),
     (0.06, 0.01, {0: 0.13, 1: -0.01}, False)],
)  # fmt: skip
def test_a_goal_is_met_beyond_doubt_alone(
    mean: float, low: float, seeds: dict[int, float], expected: bool
) -> None:
    assert is_met(Difference(Mean(mean, low, 1.0), seeds, np.array([mean])), 0.05) is expected


def test_headroom_takes_the_rate_of_the_development_pictures_and_finds_its_lists() -> None:
    found = headroom(METRICS, "compact_20k", "neighbors")

    assert found is not None
    assert found.places == [1]
    assert found.rates["norms"] == "0.1"
    assert found.gain["norms"].tolist() == pytest.approx([0.4])
    assert found.gain["more_of_the_same"].tolist() == pytest.approx([0.01])


def test_the_table_of_headroom_tells_the_share() -> None:
    shown = tables({"metrics": METRICS})["headroom"]

    assert "| `hyper` +20.0 | +50 % |" in shown  # 0.7 of this arm, from 0.5, of 0.4


def test_goals_without_figures_are_left_out_and_others_judged() -> None:
    shown = tables({"metrics": METRICS})["goals"]

    assert "all 200" not in shown
    assert shown.count("| met |") == 2


def test_plots_are_drawn_of_stored_results_alone(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")

    drawn = draw_all({"metrics": METRICS}, tmp_path)

    assert len(drawn) == 4
    assert all(path.stat().st_size > 1000 for path in drawn)
