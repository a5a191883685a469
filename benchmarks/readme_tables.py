"""Tables of the READMEs, generated from the newest results: ``python -m benchmarks.readme_tables``.

A README holds, on lines of their own, ``<!-- table: NAME/TABLE -->`` and ``<!-- end of table -->``;
what lies between is replaced by the table TABLE of ``benchmarks.NAME.tables.tables``.
"""

import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.result_file import REPOSITORY, read_newest
from hyperclip.bundle.atomic import write_file

__all__ = [
    "fill_readmes",
    "filled",
    "markdown_table",
    "percent",
    "percent_with_interval",
    "readmes",
    "signed_points",
]

NOT_RUN = "(not measured yet)"
_BLOCK = re.compile(
    r"(?P<start><!-- table: (?P<name>[a-z_]+)/(?P<table>[a-z0-9_]+) -->\n).*?(?P<end><!-- end of table -->)",
    re.DOTALL,
)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table; the first column is text, the others are set to the right.

    Examples
    --------
    >>> print(markdown_table(["set", "acc"], [["caltech101", "71.2"]]))
    | set | acc |
    |---|--:|
    | caltech101 | 71.2 |
    """
    rule = "|".join(["", "---", *["--:"] * (len(header) - 1), ""])
    shown = ["| " + " | ".join(str(cell) for cell in line) + " |" for line in (header, *rows)]
    return "\n".join([shown[0], rule, *shown[1:]])


def percent(share: float | None) -> str:
    """Return a fraction of 1 as a percentage with one digit.

    Examples
    --------
    >>> percent(0.7125)
    '71.2'
    """
    return "–" if share is None else f"{100 * share:.1f}"


def percent_with_interval(share: float, interval: Sequence[float]) -> str:
    """Return a percentage and its interval.

    Examples
    --------
    >>> percent_with_interval(0.712, (0.671, 0.751))
    '71.2 [67.1, 75.1]'
    """
    return f"{percent(share)} [{percent(interval[0])}, {percent(interval[1])}]"


def signed_points(mean: float, low: float, high: float) -> str:
    """Return a difference of fractions in points, with its interval.

    Examples
    --------
    >>> signed_points(0.012, -0.003, 0.027)
    '+1.2 [-0.3, +2.7]'
    """
    return f"{100 * mean:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def filled(text: str, *, benchmarks: Path | None = None) -> str:
    """Return a README with its tables made anew; tables without a result say that they are not measured."""
    folder = REPOSITORY / "benchmarks" if benchmarks is None else benchmarks

    def replace(match: re.Match[str]) -> str:
        name, table = match["name"], match["table"]
        results = read_newest(folder / name / "results")
        made = {} if results is None else import_module(f"benchmarks.{name}.tables").tables(results)
        return f"{match['start']}{made.get(table, NOT_RUN)}\n{match['end']}"

    return _BLOCK.sub(replace, text)


def readmes() -> list[Path]:
    """Return the Markdown files that may hold tables: no decision records, which stay as they were."""
    docs = [path for path in (REPOSITORY / "docs").rglob("*.md") if path.parent.name != "decisions"]
    return sorted([REPOSITORY / "README.md", *(REPOSITORY / "benchmarks").glob("*/README.md"), *docs])


def fill_readmes() -> list[Path]:
    """Refresh the tables of all READMEs; returns those that changed."""
    changed = []
    for path in readmes():
        text = path.read_text(encoding="utf-8")
        new = filled(text)
        if new != text:
            write_file(path, new.encode())
            changed.append(path)
    return changed


if __name__ == "__main__":
    for path in fill_readmes():
        print(path.relative_to(REPOSITORY))
