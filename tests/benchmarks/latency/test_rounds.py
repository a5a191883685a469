"""Rounds of timing."""

import pytest
from benchmarks.latency.rounds import ratio, spread, take_turns


def test_every_other_round_goes_backwards() -> None:
    calls: list[str] = []
    candidates = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}

    times = take_turns(candidates, n_rounds=2, seconds_a_turn=0.0)

    assert "".join(calls) == "aabb" + "aaabbb" + "bbbaaa"  # two each to warm up, then three a turn
    assert len(times["a"].wall_ms) == len(times["b"].cpu_ms) == 2


def test_the_ratio_is_taken_round_by_round() -> None:
    found = ratio([1.0, 20.0, 3.0], [1.0, 10.0, 3.0])  # the second round was slow for both

    assert found["median"] == 1.0
    assert found["spread"] == (1.0, 2.0)


def test_the_spread_leaves_out_two_rounds_at_each_end() -> None:
    assert spread([9.0, 1.0, 2.0, 3.0, 4.0, 5.0, 8.0]) == (3.0, 5.0)
    assert spread([2.0, 1.0]) == (1.0, 2.0)


def test_a_summary_has_both_clocks() -> None:
    found = take_turns({"work": lambda: sum(range(20_000))}, n_rounds=3, seconds_a_turn=0.001)[
        "work"
    ].summary()

    assert 0 < found["wall_ms_spread"][0] <= found["wall_ms"] <= found["wall_ms_spread"][1]
    assert found["cpu_ms"] == pytest.approx(found["wall_ms"], rel=0.9) or found["cpu_ms"] < found["wall_ms"]
