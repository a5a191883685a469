"""Clean and corrupted accuracy of every arm, as a picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.adasap.arms import ARMS

__all__ = ["draw"]


def draw(metrics: Mapping[str, Any], path: Path) -> None:
    """Draw each arm as a pair of points, clean and corrupted, with a point for each seed."""
    from matplotlib.figure import Figure

    arms = metrics["arms"]
    figure = Figure(figsize=(7, 0.6 * len(arms) + 1.2), layout="constrained")
    axes = figure.add_subplot()
    titles = {"dense": "dense"} | {name: arm.title for name, arm in ARMS.items()}
    for row, found in enumerate(arms.values()):
        clean = [100 * seed["accuracy"]["clean"] for seed in found["seeds"]]
        spoiled = [100 * seed["corrupted"] for seed in found["seeds"]]
        ends = [sum(clean) / len(clean), sum(spoiled) / len(spoiled)]
        axes.plot(ends, [row, row], color="0.8", zorder=1)
        for values, color, label in ((clean, "tab:blue", "clean"), (spoiled, "tab:orange", "corrupted")):
            axes.scatter(
                values, [row] * len(values), color=color, label=label if row == 0 else None, zorder=2
            )
            mean = sum(values) / len(values)
            axes.annotate(f"{mean:.1f}", (mean, row), xytext=(0, 7), textcoords="offset points", ha="center")
    axes.set_yticks(range(len(arms)), [titles[name] for name in arms])
    axes.invert_yaxis()
    axes.margins(y=0.2)
    axes.set_xlabel(f"accuracy, % (corrupted: five kinds at severity {metrics['severity']})")
    axes.legend(loc="lower right", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)
