"""The page of a report: one self-contained HTML file."""

import base64
from typing import Any

from hyperclip.compress.contract import MethodReport
from hyperclip.compress.measure import Comparison
from hyperclip.errors import MissingExtraError
from hyperclip.version import __version__

__all__ = ["render_page"]

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}: compression report</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #1c1e24; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; } .wide { overflow-x: auto; }
th, td { text-align: right; padding: .2rem .6rem; border-bottom: 1px solid #e4e4df; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; } th { color: #70747c; font-weight: 500; }
tr.kept td { color: #70747c; } img { max-width: 100%; } li { margin: .3rem 0; } footer { color: #70747c; margin-top: 2rem; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p>Method <b>{{ method }}</b>{% for key, value in settings.items() %}; {{ key }} {{ value }}{% endfor %}.
Calibrated on {{ n_images }} pictures and {{ n_texts }} texts.</p>
<h2>Before and after</h2>
<table>
<tr><th></th><th>before</th><th>after</th><th>share</th></tr>
{% for row in rows %}<tr><td>{{ row.name }}</td><td>{{ row.before }}</td><td>{{ row.after }}</td><td>{{ row.share }}</td></tr>
{% endfor %}</table>
{% if picture %}<p><img alt="Before and after, and the layers" src="data:image/png;base64,{{ picture }}"></p>
{% endif %}{% if notes %}<h2>What to know</h2>
<ul>
{% for note in notes %}<li>{{ note }}</li>
{% endfor %}</ul>
{% endif %}<h2>Layers</h2>
<div class="wide"><table>
<tr><th>layer</th><th>part</th><th>kind</th><th>shape</th><th>not zero before</th><th>not zero after</th><th>zeros</th><th>multiply-adds</th><th></th></tr>
{% for layer in layers %}<tr{% if layer.note %} class="kept"{% endif %}><td>{{ layer.name }}</td><td>{{ layer.part }}</td><td>{{ layer.kind }}</td><td>{{ layer.shape }}</td><td>{{ layer.before }}</td><td>{{ layer.after }}</td><td>{{ layer.zeros }}</td><td>{{ layer.macs }}</td><td>{{ layer.note }}</td></tr>
{% endfor %}</table></div>
<footer>{{ producer }}</footer>
</body>
</html>
"""  # noqa: E501


def render_page(report: MethodReport, comparison: Comparison, *, title: str, picture: bytes | None) -> str:
    """Return the page as text; names are escaped, as they may hold anything.

    Parameters
    ----------
    report : MethodReport
    comparison : Comparison
    title : str
    picture : bytes or None
        A PNG to put into the page.

    Raises
    ------
    MissingExtraError
        When Jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "jinja2":
            raise  # a broken install must not look like a missing extra
        raise MissingExtraError(
            "This page needs Jinja2, which is not installed; run `pip install 'hyperclip[report]'`."
        ) from error
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(PAGE)
    page: str = template.render(
        title=title,
        method=report.method,
        settings={key: value for key, value in report.settings.items() if value not in (None, [], False)},
        n_images=report.n_calibration_images,
        n_texts=report.n_calibration_texts,
        rows=list(_rows(comparison)),
        notes=report.notes,
        picture="" if picture is None else base64.b64encode(picture).decode(),
        layers=[_layer(layer) for layer in report.layers],
        producer=f"hyperclip {__version__}",
    )
    return page


def _rows(comparison: Comparison) -> list[dict[str, str]]:
    """Return the table of figures; what was not measured is left out."""
    before, after, latency = comparison.before, comparison.after, comparison.latency
    rows = [
        _row(name, getattr(before, key), getattr(after, key), "{:,}")
        for name, key in (
            ("bytes", "size_bytes"),
            ("bytes after gzip", "gzip_bytes"),
            ("multiply-adds", "multiply_adds"),
            ("stored numbers", "n_parameters"),
            ("of them not zero", "n_nonzero"),
        )
    ]
    rows.append(
        {
            "name": f"milliseconds a call (one item, {latency.n_rounds} pairs)",
            "before": f"{latency.before_ms:.2f}",
            "after": f"{latency.after_ms:.2f}",
            "share": f"{latency.ratio:.2f} ({latency.low:.2f} to {latency.high:.2f})",
        }
    )
    for name, key in (("accuracy", "accuracy"), ("expected calibration error", "calibration_error")):
        if getattr(before, key) is not None and getattr(after, key) is not None:
            rows.append(
                _row(
                    f"{name} ({comparison.n_images} {comparison.unit})",
                    getattr(before, key),
                    getattr(after, key),
                )
            )
    if comparison.agreement is not None:
        rows.append(
            {
                "name": f"same answer ({comparison.n_images} {comparison.unit})",
                "before": "",
                "after": f"{comparison.agreement:.3f}",
                "share": "",
            }
        )
    what = "accuracy" if comparison.has_labels else "same answer"
    for kind in after.corrupted:
        rows.append(
            _row(
                f"{what}, {kind.replace('_', ' ')}, severity {comparison.severity} "
                f"({comparison.n_corrupted} pictures)",
                before.corrupted[kind],
                after.corrupted[kind],
            )
        )
    if before.mean_corrupted is not None and after.mean_corrupted is not None:
        rows.append(_row(f"{what}, mean of corruptions", before.mean_corrupted, after.mean_corrupted))
    return rows


def _row(name: str, before: float, after: float, form: str = "{:.3f}") -> dict[str, str]:
    share = f"{after / before:.2f}" if before else ""
    return {"name": name, "before": form.format(before), "after": form.format(after), "share": share}


def _layer(layer: Any) -> dict[str, str]:
    shapes = [" × ".join(map(str, shape)) for shape in (layer.shape_before, layer.shape_after)]
    return {
        "name": layer.name,
        "part": layer.part,
        "kind": layer.kind,
        "shape": shapes[0] if shapes[0] == shapes[1] else " → ".join(shapes),
        "before": f"{layer.n_nonzero_before:,}",
        "after": f"{layer.n_nonzero_after:,}",
        "zeros": f"{layer.sparsity:.1%}",
        "macs": f"{layer.macs_after:,}" if layer.macs_after else "",
        "note": layer.note,
    }
