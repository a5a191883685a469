"""Table of the differences between both resizes, from a stored result."""

from typing import Any

from benchmarks.readme_tables import markdown_table

__all__ = ["tables"]


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Return ``bicubic`` and ``bilinear``: largest difference by picture and size."""
    made = {}
    for interpolation, pictures in results["metrics"]["differences"].items():
        sizes = list(next(iter(pictures.values())))
        rows = [
            [shape, *(f"{found[px]['max_levels']:.0f}" for px in sizes)] for shape, found in pictures.items()
        ]
        made[interpolation] = markdown_table(["picture", *(f"to {px} px" for px in sizes)], rows)
    return made
