"""Tables of the comparison, from a stored result."""

import statistics
from typing import Any

from benchmarks.adasap.arms import ARMS
from benchmarks.readme_tables import markdown_table, percent, signed_points

__all__ = ["tables"]


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Return the tables of each part that was measured.

    ``arms`` (accuracy and differences), ``steps`` (at equal steps), ``kinds`` and ``cost``; ``specialized``;
    ``bundle``.
    """
    metrics = results["metrics"]
    made = _small_network(metrics) if "arms" in metrics else {}
    if "specialized" in metrics:
        made["specialized"] = _specialized(metrics["specialized"]["arms"])
    if "bundle" in metrics:
        made["bundle"] = _bundle(metrics["bundle"])
    return made


def _small_network(metrics: dict[str, Any]) -> dict[str, str]:
    """Tables of the arms on a network trained from nothing."""
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


def _specialized(arms: dict[str, Any]) -> str:
    """Table of what is left of a specialized classifier file."""
    titles = {"sgd": "magnitude + SGD", "sam": "magnitude + SAM", "adasap": "AdaSAP, a ball a neuron"}
    rows = []
    for found in arms.values():
        difference = found.get("beside_sgd", {})
        share = found.get("channels")
        time = "1.00" if share is None else _with_quartiles(found)
        rows.append(
            [
                "dense, zero-shot" if share is None else titles[found["arm"]],
                "–" if share is None else f"{share:.0%}",
                percent(found["accuracy"]["clean"]),
                percent(found["corrupted"]),
                *(signed_points(**difference[key]) if difference else "" for key in ("clean", "corrupted")),
                f"{found['size_bytes'] / 1e6:.2f}",
                time,
            ]
        )
    header = [
        "arm", "channels removed", "clean", "corrupted", "clean − SGD, points", "corrupted − SGD, points",
        "ONNX, MB", "time / dense",
    ]  # fmt: skip
    return markdown_table(header, rows)


def _with_quartiles(found: dict[str, Any]) -> str:
    low, high = found["latency_ratio_quartiles"]
    return f"{found['latency_ratio']:.2f} [{low:.2f}, {high:.2f}]"


def _bundle(found: dict[str, Any]) -> str:
    """Table of one bundle before, pruned and retrained, under two lists of names."""
    lists = list(found["lists"])
    rows = [
        [
            row["title"],
            *(percent(row["accuracy"][name]) for name in lists),
            f"{row['encoder_bytes'] / 1e6:.2f}",
            "1.00" if "latency_ratio" not in row else _with_quartiles(row),
        ]
        for row in found["rows"]
    ]
    return markdown_table([found["model"], *lists, "encoder.onnx, MB", "time / dense"], rows)


def _sharpness(found: dict[str, Any]) -> float:
    return statistics.mean(one["sharpness"] for one in found["seeds"])


def _mean(seeds: list[dict[str, Any]], kind: str) -> float:
    return statistics.mean(one["accuracy"][kind] for one in seeds)
