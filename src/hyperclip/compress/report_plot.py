"""The picture of a report: before and after in figures, and every layer's share of zeros."""

from io import BytesIO
from typing import TYPE_CHECKING, Any

from hyperclip.compress.contract import Layer, MethodReport
from hyperclip.compress.measure import Comparison
from hyperclip.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_report"]

_INK, _GRAY, _PALE, _BLUE, _ORANGE = "#1c1e24", "#70747c", "#e4e4df", "#346ad6", "#d9822b"
_DPI = 130
_MAX_NAMED = 80


def draw_report(report: MethodReport, comparison: Comparison) -> bytes:
    """Return a PNG with the shares that remain, the accuracies and the layers.

    Parameters
    ----------
    report : MethodReport
    comparison : Comparison

    Raises
    ------
    MissingExtraError
        When matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "matplotlib":
            raise  # a broken install must not look like a missing extra
        raise MissingExtraError(
            "This picture needs matplotlib, which is not installed; run `pip install 'hyperclip[report]'`."
        ) from error
    layers = report.layers
    figure = Figure(figsize=(11, 4.2 + 0.16 * min(len(layers), _MAX_NAMED)), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    parts: Any = figure.subfigures(2, 1, height_ratios=[3.2, 1 + 0.16 * min(len(layers), _MAX_NAMED)])
    top, bottom = parts
    left, right = top.subplots(1, 2)
    _draw_shares(left, comparison)
    _draw_accuracies(right, comparison)
    _draw_layers(bottom.subplots(), layers)
    stream = BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _plain(axes: "Axes", title: str) -> None:
    """Take away what does not carry information."""
    axes.set_title(title, loc="left", fontsize=11, color=_INK)
    axes.tick_params(labelsize=8, colors=_GRAY, length=0)
    axes.grid(axis="x", color=_PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _draw_shares(axes: "Axes", comparison: Comparison) -> None:
    """Draw what is left of size, work and time."""
    before, after, latency = comparison.before, comparison.after, comparison.latency
    rows: list[tuple[str, float]] = [
        ("bytes", after.size_bytes / before.size_bytes),
        ("bytes after gzip", after.gzip_bytes / before.gzip_bytes),
        ("numbers that are not zero", after.n_nonzero / max(1, before.n_nonzero)),
        ("multiply-adds", after.multiply_adds / max(1, before.multiply_adds)),
        ("time", latency.ratio),
    ]
    places = range(len(rows))
    axes.barh(places, [share for _, share in rows], color=_BLUE, height=0.6)
    axes.errorbar(
        [latency.ratio], [len(rows) - 1],
        xerr=[[max(0.0, latency.ratio - latency.low)], [max(0.0, latency.high - latency.ratio)]],
        color=_INK, linewidth=1, capsize=3,
    )  # fmt: skip
    for place, (_, share) in enumerate(rows):
        axes.annotate(f"{share:.2f}", (share, place), xytext=(4, 0), textcoords="offset points",
                      va="center", fontsize=8, color=_INK)  # fmt: skip
    axes.set_yticks(places, [name for name, _ in rows])
    axes.invert_yaxis()
    axes.axvline(1, color=_GRAY, linewidth=0.8, linestyle=":")
    axes.set_xlim(0, max(1.15, *(share * 1.12 for _, share in rows)))
    _plain(axes, "after, as a share of before")


def _draw_accuracies(axes: "Axes", comparison: Comparison) -> None:
    """Draw accuracy, or agreement, on clean and corrupted pictures."""
    before, after = comparison.before, comparison.after
    rows: list[tuple[str, float | None, float]] = []
    if before.accuracy is not None and after.accuracy is not None:
        rows.append(("clean", before.accuracy, after.accuracy))
    elif comparison.agreement is not None:
        rows.append(("clean", None, comparison.agreement))
    for kind, value in after.corrupted.items():
        rows.append(
            (kind.replace("_", " "), before.corrupted[kind] if comparison.has_labels else None, value)
        )
    if not rows:
        axes.axis("off")
        axes.set_title("no pictures to judge by", loc="left", fontsize=11, color=_GRAY)
        return
    places = range(len(rows))
    style: dict[str, Any] = {"s": 30, "zorder": 3}
    for place, (_, old, new) in enumerate(rows):
        if old is not None:
            axes.plot([old, new], [place, place], color=_PALE, linewidth=3, zorder=2)
    dense = [(old, place) for place, (_, old, _) in enumerate(rows) if old is not None]
    if dense:
        axes.scatter([x for x, _ in dense], [y for _, y in dense], color=_GRAY, label="before", **style)
    axes.scatter([new for _, _, new in rows], list(places), color=_ORANGE, label="after", **style)
    axes.set_yticks(places, [name for name, _, _ in rows])
    axes.invert_yaxis()
    axes.set_xlim(-0.02, 1.02)
    axes.legend(fontsize=8, frameon=False, loc="lower left", bbox_to_anchor=(0, -0.28), ncols=2)
    title = "accuracy" if comparison.has_labels else "same answer as before"
    _plain(axes, f"{title}, severity {comparison.severity} of 5" if after.corrupted else title)


def _draw_layers(axes: "Axes", layers: tuple[Layer, ...]) -> None:
    """Draw what became of the weights of every layer."""
    sizes = [max(1, _size(layer.shape_before)) for layer in layers]
    left = [layer.n_nonzero_after / size for layer, size in zip(layers, sizes, strict=True)]
    colors = [_PALE if layer.note else _BLUE for layer in layers]
    axes.barh(range(len(layers)), left, color=colors, height=0.75)
    if len(layers) <= _MAX_NAMED:
        names = [
            f"{layer.name[-40:]}  {size:,}" + (f"  ({layer.note})" if layer.note else "")
            for layer, size in zip(layers, sizes, strict=True)
        ]
        axes.set_yticks(range(len(layers)), names, parse_math=False)
    else:
        axes.set_yticks([])
    axes.invert_yaxis()
    axes.set_ylim(len(layers) - 0.4, -0.6)
    axes.set_xlim(0, 1.02)
    _plain(axes, "weights of each layer that are not zero, as a share of those before (gray: left as it was)")
    axes.tick_params(axis="y", labelsize=6)


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for side in shape:
        size *= side
    return size
