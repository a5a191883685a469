"""The report beside a result: JSON always, a page and a picture where the extra `report` is there."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperclip.bundle.atomic import write_file
from hyperclip.compress.contract import MethodReport
from hyperclip.compress.measure import Comparison
from hyperclip.errors import MissingExtraError
from hyperclip.version import __version__

__all__ = ["WrittenReport", "report_paths", "report_values", "write_report"]

FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class WrittenReport:
    """What was written, and what was not.

    Parameters
    ----------
    paths : dict of str to Path
        ``json``, ``html`` and ``png``, as far as they were written.
    left_out : tuple of str
        A sentence for each that was not.
    """

    paths: dict[str, Path]
    left_out: tuple[str, ...] = ()


def report_paths(output: str | Path) -> dict[str, Path]:
    """Return where the report on a model file or folder goes: beside it.

    Examples
    --------
    >>> report_paths("out/small.onnx")["html"].as_posix()
    'out/small.report.html'
    """
    output = Path(output)
    stem = output.stem if output.suffix == ".onnx" else output.name
    return {kind: output.parent / f"{stem}.report.{kind}" for kind in ("json", "html", "png")}


def report_values(report: MethodReport, comparison: Comparison) -> dict[str, Any]:
    """Return everything that is known, as it stands in the JSON file."""
    return {
        "format_version": FORMAT_VERSION,
        "producer": f"hyperclip {__version__}",
        **report.to_values(),
        **comparison.to_values(),
    }


def write_report(
    report: MethodReport, comparison: Comparison, paths: dict[str, Path], *, title: str
) -> WrittenReport:
    """Write the report; without Jinja2 or matplotlib the page or the picture is left out.

    Parameters
    ----------
    report : MethodReport
    comparison : Comparison
    paths : dict of str to Path
        From `report_paths`.
    title : str
        Name of the result.

    Raises
    ------
    InputError
        If a file cannot be written.
    """
    values = report_values(report, comparison)
    text = json.dumps(values, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    write_file(paths["json"], text.encode())
    written, left_out = {"json": paths["json"]}, []
    picture: bytes | None = None
    try:
        from hyperclip.compress.report_plot import draw_report

        picture = draw_report(report, comparison)
        write_file(paths["png"], picture)
        written["png"] = paths["png"]
    except MissingExtraError as error:
        left_out.append(f"{paths['png']} was left out: {error}")
    try:
        from hyperclip.compress.report_page import render_page

        write_file(paths["html"], render_page(report, comparison, title=title, picture=picture).encode())
        written["html"] = paths["html"]
    except MissingExtraError as error:
        left_out.append(f"{paths['html']} was left out: {error}")
    return WrittenReport(paths=written, left_out=tuple(left_out))
