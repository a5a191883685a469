"""Tables of the choice of senses, from a stored result."""

from typing import Any

from benchmarks.readme_tables import markdown_table, percent, percent_with_interval

__all__ = ["tables"]

TITLES = {
    "dev": "hand-made, used while developing",
    "held_out": "hand-made, written before the rule",
    "fresh": "hand-made, written after the rule",
    "lvis_random": "everyday name, 4 random others",
    "lvis_near": "everyday name, 4 related others",
    "lvis_all": "all everyday names in one list",
}


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Return the tables ``accuracy`` and ``variants``."""
    metrics = results["metrics"]
    return {"accuracy": _accuracy(metrics["lists"]), "variants": _variants(metrics)}


def _accuracy(lists: dict[str, Any]) -> str:
    rows = []
    for name, found in lists.items():
        chosen = found["chosen"]
        rows.append(
            [
                TITLES[name],
                found["n_lists"],
                chosen["n_names"],
                percent(found["commonest"]["accuracy"]),
                percent(found["glosses"]["accuracy"]) if "glosses" in found else "–",
                f"**{percent_with_interval(chosen['accuracy'], chosen['interval'])}**",
            ]
        )
    header = ["lists", "n", "ambiguous names", "commonest sense, %", "whole glosses, %", "glossary, % [95 %]"]
    return markdown_table(header, rows)


def _variants(metrics: dict[str, Any]) -> str:
    lists = metrics["lists"]
    rows = [["as shipped", *(f"**{found['chosen']['right']}**" for found in lists.values())]]
    rows += [[variant, *(counts[name] for name in lists)] for variant, counts in metrics["variants"].items()]
    return markdown_table(["names right", *(name.replace("_", " ") for name in lists)], rows)
