"""What is compared, and that an interrupted run goes on where it stopped."""

from pathlib import Path

from benchmarks.wanda.arms import LEVELS, Arm, arms, measured
from benchmarks.wanda.tables import tables

from hyperclip.compress.magnitude import MagnitudeConfig
from hyperclip.compress.wanda import WandaConfig


def test_both_methods_are_measured_alike_at_every_level_and_seed() -> None:
    todo = arms("moments", side_repair="none")
    main = {
        (arm.method, arm.level, arm.seed) for arm in todo if arm.repair == "moments" and arm.is_sequential
    }
    assert {
        (method, level, seed) for method in ("wanda", "magnitude") for level in LEVELS for seed in range(3)
    } <= main
    assert len(todo) == len(set(todo))
    # Magnitude without repair looks at no data, so that one seed says all.
    bare = [arm for arm in todo if arm.method == "magnitude" and arm.repair == "none"]
    assert {arm.seed for arm in bare} == {0}


def test_an_arm_becomes_the_config_of_its_method() -> None:
    assert Arm("wanda", "60 %", "none").config() == WandaConfig(sparsity=0.6, repair="none")
    pattern = Arm("magnitude", "2:4", "mean", granularity="layer").config()
    assert pattern == MagnitudeConfig(pattern="2:4", repair="mean", granularity="layer")


def test_what_the_cache_holds_is_not_measured_again(tmp_path: Path) -> None:
    calls: list[Arm] = []

    def measure(arm: Arm) -> dict[str, float]:
        calls.append(arm)
        return {"acc1": 0.5}

    todo = [Arm("wanda", "50 %", "none", seed=seed) for seed in range(2)]
    first = measured(todo, measure, what="image", cache=tmp_path)
    again = measured(todo, measure, what="image", cache=tmp_path)
    assert first == again
    assert len(calls) == 2
    measured(todo[:1], measure, what="text", cache=tmp_path)
    assert len(calls) == 3


def test_tables_show_the_mean_and_the_range_over_seeds() -> None:
    def row(method: str, seed: int, acc1: float) -> dict[str, object]:
        arm = Arm(method, "50 %", "moments", seed=seed)
        return {
            **vars(arm), "acc1": acc1, "agreement": acc1, "size_bytes": 2e6, "gzip_bytes": 1e6, "zeros": 0.5,
        }  # fmt: skip

    rows = [row("wanda", 0, 0.2), row("wanda", 1, 0.4), row("magnitude", 0, 0.1)]
    dense = {"acc1": 0.7, "size_bytes": 2e6, "gzip_bytes": 1.6e6}
    made = tables({"metrics": {"image": {"dense": dense, "arms": rows}}})
    assert "| 50 % | wanda | 30.0 [20.0, 40.0] | 30.0 [20.0, 40.0] |" in made["image"]
    assert "| 50 % | magnitude | 10.0 | 10.0 |" in made["image"]
    assert "| 60 % | wanda | – | – |" in made["image"]
    assert "0.62" in made["bytes"]
