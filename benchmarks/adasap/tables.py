"""Tables of the comparison, from a stored result."""

import statistics
from typing import Any

from benchmarks.adasap.arms import ARMS
from benchmarks.readme_tables import markdown_table, percent, signed_points

__all__ = ["tables"]


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Return ``arms`` (accuracy and differences), ``steps`` (at equal steps), ``kinds`` and ``cost``."""
    metrics = results["metrics"]
    arms, beside = metrics["arms"], metrics["beside_sgd"]
    at_equal_steps = [
        [
            ARMS[name].title,
            *(signed_points(**difference[key]) for key in ("clean", "corrupted")),
            f"{_sharpness(arms[name]) - _sharpness(arms['sgd_half']):+.3f}",
        ]
        for name, difference in metrics.get("beside_sgd_half", {}).items()
        if ARMS[name].sharpness.method != "none"
    ]
    titles = {"dense": "dense, where all start"} | {name: arm.title for name, arm in ARMS.items()}
    accuracy, kinds, cost = [], [], []
    for name, found in arms.items():
        seeds = found["seeds"]
        difference = beside.get(name, {})
        accuracy.append(
            [
                titles[name],
                percent(_mean(seeds, "clean")),
                percent(statistics.mean(one["corrupted"] for one in seeds)),
                *(signed_points(**difference[key]) if difference else "" for key in ("clean", "corrupted")),
                f"{_sharpness(found):.3f}",
            ]
        )
        kinds.append([titles[name], *(percent(_mean(seeds, kind)) for kind in seeds[0]["accuracy"])])
        ratio = found["latency"]["ratio_cpu"]
        cost.append(
            [
                titles[name],
                f"{seeds[0]['n_parameters']:,}",
                f"{found['size_bytes'] / 1e6:.2f}",
                f"{ratio['median']:.2f} [{ratio['spread'][0]:.2f}, {ratio['spread'][1]:.2f}]",
            ]
        )
    names = [kind.replace("_", " ") for kind in next(iter(arms.values()))["seeds"][0]["accuracy"]]
    return {
        "arms": markdown_table(
            [
                "arm", "clean", "corrupted", "clean − SGD, points", "corrupted − SGD, points",
                "rise of the loss within 0.05",
            ],
            accuracy,
        ),
        "steps": markdown_table(
            [
                "arm", "clean − SGD of as many steps, points", "corrupted − SGD of as many steps, points",
                "difference of the rise",
            ],
            at_equal_steps,
        ),
        "kinds": markdown_table(["arm", *names], kinds),
        "cost": markdown_table(["arm", "parameters", "ONNX, MB", "time / dense"], cost),
    }  # fmt: skip


def _sharpness(found: dict[str, Any]) -> float:
    return statistics.mean(one["sharpness"] for one in found["seeds"])


def _mean(seeds: list[dict[str, Any]], kind: str) -> float:
    return statistics.mean(one["accuracy"][kind] for one in seeds)
