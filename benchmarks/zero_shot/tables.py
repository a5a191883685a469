"""Tables and the picture of zero-shot accuracy, from a stored result."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.readme_tables import markdown_table, percent, percent_with_interval, signed_points
from benchmarks.zero_shot.data_sets import SETS
from benchmarks.zero_shot.recall_tables import confusions_table, recall_table

__all__ = ["draw_sizes", "tables"]

BETA_0, BETA_HALF = "clip_mixture_0", "clip_mixture_half"
OTHER_MODELS = ("micro",)


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Return the tables of the main model, and those of others with their names before them.

    ``accuracy``, ``baselines``, ``sizes``, ``retrieval``, ``calibration``, ``recall`` and
    ``confusions``, where measured.
    """
    metrics = results["metrics"]
    made = _tables_of(metrics, beside=None)
    for name in OTHER_MODELS:
        if name in metrics:
            found = _tables_of(metrics[name], beside=metrics if metrics.get("sets") else None)
            made.update({f"{name}_{table}": text for table, text in found.items()})
    return made


def _tables_of(metrics: Mapping[str, Any], *, beside: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the tables of one model; `beside` holds the metrics of another that is shown next to it."""
    made = {}
    if metrics.get("sets"):
        sets = metrics["sets"]
        made["accuracy"] = _accuracy(sets, beside)
        made["baselines"] = _baselines(sets)
        made["calibration"] = _calibration(sets)
        made["recall"] = recall_table(sets)
        made["confusions"] = confusions_table(sets)
    if metrics.get("sizes"):
        made["sizes"] = _sizes(metrics["sizes"])
    if metrics.get("retrieval"):
        made["retrieval"] = _retrieval(metrics["retrieval"])
    return made


def _accuracy(sets: Mapping[str, Any], beside: Mapping[str, Any] | None) -> str:
    rows = []
    for name, found in sets.items():
        own, base = found["model"], found["baseline"]
        difference = found["difference"][BETA_0]
        row = [
            f"{name} ({SETS[name][1]}; {SETS[name][2]})",
            found["n_images"],
            found["n_classes"],
            percent(found["chance"]),
            percent_with_interval(base[BETA_0]["acc1"], base[BETA_0]["acc1_interval"]),
            percent(base[BETA_HALF]["acc1"]),
            f"**{percent_with_interval(own['acc1'], own['acc1_interval'])}**",
            percent(own["acc5"]),
            percent(own["mean_per_class_recall"]),
            signed_points(difference["mean"], difference["low"], difference["high"]),
        ]
        if beside is not None:
            other = beside["sets"].get(name)
            row.append(percent(None if other is None else other["model"]["acc1"]))
        rows.append(row)
    header = [
        "set", "pictures", "classes", "chance", "baseline, β = 0", "β = ½", "model", "top 5",
        "mean recall", "model − baseline (β = 0)",
    ]  # fmt: skip
    if beside is not None:
        header.append(f"`{beside['model']['name']}`, {beside['model']['image_size_px']} px")
    return markdown_table(header, rows)


def _baselines(sets: Mapping[str, Any]) -> str:
    names = {
        "names_conse": "names, ConSE",
        "gloss_conse": "+ gloss, ConSE",
        "gloss_mixture_0": "+ gloss, β = 0",
        "gloss_mixture_half": "+ gloss, β = ½",
        BETA_0: "+ CLIP geometry, β = 0",
        BETA_HALF: "+ CLIP geometry, β = ½",
    }
    rows = [
        [key, percent(found["chance"]), *(percent(found["baseline"][name]["acc1"]) for name in names)]
        for key, found in sets.items()
    ]
    return markdown_table(["set", "chance", *names.values()], rows)


def _calibration(sets: Mapping[str, Any]) -> str:
    rows = [
        [
            name,
            f"{found['calibration']['temperature']:.3g}",
            percent(found["calibration"]["mean_confidence"]),
            percent(found["model"]["acc1"]),
            f"**{percent(found['calibration']['error'])}**",
        ]
        for name, found in sets.items()
        if "calibration" in found
    ]
    header = ["set", "temperature", "mean probability of the answer", "right", "calibration error, points"]
    return markdown_table(header, rows) if rows else "(not measured yet)"


def _sizes(sizes: Mapping[str, Any]) -> str:
    rows = [
        [
            f"{size_px} px",
            percent(found["chance"]),
            percent_with_interval(found["model"]["acc1"], found["model"]["acc1_interval"]),
            percent(found["baseline"][BETA_0]["acc1"]),
            percent(found["baseline"][BETA_HALF]["acc1"]),
            signed_points(*(found["difference"][BETA_0][key] for key in ("mean", "low", "high"))),
        ]
        for size_px, found in sizes.items()
    ]
    header = ["caltech101 test", "chance", "model", "baseline, β = 0", "β = ½", "model − baseline (β = 0)"]
    return markdown_table(header, rows)


def _retrieval(found: Mapping[str, Any]) -> str:
    rows = []
    sides = {
        "chance": found["chance"],
        "baseline, β = 0": found["baseline"][BETA_0],
        "baseline, β = ½": found["baseline"][BETA_HALF],
        "model": found["model"],
    }
    for name, side in sides.items():
        cells = [
            percent(value["mean"] if isinstance(value, dict) else value)
            for direction in ("image_to_text", "text_to_image")
            for value in side[direction].values()
        ]
        rows.append([name, *cells])
    header = [
        "Flickr8k test", "photo → caption R@1", "R@5", "R@10", "caption → photo R@1", "R@5", "R@10"
    ]  # fmt: skip
    return markdown_table(header, rows)


def draw_sizes(sizes: Mapping[str, Any], path: Path) -> None:
    """Draw accuracy against the size of the picture, with intervals, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    px = [int(size) for size in sizes]
    figure = Figure(figsize=(5.2, 3.4), layout="constrained")
    axes = figure.subplots()
    own = [100 * found["model"]["acc1"] for found in sizes.values()]
    bounds = [[100 * end for end in found["model"]["acc1_interval"]] for found in sizes.values()]
    below = [value - low for value, (low, _) in zip(own, bounds, strict=True)]
    above = [high - value for value, (_, high) in zip(own, bounds, strict=True)]
    axes.errorbar(px, own, yerr=[below, above], marker="o", color="#346ad6", capsize=3, label="model")
    base = [100 * found["baseline"][BETA_0]["acc1"] for found in sizes.values()]
    axes.plot(px, base, marker="s", color="#70747c", linestyle="--", label="baseline without training")
    axes.axhline(100 * next(iter(sizes.values()))["chance"], color="#e4e4df", label="chance")
    axes.set_xticks(px)
    axes.set_xlabel("side of the picture, px")
    axes.set_ylabel("caltech101 test, top 1, %")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="lower right")
    FigureCanvasAgg(figure).print_png(str(path), metadata={"Software": None})
