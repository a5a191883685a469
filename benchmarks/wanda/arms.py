"""What is compared: every combination of method, level, repair and grouping that is measured."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.command import say

from hyperclip.bundle.atomic import write_file
from hyperclip.compress.magnitude import MagnitudeConfig
from hyperclip.compress.settings import PruneConfig
from hyperclip.compress.wanda import WandaConfig

__all__ = ["LEVELS", "METHODS", "Arm", "arms", "measured"]

LEVELS = ("50 %", "60 %", "70 %", "2:4")
METHODS = ("wanda", "magnitude")
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Arm:
    """One way of pruning."""

    method: str
    level: str
    repair: str
    granularity: str = "output"
    is_sequential: bool = True
    seed: int = 0  # of the draw of calibration data

    def config(self) -> PruneConfig:
        """Return the method's config."""
        kind = WandaConfig if self.method == "wanda" else MagnitudeConfig
        is_pattern = ":" in self.level
        return kind(
            sparsity=None if is_pattern else float(self.level.removesuffix(" %")) / 100,
            pattern=self.level if is_pattern else None,
            repair=self.repair,
            granularity=self.granularity,
            is_sequential=self.is_sequential,
        )


def arms(main_repair: str, *, side_repair: str, side_levels: tuple[str, ...] = LEVELS) -> list[Arm]:
    """Return three seeds of both methods at all levels, and the variations that are asked about.

    Parameters
    ----------
    main_repair, side_repair : str
        The repair with three seeds and comparisons within a layer; and the other one.
    side_levels : tuple of str
        Levels of the other repair.
    """
    found = [
        Arm(method, level, main_repair, seed=seed)
        for level in LEVELS
        for method in METHODS
        for seed in (SEEDS if method == "wanda" or main_repair != "none" else SEEDS[:1])
    ]
    found += [
        Arm(method, level, side_repair, seed=seed)
        for level in side_levels
        for method in METHODS
        for seed in (SEEDS if method == "wanda" or side_repair != "none" else SEEDS[:1])
    ]
    found += [
        Arm(method, level, main_repair, granularity="layer")
        for level in LEVELS
        if ":" not in level
        for method in METHODS
    ]
    found += [
        Arm("wanda", level, repair, granularity="cumulative")
        for repair in (main_repair, side_repair)
        for level in LEVELS
        if ":" not in level and (repair == main_repair or level in side_levels)
    ]
    found += [Arm("wanda", level, main_repair, is_sequential=False) for level in ("50 %", "70 %")]
    return list(dict.fromkeys(found))


def measured(
    todo: list[Arm], measure: Callable[[Arm], dict[str, Any]], *, what: str, cache: Path | None
) -> list[dict[str, Any]]:
    """Measure arms; what a cache already holds is not measured again."""
    found = []
    for number, arm in enumerate(todo, 1):
        key = hashlib.sha256(json.dumps([what, asdict(arm)], sort_keys=True).encode()).hexdigest()[:16]
        place = None if cache is None else cache / f"{what}-{key}.json"
        if place is not None and place.exists():
            result = json.loads(place.read_text(encoding="utf-8"))
        else:
            result = measure(arm)
            if place is not None:
                write_file(place, json.dumps(result).encode())
        found.append({**asdict(arm), **result})
        say(f"{what} {number} of {len(todo)}: {arm} {result}")
    return found
