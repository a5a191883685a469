"""Accuracy against shots, one panel a set."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.few_shot.tables import METHOD_NAMES, half_width

__all__ = ["draw_plots"]

COLORS = {
    "zero_shot": "#70747c",
    "prototype": "#b9893c",
    "linear_probe": "#ce4a34",
    "gda": "#188c68",
    "wise": "#346ad6",
    "slr_avd": "#8b4fb3",
    "auto": "#1c1e24",
}


def draw_plots(sets: Mapping[str, Any], folder: Path) -> None:
    """Draw ``accuracy.png`` into a folder: means over the draws, bands hold 95 % of the mean."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    n_columns = min(3, len(sets))
    n_rows = -(-len(sets) // n_columns)
    figure = Figure(figsize=(4.2 * n_columns, 3.4 * n_rows + 0.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for axes, (name, found) in zip(grid, sets.items(), strict=False):
        shots = sorted(map(int, found["shots"]))
        for method, color in COLORS.items():
            values = [100 * np.array(found["shots"][str(n)]["own"][method]["acc1"]) for n in shots]
            mean = np.array([row.mean() for row in values])
            width = np.array([half_width(row) for row in values])
            is_auto = method == "auto"
            axes.plot(
                shots,
                mean,
                color=color,
                linewidth=2.2 if is_auto else 1.4,
                linestyle=(0, (4, 2)) if is_auto else "-",
                marker=None if method == "zero_shot" else "o",
                markersize=3,
                label=METHOD_NAMES[method],
            )
            axes.fill_between(shots, mean - width, mean + width, color=color, alpha=0.12, linewidth=0)
        axes.set_xscale("log", base=2)
        axes.set_xticks(shots, [str(n) for n in shots])
        axes.set_title(f"{name}, {found['n_classes']} classes", loc="left", fontsize=10)
        axes.set_xlabel("pictures of each class", fontsize=8)
        axes.set_ylabel("right, %", fontsize=8)
        axes.tick_params(labelsize=8, length=0)
        axes.grid(color="#e4e4df", linewidth=0.8)
        for spine in axes.spines.values():
            spine.set_visible(False)
    for axes in grid[len(sets) :]:
        axes.axis("off")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8, frameon=False)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "accuracy.png")
