"""Table of the gap between both kinds of statistics, from a stored result."""

from typing import Any

from benchmarks.readme_tables import markdown_table, percent, percent_with_interval, signed_points

__all__ = ["RULES", "tables"]

RULES = {
    "from_start": "frozen from the first step",
    "two_thirds": "frozen after two thirds of the steps",
    "never": "never frozen",
}
_GROUPS = {"seen": "classes trained on", "held_out": "held-out classes"}


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Return ``gap``: accuracy with running and with batch statistics, and the difference."""
    rows = []
    for rule, found in results["metrics"]["rules"].items():
        for group, values in found["groups"].items():
            running, batch = values["running"], values["batch"]
            rows.append(
                [
                    f"{RULES[rule]}; {_GROUPS[group]}",
                    percent_with_interval(running["mean"], (running["low"], running["high"])),
                    percent(batch["mean"]),
                    signed_points(**values["batch_minus_running"]),
                    percent(values["neutral_running"]["mean"]),
                ]
            )
    header = [
        "statistics in training; tasks", "own context, running statistics", "batch statistics",
        "batch − running, points", "neutral, running statistics",
    ]  # fmt: skip
    return {"gap": markdown_table(header, rows)}
