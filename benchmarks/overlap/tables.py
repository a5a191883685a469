"""Tables of overlapping lists, from a stored result."""

from collections.abc import Mapping
from typing import Any

from benchmarks.readme_tables import markdown_table, percent, percent_with_interval, signed_points

__all__ = ["MAIN_MODEL", "tables"]

MAIN_MODEL = "small"
OTHER_MODELS = ("micro",)
FLOORS = {"kind": 0.85}  # what a model should reach; the other families have none
METHODS = {
    "own_file": "model, each list's own file",
    "neutral": "its neutral encoder, head of the list",
    "meanings_alone": "the same, meanings of names on their own",
    "heads_alone": "the same, each name on its own",
    "conse": "without training: ConSE, each name on its own",
    "mixture_1": "without training: mixture, β = 1",
    "mixture_half": "without training: mixture, β = ½",
    "mixture_0": "without training: mixture, β = 0",
}
FAMILIES = {
    "kind": ("kind and its kinds", "kind"),
    "complement": ("other kinds", "other"),
    "senses": ("uncommon senses", "word"),
}
PAIRS = {
    "own_file - mixture_0": "model − mixture, β = 0",
    "own_file - conse": "model − ConSE",
    "own_file - neutral": "encoder made for the list − neutral encoder",
    "neutral - meanings_alone": "meanings chosen by the list − each on its own",
    "neutral - heads_alone": "names as a list − each name on its own",
}


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Return ``recall`` and ``differences`` of the main model, and ``NAME_recall`` ... of others."""
    metrics = results["metrics"]
    made = _tables_of(metrics)
    for name in OTHER_MODELS:
        if name in metrics:
            made.update({f"{name}_{table}": text for table, text in _tables_of(metrics[name]).items()})
    return made


def _tables_of(metrics: Mapping[str, Any]) -> dict[str, str]:
    families = metrics.get("families")
    if not families:
        return {}
    shown = [family for family in FAMILIES if family in families]
    header = ["mean recall, %"]
    for family in shown:
        title, first = FAMILIES[family]
        header += [f"{title}, {families[family]['n_lists']} lists", f"of the {first} alone"]
    rows: list[list[str]] = [["chance", *("" for _ in header[1:])]]
    for column, family in enumerate(shown):
        rows[0][1 + 2 * column : 3 + 2 * column] = [percent(families[family]["chance"])] * 2
    rows.append(["floor for a model"])
    for family in shown:
        rows[1] += [percent(FLOORS.get(family)), percent(None)]
    for method, title in METHODS.items():
        cells = []
        for family in shown:
            found = families[family]["mean_recall"][method]
            shown_value = percent_with_interval(found["mean"], (found["low"], found["high"]))
            cells += [
                f"**{shown_value}**" if method == "own_file" else shown_value,
                percent(families[family]["first_name_recall"][method]["mean"]),
            ]
        rows.append([title, *cells])
    differences = [
        [
            title,
            *(
                signed_points(
                    *(families[family]["differences"][pair][key] for key in ("mean", "low", "high"))
                )
                for family in shown
            ),
        ]
        for pair, title in PAIRS.items()
    ]
    return {
        "recall": markdown_table(header, rows),
        "differences": markdown_table(
            ["points [95 % over lists]", *(FAMILIES[family][0] for family in shown)], differences
        ),
    }
