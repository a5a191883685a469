"""Tables and the picture of what conditioning adds, from stored results."""

from pathlib import Path
from typing import Any

from benchmarks.readme_tables import markdown_table, percent_with_interval, signed_points

__all__ = ["ARMS", "draw_arms", "tables"]

ARMS = ("hyper", "siglip", "token")
_CONTEXTS = {
    "own": "own names",
    "neutral": "none (neutral)",
    "swapped": "another task's names",
    "all_names": "all names",
}
_GROUPS = {"seen": "classes trained on", "held_out": "held-out classes"}


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Return ``tasks`` (all in one), ``small`` (bundled alone), ``arms``, ``differences``, ``variance``."""
    metrics = results["metrics"]
    made = {"tasks": _tasks(_swap_tests(metrics))}
    if metrics.get("bundled"):
        made["small"] = _tasks(_swap_tests(metrics)[:1])
    if metrics.get("arms"):
        made["arms"] = _ways(metrics["arms"])
    made["differences"] = _differences(metrics)
    made["variance"] = _variance(metrics)
    return {name: table for name, table in made.items() if table}


def _swap_tests(metrics: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return every swap test with the name of what was tested."""
    found = []
    if metrics.get("bundled"):
        found.append((f"bundled `{metrics['model']['name']}`", metrics["bundled"]))
    for group, shown in _GROUPS.items():
        for arm, values in metrics.get("arms", {}).items():
            if group in values["groups"]:
                found.append((f"`{arm}`, {shown}", values["groups"][group]))
    return found


def _tasks(tests: list[tuple[str, dict[str, Any]]]) -> str:
    rows = []
    for name, found in tests:
        means = found["mean"]
        cells = [
            percent_with_interval(means[context]["mean"], (means[context]["low"], means[context]["high"]))
            for context in _CONTEXTS
        ]
        rows.append([name, found["n_tasks"], *cells])
    return markdown_table(["model", "tasks", *_CONTEXTS.values()], rows)


def _ways(arms: dict[str, Any]) -> str:
    rows = []
    for arm, values in arms.items():
        for found in values["accuracy"].values():
            rows.append(
                [
                    f"`{arm}`",
                    found["n_classes"],
                    f"{100 * found['neutral']:.1f}",
                    f"{100 * found['all_names']:.1f}",
                ]
            )
    return markdown_table(["arm", "classes", "neutral", "made for all names"], rows)


def _differences(metrics: dict[str, Any]) -> str:
    rows = []
    for name, found in _swap_tests(metrics):
        for context, difference in found["own_minus"].items():
            if not name.startswith("`siglip`"):
                rows.append([f"{name}: own − {_CONTEXTS[context]}", signed_points(**difference)])
    for key, difference in metrics.get("arm_differences", {}).items():
        rows.append([key, signed_points(**difference)])
    return markdown_table(["difference, points", "mean [95 % over tasks]"], rows)


def _variance(metrics: dict[str, Any]) -> str:
    rows = []
    for name, found in _swap_tests(metrics):
        if found["change_relative_variance"] is not None:
            rows.append([name, f"{found['change_relative_variance']:.3f}", f"{found['change_rms']:.4f}"])
    header = ["model", "share of the changes that differs between tasks", "root mean square of the changes"]
    return markdown_table(header, rows) if rows else ""


def draw_arms(results: dict[str, Any], path: Path) -> None:
    """Draw mean accuracy on neighbor tasks, a group of bars a model and a bar a context, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    tests = _swap_tests(results["metrics"])
    colors = ["#346ad6", "#70747c", "#ce4a34", "#c9c9c2"]
    figure = Figure(figsize=(1.6 + 1.5 * len(tests), 3.8), layout="constrained")
    axes = figure.subplots()
    lowest = 100.0
    for place, (context, shown) in enumerate(_CONTEXTS.items()):
        means = [found["mean"][context] for _, found in tests]
        heights = [100 * mean["mean"] for mean in means]
        errors = [
            [100 * (mean["mean"] - mean["low"]) for mean in means],
            [100 * (mean["high"] - mean["mean"]) for mean in means],
        ]
        lowest = min(lowest, *(height - error for height, error in zip(heights, errors[0], strict=True)))
        x = [index + 0.2 * (place - 1.5) for index in range(len(tests))]
        axes.bar(x, heights, width=0.19, yerr=errors, color=colors[place], capsize=2, label=shown)
    axes.set_xticks(range(len(tests)), [name.replace("`", "").replace(", ", "\n") for name, _ in tests])
    axes.set_ylabel("accuracy on ten-way neighbor tasks, %")
    axes.set_ylim(
        max(0.0, 10 * (lowest // 10)), None
    )  # the differences are small; the axis says where it starts
    axes.legend(frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.12), fontsize=8)
    FigureCanvasAgg(figure).print_png(str(path), metadata={"Software": None})
