"""Plots of the comparison as PNG, from stored results."""

from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.claim_conditioning.differences import Runs, headroom
from benchmarks.claim_conditioning.labels import COLORS, FREEDOM_NAMES, GROUP_NAMES

__all__ = ["draw_all"]

PREFIX = "does-conditioning-help"
_BARS = ("all", "neighbors", "subtrees", "random", "held_out", "held_out_neighbors", "cifar10")
_CAPTURED_BY = {"norms": "hyper", "norms_pointwise": "hyper_weights"}


def draw_all(results: dict[str, Any], folder: Path) -> list[Path]:
    """Draw every plot for which there are figures, of the encoder with the most runs.

    Parameters
    ----------
    results : dict
        As `benchmarks.result_file.read_newest` gives it.
    folder : Path
        Where the files ``does-conditioning-help-*.png`` go.
    """
    metrics = results["metrics"]
    encoders = [Runs(metrics, encoder) for encoder in Runs.encoders(metrics)]
    if not encoders:
        return []
    runs = max(encoders, key=lambda one: sum(map(len, one.by_arm.values())))
    drawn = [
        _draw_arms(runs, folder),
        _draw_ways(runs, metrics, folder),
        _draw_similarity(runs, metrics, folder),
    ]
    if headroom(metrics, runs.encoder, "neighbors") is not None:
        drawn.append(_draw_headroom(runs, metrics, folder))
    return drawn


def _figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Any, folder: Path, name: str) -> Path:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    for axes in figure.axes:
        if axes.get_legend_handles_labels()[1]:
            axes.legend(frameon=False, fontsize=8, ncols=5 if name == "arms" else 1)
    path = folder / f"{PREFIX}-{name}.png"
    FigureCanvasAgg(figure).print_png(str(path), metadata={"Software": None})
    return path


def _draw_arms(runs: Runs, folder: Path) -> Path:
    """Bars are means over seeds, points are seeds."""
    figure, axes = _figure(9.5, 4)
    arms = runs.arms()
    width = 0.8 / len(arms)
    for index, arm in enumerate(arms):
        for place, group in enumerate(_BARS):
            value = runs.mean(arm, group)
            if value is None:
                continue
            x = place + width * (index - (len(arms) - 1) / 2)
            label = arm if place == 0 else None
            axes.bar(x, 100 * value[0], width=0.92 * width, color=COLORS[arm], label=label)
            seeds = [100 * one for one in value[1].values()]
            axes.plot([x] * len(seeds), seeds, "o", color="black", markersize=2.5)
    axes.set_xticks(
        range(len(_BARS)), [GROUP_NAMES[group].replace(", ", ",\n") for group in _BARS], fontsize=8
    )
    axes.set_ylim(0, 1.15 * axes.get_ylim()[1])  # room for the legend
    axes.set_ylabel("accuracy, %")
    axes.set_title(f"{runs.encoder}: arms by kind of list; points are seeds", fontsize=10)
    return _save(figure, folder, "arms")


def _draw_ways(runs: Runs, metrics: dict[str, Any], folder: Path) -> Path:
    """Accuracy on random lists of 2 to 160 classes."""
    figure, axes = _figure(6, 4)
    lists = metrics["lists"]
    groups = [group for group in lists if group in ("random", "seen") or group.startswith("random_")]
    groups.sort(key=lambda group: int(lists[group]["n_classes"]))
    sizes = [lists[group]["n_classes"] for group in groups]
    for arm in runs.arms():
        values = [runs.mean(arm, group) for group in groups]
        means = [np.nan if value is None else 100 * value[0] for value in values]
        axes.plot(sizes, means, "-", color=COLORS[arm], label=arm, linewidth=1.5)
        for size, value in zip(sizes, values, strict=True):
            seeds = [] if value is None else [100 * one for one in value[1].values()]
            axes.plot([size] * len(seeds), seeds, "o", color=COLORS[arm], markersize=3)
    axes.plot(sizes, [100 / size for size in sizes], ":", color="black", label="chance", linewidth=1)
    axes.set_xscale("log")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel("classes in the list, drawn at random")
    axes.set_ylabel("accuracy, %")
    return _save(figure, folder, "classes")


def _draw_similarity(runs: Runs, metrics: dict[str, Any], folder: Path) -> Path:
    """Gain over the control, list by list, against how similar the list's classes are."""
    figure, axes = _figure(6, 4)
    for arm in ("hyper_weights", "hyper"):
        x: list[float] = []
        y: list[float] = []
        for group in ("neighbors", "subtrees", "random"):
            difference = runs.difference(arm, "siglip", group)
            if difference is not None:
                x.extend(metrics["lists"][group]["similarity"])
                y.extend((100 * difference.by_unit).tolist())
        if len(x) > 2:
            slope, start = np.polyfit(x, y, 1)
            ends = np.array([min(x), max(x)])
            axes.plot(x, y, "o", color=COLORS[arm], markersize=3, alpha=0.6, label=arm)
            axes.plot(ends, start + slope * ends, "-", color=COLORS[arm], linewidth=1.5)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xlabel("mean cosine between the ten classes of a list (MiniLM)")
    axes.set_ylabel("accuracy minus that of siglip, points")
    return _save(figure, folder, "similarity")


def _draw_headroom(runs: Runs, metrics: dict[str, Any], folder: Path) -> Path:
    """What optimizing for one list gives, and what the hypernetworks give on the same lists."""
    found = headroom(metrics, runs.encoder, "neighbors")
    assert found is not None
    figure, axes = _figure(7, 4)
    for place, (freedom, gain) in enumerate(found.gain.items()):
        axes.bar(
            place - 0.2, 100 * gain.mean(), width=0.36, color="#c9c9c2", label=None if place else "oracle"
        )
        axes.plot([place - 0.2] * len(gain), 100 * gain, "o", color="black", markersize=2.5)
        arm = _CAPTURED_BY.get(freedom)
        units = runs.units(arm, "neighbors").get(0) if arm else None
        if arm and units is not None:
            captured = 100 * (units[found.places] - found.start)
            axes.bar(place + 0.2, captured.mean(), width=0.36, color=COLORS[arm], label=arm)
            axes.plot([place + 0.2] * len(captured), captured, "o", color="black", markersize=2.5)
    names = [FREEDOM_NAMES[freedom].replace(", ", ",\n").replace(" on ", "\non ") for freedom in found.gain]
    axes.set_xticks(range(len(names)), names, fontsize=8)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_ylabel("accuracy minus that of siglip, points")
    axes.set_title(f"{runs.encoder}: headroom on lists of ten neighbors; points are lists", fontsize=10)
    return _save(figure, folder, "headroom")
