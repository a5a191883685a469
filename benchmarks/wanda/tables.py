"""Tables and the picture of the comparison, from stored results."""

import statistics
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from benchmarks.readme_tables import markdown_table, percent
from benchmarks.wanda.arms import LEVELS, METHODS

from hyperclip.bundle.atomic import write_file

__all__ = ["draw", "tables"]

PARTS = {"image": "acc1", "text": "recall_at_1", "minilm": "recall_at_1"}
TITLES = {
    "image": "image encoder of small: caltech101 zero-shot accuracy",
    "text": "text encoder of small: caption to caption, recall at 1",
    "minilm": "all-MiniLM-L6-v2: caption to caption, recall at 1",
}
Row = dict[str, Any]


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Return ``image``, ``text`` and ``minilm`` by level, their variations, ``bytes`` and ``causal``."""
    metrics = results["metrics"]
    made = {}
    for part, figure in PARTS.items():
        if part in metrics:
            repair = "moments" if part != "minilm" else "none"
            made[part] = _levels(metrics[part], figure, repair)
            made[f"{part}_variations"] = _variations(metrics[part], figure, repair)
    if "image" in metrics:
        made["bytes"] = _bytes(metrics["image"])
    if "calibration" in metrics:
        rows = [
            [n, _spread(arms, "acc1"), _spread(arms, "agreement")]
            for n, arms in metrics["calibration"].items()
        ]
        made["calibration"] = markdown_table(["pictures", "accuracy, %", "same answer as dense, %"], rows)
    if "causal" in metrics:
        made["causal"] = _causal(metrics["causal"])
    return made


def _chosen(found: Row, **wanted: Any) -> list[Row]:
    """Return the arms of these settings, of all seeds; per output and sequential unless said otherwise."""
    wanted = {"granularity": "output", "is_sequential": True, **wanted}
    return [row for row in found["arms"] if all(row[key] == value for key, value in wanted.items())]


def _spread(rows: list[Row], figure: str) -> str:
    """Return the mean over seeds as a percentage, and the range where there are several."""
    values = [row[figure] for row in rows]
    if not values:
        return "–"
    text = percent(statistics.fmean(values))
    return text if len(values) == 1 else f"{text} [{percent(min(values))}, {percent(max(values))}]"


def _levels(found: Row, figure: str, repair: str) -> str:
    """Return one line a level and method: the figure and the agreement with the dense model."""
    rows = [["dense", "", percent(found["dense"][figure]), "100.0"]]
    for level in LEVELS:
        for method in METHODS:
            arms = _chosen(found, level=level, method=method, repair=repair)
            rows.append([level, method, _spread(arms, figure), _spread(arms, "agreement")])
    name = "accuracy" if figure == "acc1" else "recall at 1"
    return markdown_table(["removed", "method", f"{name}, %", "same answer as dense, %"], rows)


def _variations(found: Row, figure: str, repair: str) -> str:
    """Return the same figure for other repairs, for one comparison a layer, and for dense calibration."""
    other = [name for name in ("moments", "mean", "none") if name != repair]
    columns: list[tuple[str, Callable[[str, str], list[Row]]]] = [
        (_name(repair), lambda level, method: _chosen(found, level=level, method=method, repair=repair)),
        *(
            (
                _name(name),
                lambda level, method, name=name: _chosen(found, level=level, method=method, repair=name),
            )
            for name in other
            if any(row["repair"] == name for row in found["arms"])
        ),
        (
            "scores compared in the layer",
            lambda level, method: _chosen(
                found, level=level, method=method, repair=repair, granularity="layer"
            ),
        ),
        *(
            (
                f"same share of each output's score, {_name(name)}",
                lambda level, method, name=name: _chosen(
                    found, level=level, method=method, repair=name, granularity="cumulative"
                ),
            )
            for name in (repair, *other)
            if any(row["granularity"] == "cumulative" and row["repair"] == name for row in found["arms"])
        ),
        (
            "calibrated on dense inputs",
            lambda level, method: _chosen(
                found, level=level, method=method, repair=repair, is_sequential=False
            ),
        ),
    ]
    rows = [
        [f"{level}, {method}", *(_spread(choose(level, method), figure) for _, choose in columns)]
        for level in LEVELS
        for method in METHODS
    ]
    return markdown_table(["removed, method", *(name for name, _ in columns)], rows)


def _name(repair: str) -> str:
    return {"moments": "mean and spread repaired", "mean": "mean repaired", "none": "no repair"}[repair]


def _bytes(found: Row) -> str:
    """Return what zeros do to the classifier file."""
    dense = found["dense"]
    rows = [["dense", "0.0", f"{dense['size_bytes'] / 1e6:.1f}", f"{dense['gzip_bytes'] / 1e6:.1f}", "1.00"]]
    for level in LEVELS:
        chosen = _chosen(found, level=level, method="wanda", repair="moments", seed=0)
        if not chosen:  # a quick try
            continue
        row = chosen[0]
        share = f"{row['gzip_bytes'] / dense['gzip_bytes']:.2f}"
        sizes = [f"{row[key] / 1e6:.1f}" for key in ("size_bytes", "gzip_bytes")]
        rows.append([level, percent(row["zeros"]), *sizes, share])
    return markdown_table(["removed", "zeros in all layers, %", "MB", "MB after gzip", "share"], rows)


def _causal(found: Row) -> str:
    rows = [
        [f"{level}, {method}", _spread(_chosen(found, level=level, method=method), "agreement")]
        for level in LEVELS
        for method in METHODS
    ]
    return markdown_table(["removed, method", "same next token as dense, %"], rows)


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw the figure of each part against what was removed; bars are ranges over calibration seeds."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    parts = [part for part in PARTS if part in results["metrics"]]
    figure = Figure(figsize=(4.6 * len(parts), 3.6), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, part in zip(figure.subplots(1, len(parts), squeeze=False)[0], parts, strict=True):
        found, key = results["metrics"][part], PARTS[part]
        axes.axhline(100 * found["dense"][key], color="#70747c", linewidth=1, linestyle=":", label="dense")
        repair = "moments" if part != "minilm" else "none"
        for method, color, shift in (("wanda", "#346ad6", -0.06), ("magnitude", "#d9822b", 0.06)):
            values = [
                [100 * row[key] for row in _chosen(found, level=level, method=method, repair=repair)]
                for level in LEVELS
            ]
            means = [statistics.fmean(row) for row in values]
            ends = [
                [mean - min(row) for mean, row in zip(means, values, strict=True)],
                [max(row) - mean for mean, row in zip(means, values, strict=True)],
            ]
            places = [place + shift for place in range(len(LEVELS))]
            axes.errorbar(places, means, yerr=ends, fmt="o", color=color, capsize=3, label=method)
        axes.set_xticks(range(len(LEVELS)), LEVELS)
        axes.set_ylim(bottom=0)
        axes.set_title(TITLES[part], loc="left", fontsize=9)
        axes.set_ylabel("%", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.grid(axis="y", color="#e4e4df")
        axes.legend(fontsize=8, frameon=False)
    stream = BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    write_file(path, stream.getvalue())
