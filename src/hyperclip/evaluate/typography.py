"""Text in pictures with nothing but Pillow: its font, names it cannot draw, and text that is too long."""

import importlib.util
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

__all__ = ["BOLD", "MEDIUM", "Color", "drawable_with", "ellipsize", "text_width", "wrap", "write"]

Color = tuple[int, int, int]
BOLD, MEDIUM = 0.018, 0.006  # weights: how much thicker than regular, as shares of the font size

# Pillow's own font has hardly more than ASCII. Others are asked in turn, where a machine has them.
_OTHER_FONTS = (
    *("DejaVuSans.ttf", "Arial.ttf", "Arial Unicode.ttf", "NotoSans-Regular.ttf", "segoeui.ttf"),
    *("NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "wqy-microhei.ttc", "msyh.ttc"),
    *("PingFang.ttc", "Hiragino Sans GB.ttc", "malgun.ttf", "Nirmala.ttf", "NotoSansDevanagari-Regular.ttf"),
)
_OTHER_SCALE = 0.92  # they are drawn larger than Pillow's at the same nominal size
_NO_CHARACTER = "\uffff"  # never assigned, so that every font draws its "missing" box


def write(
    canvas: Image.Image,
    position: tuple[float, float],
    text: str,
    *,
    size_px: int,
    color: Color,
    weight: float = 0.0,
    anchor: str = "ls",
) -> None:
    """Draw one line of text.

    Parameters
    ----------
    canvas : PIL.Image.Image
        Drawn on, of mode RGB.
    position : (float, float)
        Where the anchor goes, in pixels.
    text : str
        May hold any character.
    size_px : int
        Font size.
    color : (int, int, int)
        RGB.
    weight : float
        How much bolder than regular, as a share of ``size_px``.
    anchor : str
        Pillow's two letters; by default the left end of the baseline.
    """
    text, name = _drawable(text)
    font, pen = _font(name, size_px), ImageDraw.Draw(canvas)
    tracking = _tracking(text, size_px, weight)
    # A bolder letter needs room on both sides, which a stroke does not make. Letters are set one by
    # one then, each where the text before it ends, so that pairs keep their distance.
    start = position[0] - (text_width(text, size_px=size_px, weight=weight) if anchor[0] == "r" else 0.0)
    for index, piece in enumerate(text) if tracking else [(0, text)]:
        before = font.getlength(text[: index + 1]) - font.getlength(piece) if index else 0.0
        pen.text(
            (start + before + tracking * index, position[1]),
            piece,
            font=font,
            fill=color,
            anchor=f"l{anchor[1]}",
            stroke_width=weight * size_px,
            stroke_fill=color,
        )


def text_width(text: str, *, size_px: int, weight: float = 0.0) -> float:
    """Return the width of one line of text in pixels."""
    text, name = _drawable(text)
    tracking = _tracking(text, size_px, weight)
    return float(_font(name, size_px).getlength(text)) + tracking * max(0, len(text) - 1)


def _tracking(text: str, size_px: int, weight: float) -> float:
    """Return the extra distance of bolder letters; none where letters join or change their form."""
    return 1.1 * weight * size_px if all(c < "\u0300" for c in text) else 0.0


def ellipsize(text: str, width_px: float, *, size_px: int, weight: float = 0.0) -> str:
    """Return the text, its end replaced by an ellipsis where it is wider than allowed."""
    text = " ".join(text.split())[:1000]  # longer text fits nowhere, and measuring takes time
    if text_width(text, size_px=size_px, weight=weight) <= width_px:
        return text
    low, high = 0, len(text)
    while low < high:  # the longest beginning that fits, by bisection
        middle = (low + high + 1) // 2
        cut = text[:middle].rstrip() + "…"
        if text_width(cut, size_px=size_px, weight=weight) <= width_px:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip(" ,;:.-") + "…"


def wrap(text: str, width_px: float, *, size_px: int, n_lines: int, weight: float = 0.0) -> list[str]:
    """Return the text in at most so many lines, broken at spaces, the last one ellipsized."""
    words = text[:2000].split()
    lines: list[str] = []
    while words and len(lines) < n_lines - 1:
        line = words.pop(0)
        while words and text_width(f"{line} {words[0]}", size_px=size_px, weight=weight) <= width_px:
            line += f" {words.pop(0)}"
        lines.append(ellipsize(line, width_px, size_px=size_px, weight=weight))
    if words:
        lines.append(ellipsize(" ".join(words), width_px, size_px=size_px, weight=weight))
    return lines


def drawable_with(font: str, text: str) -> str:
    """Return the text with every character replaced that a font file has no picture of."""
    text = "".join(" " if c.isspace() else c for c in unicodedata.normalize("NFC", text) if _is_visible(c))
    return "".join(c if _has_glyph(font, c) else _substitute(c, font) for c in text)


@lru_cache(maxsize=4096)
def _drawable(text: str) -> tuple[str, str | None]:
    """Return the text as it can be drawn, and the font (None: Pillow's own) that draws most of it."""
    text = "".join(" " if c.isspace() else c for c in unicodedata.normalize("NFC", text) if _is_visible(c))
    best: str | None = None
    missing = {c for c in text if not _has_glyph(None, c)}
    if missing:
        for name in _available_fonts():
            still = {c for c in missing if not _has_glyph(name, c)}
            still |= {c for c in set(text) - missing if not _has_glyph(name, c)}
            if len(still) < len(missing):
                best, missing = name, still
            if not missing:
                break
    return "".join(_substitute(c, best) if c in missing else c for c in text), best


def _is_visible(character: str) -> bool:
    """Tell whether a character stands for something; joiners and control codes do not."""
    return character.isspace() or unicodedata.category(character) not in ("Cc", "Cf", "Cs")


def _substitute(character: str, font: str | None) -> str:
    """Return what stands for a character that no font here can draw."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c))
    if not plain or unicodedata.category(character) in ("Mn", "Me"):  # an accent or a variation selector
        return ""
    if all(_has_glyph(font, c) for c in plain):
        return plain
    if unicodedata.category(character) == "So":  # emoji have telling names
        return f"[{unicodedata.name(character, 'symbol').lower()}]"
    return f"[{ord(character):X}]"


@lru_cache(maxsize=65536)
def _has_glyph(font: str | None, character: str) -> bool:
    """Tell whether a font has a picture of a character."""
    if character == " ":
        return True
    mask, missing = (_font(font, 24).getmask(c) for c in (character, _NO_CHARACTER))
    return mask.size != missing.size or bytes(mask) != bytes(missing)


@lru_cache(maxsize=256)
def _font(name: str | None, size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return a font in a size; None is the one that comes with Pillow."""
    if name is None:
        return ImageFont.load_default(size_px)
    return ImageFont.truetype(name, size_px * _OTHER_SCALE)


@lru_cache(maxsize=1)
def _available_fonts() -> tuple[str, ...]:
    """Return the further fonts that this machine has."""
    return tuple(_find_fonts())


def _find_fonts() -> Iterator[str]:
    """Yield fonts that can be opened: matplotlib's where it is installed, then the system's."""
    matplotlib = importlib.util.find_spec("matplotlib")
    for folder in (matplotlib.submodule_search_locations or ()) if matplotlib else ():
        path = Path(folder, "mpl-data", "fonts", "ttf", "DejaVuSans.ttf")
        if path.is_file():
            yield str(path)
    for name in _OTHER_FONTS:
        try:
            ImageFont.truetype(name, 24)
        except (OSError, ImportError):
            continue
        yield name
