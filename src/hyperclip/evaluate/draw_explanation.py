"""A picture beside the texts that decided about it, as bars. Needs matplotlib, imported when it draws."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from hyperclip.evaluate.figure import label, new_figure, rendered
from hyperclip.runtime.picture_output import check_picture_path, write_picture

__all__ = ["draw_explanation"]

_INK, _GRAY, _PALE, _GREEN, _RED = "#1c1e24", "#70747c", "#e4e4df", "#188c68", "#ce4a34"
_MAX_BARS = 10


def draw_explanation(
    image: Image.Image,
    bars: Sequence[tuple[str, float, bool]],
    path: str | Path,
    *,
    title: str,
    subtitle: str,
    note: str,
) -> None:
    """Draw what spoke for an answer and what against it.

    Parameters
    ----------
    image : PIL.Image.Image
        What was looked at.
    bars : sequence of (str, float, bool)
        Text, what it adds, and whether it holds the name of a class (drawn pale); the largest first.
        At most ten are drawn.
    path : str or Path
        Ends in .png or .jpg.
    title, subtitle : str
        The answer, and what the bars compare.
    note : str
        One sentence below.

    Raises
    ------
    InputError
        When the path cannot be written to.
    MissingExtraError
        When matplotlib is not installed.
    """
    path = check_picture_path(path)
    shown = list(bars[:_MAX_BARS])
    figure = new_figure(10.5, max(4.0, 1.7 + 0.36 * len(shown)))
    photo, axes = figure.subplots(1, 2, width_ratios=[3.2, 4.5])
    photo.imshow(image.convert("RGB"))
    photo.axis("off")
    photo.set_title(label(title, n_chars=40), loc="left", fontsize=14, color=_INK, parse_math=False)
    places = range(len(shown))
    for place, (_, value, names_class) in zip(places, shown, strict=True):
        color = _GREEN if value >= 0 else _RED
        axes.barh(place, value, color=color, alpha=0.35 if names_class else 1.0, height=0.62)
        axes.annotate(
            f"{value:+.2f}",
            (value, place),
            xytext=(4 if value >= 0 else -4, 0),
            textcoords="offset points",
            ha="left" if value >= 0 else "right",
            va="center",
            fontsize=8,
            color=_GRAY,
        )
    axes.set_yticks(places, [label(text, n_chars=44) for text, _, _ in shown], fontsize=9, color=_INK)
    for tick in axes.get_yticklabels():
        tick.set_parse_math(False)
    axes.invert_yaxis()
    axes.axvline(0, color=_GRAY, linewidth=0.8)
    axes.set_title(label(subtitle, n_chars=70), loc="left", fontsize=10, color=_GRAY, parse_math=False)
    axes.margins(x=0.16)
    axes.tick_params(length=0, labelsize=9)
    axes.set_xticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    lines = "\n".join(textwrap.wrap(label(note, n_chars=200), 150))  # its end says what it comes to
    figure.supxlabel(lines, x=0.01, ha="left", fontsize=8, color=_GRAY, parse_math=False)
    write_picture(rendered(figure), path)
