"""Tables of the comparison, from a stored result."""

import statistics
from typing import Any

from benchmarks.adasap.arms import ARMS
from benchmarks.readme_tables import markdown_table, percent, signed_points

__all__ = ["tables"]


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Return ``arms`` (accuracy and differences), ``kinds`` (each corruption) and ``cost``."""
    metrics = results["metrics"]
    arms, beside = metrics["arms"], metrics["beside_sgd"]
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
                f"{statistics.mean(one['sharpness'] for one in seeds):.3f}",
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
        "kinds": markdown_table(["arm", *names], kinds),
        "cost": markdown_table(["arm", "parameters", "ONNX, MB", "time / dense"], cost),
    }  # fmt: skip


def _mean(seeds: list[dict[str, Any]], kind: str) -> float:
    return statistics.mean(one["accuracy"][kind] for one in seeds)
