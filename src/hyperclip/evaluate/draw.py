"""Drawings of numbers that others computed: contact sheet, confusion matrix, training curves.

The contact sheet needs Pillow alone; the others need matplotlib, which is imported when they draw.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hyperclip.errors import InputError
from hyperclip.evaluate.contact_sheet import Tile, contact_sheet
from hyperclip.evaluate.figure import label, new_figure, rendered
from hyperclip.runtime.picture_output import check_picture_path, write_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Tile", "contact_sheet", "draw_confusion", "draw_curves"]

_INK, _GRAY, _PALE, _GREEN, _RED, _BLUE = "#1c1e24", "#70747c", "#e4e4df", "#188c68", "#ce4a34", "#346ad6"
_MAX_COUNTED = 15  # classes, up to which the counts are written into the matrix
_MAX_NAMED = 60  # classes, up to which their names stand beside it
_MAX_PANELS = 24


def draw_confusion(matrix: npt.ArrayLike, class_names: Sequence[str], path: str | Path) -> None:
    """Draw which classes were taken for which others, the most frequent confusions in words beside it.

    Parameters
    ----------
    matrix : array-like of shape (n_classes, n_classes), int
        Counts; rows are true classes, as `hyperclip.evaluate.metrics.confusion_matrix` gives them.
    class_names : sequence of str
        One a class.
    path : str or Path
        Ends in .png or .jpg.

    Raises
    ------
    InputError
        When matrix and names do not fit, or the path cannot be written to.
    MissingExtraError
        When matplotlib is not installed.
    """
    path = check_picture_path(path)
    counts_CC = np.asarray(matrix)
    n_classes = len(class_names)
    if counts_CC.shape != (n_classes, n_classes) or n_classes == 0:
        raise InputError(
            f"The confusion matrix has shape {counts_CC.shape}; expected ({n_classes}, {n_classes}), as "
            f"there are {n_classes} class names; pass both from the same evaluation."
        )
    names = [label(name) for name in class_names]
    n_true_C = counts_CC.sum(axis=1, keepdims=True)
    shares_CC = counts_CC / np.maximum(n_true_C, 1)

    side = 4.6 + 0.32 * n_classes if n_classes <= _MAX_COUNTED else 9.0 + 0.05 * min(n_classes, _MAX_NAMED)
    figure = new_figure(side + 4.2, side)
    axes, notes = figure.subplots(1, 2, width_ratios=[side, 4.2])
    axes.imshow(_colors(shares_CC), interpolation="nearest")
    _name_axes(axes, names)
    if n_classes <= _MAX_COUNTED:
        for row, column in zip(*np.nonzero(counts_CC), strict=True):
            color = "white" if shares_CC[row, column] > 0.45 else _INK
            axes.text(
                column, row, str(counts_CC[row, column]), ha="center", va="center", fontsize=8, color=color
            )
    _write_confusions(notes, counts_CC, names)
    write_picture(rendered(figure), path)


def draw_curves(rows: Sequence[Mapping[str, float]], path: str | Path) -> None:
    """Draw every figure of a log against the step, one small panel each.

    Parameters
    ----------
    rows : sequence of mapping
        Each has a ``step`` and some figures. Rows may lack figures; those that are not finite are
        left out. Without any figure nothing is drawn.
    path : str or Path
        Ends in .png or .jpg.

    Raises
    ------
    InputError
        When the path cannot be written to.
    MissingExtraError
        When matplotlib is not installed.
    """
    path = check_picture_path(path)
    curves: dict[str, tuple[list[float], list[float]]] = {}
    for row in rows:
        for key, value in row.items():
            if key != "step" and math.isfinite(value):
                steps, values = curves.setdefault(key, ([], []))
                steps.append(row["step"])
                values.append(value)
    shown = list(curves)[:_MAX_PANELS]
    if not shown:
        return
    n_columns = min(len(shown), 3)
    n_rows = math.ceil(len(shown) / n_columns)
    figure = new_figure(4.6 * n_columns, 3.0 * n_rows + 0.3)
    grid = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for axes, key in zip(grid, shown, strict=False):
        _draw_curve(axes, key, *curves[key])
    for axes in grid[len(shown) :]:
        axes.axis("off")
    write_picture(rendered(figure), path)


def _draw_curve(axes: "Axes", key: str, steps: list[float], values: list[float]) -> None:
    """Draw one figure; of many points the running mean stands out."""
    window = len(values) // 25
    if window >= 2:
        axes.plot(steps, values, color=_BLUE, alpha=0.25, linewidth=0.8)
        mean = np.convolve(values, np.ones(window) / window, mode="valid")
        axes.plot(steps[window - 1 :], mean, color=_BLUE, linewidth=1.6)
    else:
        axes.plot(steps, values, color=_BLUE, linewidth=1.6, marker="o", markersize=3)
    axes.set_title(label(key), loc="left", fontsize=10, color=_INK, parse_math=False)
    axes.annotate(
        f"{values[-1]:.4g}",
        (1, 1.02),
        xycoords="axes fraction",
        ha="right",
        va="bottom",
        fontsize=10,
        color=_GRAY,
    )
    axes.set_xlabel("step", fontsize=8, color=_GRAY)
    axes.tick_params(labelsize=8, colors=_GRAY, length=0)
    axes.grid(color=_PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _colors(shares_CC: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return RGB for each cell: right answers green, wrong ones red, the stronger the more frequent."""
    white, green, red = (np.array(color) / 255 for color in ((255, 255, 255), (24, 140, 104), (206, 74, 52)))
    strength = shares_CC[..., None] ** 0.6  # so that rare confusions are seen, too
    full = np.where(np.eye(len(shares_CC), dtype=bool)[..., None], green, red)
    colors: npt.NDArray[np.float64] = white + strength * (full - white)
    return colors


def _name_axes(axes: "Axes", names: Sequence[str]) -> None:
    """Label rows and columns, or say how many there are."""
    axes.set_xlabel("predicted", fontsize=10, color=_GRAY)
    axes.set_ylabel("true", fontsize=10, color=_GRAY)
    for spine in axes.spines.values():
        spine.set_color(_PALE)
    if len(names) > _MAX_NAMED:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(f"{len(names)} classes", loc="left", fontsize=11, color=_INK)
        return
    size = 9 if len(names) <= 25 else 6.5
    style: dict[str, Any] = {"fontsize": size, "color": _INK, "parse_math": False}
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor", **style)
    axes.set_yticks(range(len(names)), names, **style)
    axes.tick_params(length=0)


def _write_confusions(axes: "Axes", counts_CC: npt.NDArray[Any], names: Sequence[str], n: int = 12) -> None:
    """Write accuracy and the most frequent confusions as text."""
    axes.axis("off")

    def say(text: str, down_pt: float, *, size: float, color: str, right_pt: float = 0.0) -> None:
        axes.annotate(
            text,
            (0, 1),
            xycoords="axes fraction",
            xytext=(right_pt, -down_pt),
            textcoords="offset points",
            va="top",
            fontsize=size,
            color=color,
            parse_math=False,
        )

    total, right = int(counts_CC.sum()), int(np.trace(counts_CC))
    say(f"{right:,} of {total:,} right", 0, size=15, color=_INK)
    say(f"{right / total:.1%}" if total else "no pictures", 22, size=11, color=_GRAY)
    wrong_CC = counts_CC.copy()
    np.fill_diagonal(wrong_CC, 0)
    worst = [
        index for index in np.argsort(-wrong_CC, axis=None, kind="stable")[:n] if wrong_CC.flat[index] > 0
    ]
    if worst:
        say("Most frequent confusions (true → predicted)", 54, size=9, color=_GRAY)
    for rank, index in enumerate(worst):
        true, predicted = divmod(int(index), len(names))
        down = 72 + 18 * rank
        say(f"{wrong_CC.flat[index]:,}", down, size=10, color=_RED)
        say(f"{names[true]} → {names[predicted]}", down, size=10, color=_INK, right_pt=30)
