"""One photograph with what a classifier takes it for: the tile of a contact sheet."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from hyperclip.errors import InputError
from hyperclip.evaluate.shapes import draw_bar, draw_mark, fit_photo, make_card, paste_rounded
from hyperclip.evaluate.typography import BOLD, MEDIUM, Color, ellipsize, text_width, write
from hyperclip.runtime.names import same_name_key

__all__ = ["Tile", "TileLayout", "format_percent"]

_CARD, _BORDER, _TRACK = (255, 255, 255), (229, 229, 224), (238, 239, 240)
_INK, _GRAY, _PALE = (28, 30, 36), (112, 116, 124), (152, 155, 162)
_BLUE, _GREEN, _RED, _OTHER = (52, 106, 214), (24, 140, 104), (206, 74, 52), (176, 188, 204)

# Sizes, in 400ths of the width of a tile.
_PADDING, _NAME, _TEXT, _SMALL, _ROW, _MARK = 22, 30, 15.5, 13, 27, 30
_ROUNDING = 1e-3  # a softmax in half precision may exceed 1 by this
_PHOTO_ASPECT = 4 / 3
_WIDTHS_PX = {1: 620, 2: 540, 6: 460, 12: 400, 24: 340}  # up to so many tiles
_SMALLEST_WIDTH_PX = 300


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One photograph of a contact sheet.

    Parameters
    ----------
    image : PIL.Image.Image
        Of mode RGB, upright.
    predictions : sequence of (str, float)
        Names and probabilities in [0, 1], at least one.
    truth : str, optional
        The right name, where it is known.
    meaning : str, optional
        The meaning that was read into the most probable name.
    caption : str, optional
        Small print, such as the name of the file.
    """

    image: Image.Image
    predictions: Sequence[tuple[str, float]]
    truth: str | None = None
    meaning: str | None = None
    caption: str | None = None

    def __post_init__(self) -> None:
        if not self.predictions:
            raise InputError("A tile has no predictions; expected at least one; leave the picture out.")
        for name, probability in self.predictions:
            if not -_ROUNDING <= probability <= 1.0 + _ROUNDING:
                raise InputError(
                    f"The probability of {name[:80]!r} is {probability}; expected 0 to 1; pass "
                    "probabilities, not logits."
                )
        best_first = sorted(self.predictions, key=lambda prediction: -prediction[1])
        clipped = tuple((name, min(1.0, max(0.0, float(probability)))) for name, probability in best_first)
        object.__setattr__(self, "predictions", clipped)

    @property
    def is_right(self) -> bool | None:
        """Whether the most probable name is the right one; None where that is not known."""
        if self.truth is None:
            return None
        return same_name_key(self.predictions[0][0]) == same_name_key(self.truth)


@dataclass(frozen=True, kw_only=True)
class TileLayout:
    """Where things are in a tile; the same for all tiles of a sheet."""

    width: int
    n_names: int
    has_meaning: bool
    has_caption: bool

    @classmethod
    def of(cls, tiles: Sequence[Tile], n_names: int) -> "TileLayout":
        """Return the layout that holds what any of the tiles has."""
        return cls(
            width=next((width for n, width in _WIDTHS_PX.items() if len(tiles) <= n), _SMALLEST_WIDTH_PX),
            n_names=max(1, min(n_names, max(len(tile.predictions) for tile in tiles))),
            has_meaning=any(tile.meaning for tile in tiles),
            has_caption=any(tile.caption for tile in tiles),
        )

    def px(self, size: float) -> int:
        """Return a size given in 400ths of the tile's width in pixels."""
        return round(size * self.width / 400)

    @property
    def photo_height(self) -> int:
        """Height of the photograph in pixels."""
        return round(self.width / _PHOTO_ASPECT)

    @property
    def height(self) -> int:
        """Height of the tile in pixels."""
        lines = 25 * self.has_meaning + 26 * self.has_caption
        return self.photo_height + self.px(62 + lines + self.n_names * _ROW + 16)

    def make_card(self, *, margin: int, ground: Color) -> Image.Image:
        """Return the empty card on its ground, ``margin`` pixels on all sides."""
        return make_card(
            (self.width, self.height),
            margin=margin,
            radius=self.px(14),
            background=ground,
            card=_CARD,
            border=_BORDER,
        )

    def draw(self, sheet: Image.Image, tile: Tile, left: int, top: int) -> None:
        """Draw a tile onto its card."""
        photo = fit_photo(tile.image, (self.width - 2, self.photo_height), ground=_TRACK)
        box = (left + 1, top + 1, left + self.width - 1, top + 1 + self.photo_height)
        paste_rounded(sheet, photo, box, radius=self.px(13), corners=(True, True, False, False))

        if tile.truth is not None and tile.is_right is False:
            self._draw_truth(sheet, tile.truth, left, top)

        x, right = left + self.px(_PADDING), left + self.width - self.px(_PADDING)
        y = top + self.photo_height + self.px(44)
        is_right = tile.is_right
        color = _BLUE if is_right is None else _GREEN if is_right else _RED
        room = right - x
        if is_right is not None:
            side = self.px(_MARK)
            mark_top = y - self.px(11) - side // 2
            draw_mark(sheet, (right - side, mark_top, right, mark_top + side), is_right=is_right, color=color)
            room -= side + self.px(10)
        name = tile.predictions[0][0]
        size = self._name_size(name, room)
        name = ellipsize(name, room, size_px=size, weight=BOLD)
        write(sheet, (x, y), name, size_px=size, color=_INK, weight=BOLD)
        if self.has_meaning:
            y += self.px(25)
            self._line(sheet, x, y, right - x, tile.meaning or "", color=_GRAY)
        y += self.px(16)
        self._draw_bars(sheet, tile, (x, right), y, color)
        if self.has_caption:
            y += self.px(self.n_names * _ROW + 22)
            self._line(sheet, x, y, right - x, tile.caption or "", color=_PALE, size=_SMALL)

    def _draw_truth(self, sheet: Image.Image, truth: str, left: int, top: int) -> None:
        """Write what a picture really shows onto a label at the foot of the photograph."""
        size, inset, height = self.px(_TEXT), self.px(12), self.px(30)
        text = ellipsize(f"really: {truth}", self.width - 2 * inset - height, size_px=size, weight=MEDIUM)
        x, y = left + inset, top + self.photo_height - inset - height
        width = round(text_width(text, size_px=size, weight=MEDIUM)) + height
        paste_rounded(sheet, _CARD, (x, y, x + width, y + height), radius=height / 2)
        position = (x + height / 2, y + height / 2 + self.px(5.5))
        write(sheet, position, text, size_px=size, color=_RED, weight=MEDIUM)

    def _name_size(self, name: str, room: float) -> int:
        """Return the font size of the name: smaller for a long one, before it is cut."""
        for size in (_NAME, _NAME * 0.87, _NAME * 0.75):
            if text_width(name, size_px=self.px(size), weight=BOLD) <= room:
                return self.px(size)
        return self.px(_NAME * 0.75)

    def _line(
        self,
        sheet: Image.Image,
        x: float,
        y: float,
        room: float,
        text: str,
        *,
        color: Color,
        size: float = _TEXT,
    ) -> None:
        """Write one line of small text."""
        text = ellipsize(text, room, size_px=self.px(size))
        write(sheet, (x, y), text, size_px=self.px(size), color=color)

    def _draw_bars(
        self, sheet: Image.Image, tile: Tile, edges: tuple[int, int], top: int, color: Color
    ) -> None:
        """Draw the most probable names with their bars and percentages."""
        left, right = edges
        bar_left, bar_right = left + round((right - left) * 0.43), right - self.px(48)
        thickness, text_px = self.px(9), self.px(_TEXT)
        for rank, (name, probability) in enumerate(tile.predictions[: self.n_names]):
            middle = top + self.px((rank + 0.5) * _ROW)
            is_truth = tile.truth is not None and same_name_key(name) == same_name_key(tile.truth)
            bar_color = color if rank == 0 else _GREEN if is_truth else _OTHER
            ink, weight = (_INK, MEDIUM) if rank == 0 else (_GRAY, 0.0)
            label = ellipsize(name, bar_left - left - self.px(12), size_px=text_px, weight=weight)
            base = middle + self.px(5.5)
            write(sheet, (left, base), label, size_px=text_px, color=ink, weight=weight)
            box = (bar_left, middle - thickness // 2, bar_right, middle - thickness // 2 + thickness)
            draw_bar(sheet, box, share=probability, color=bar_color, track=_TRACK)
            percent = format_percent(probability)
            write(sheet, (right, base), percent, size_px=text_px, color=ink, weight=weight, anchor="rs")


def format_percent(probability: float) -> str:
    """Return a probability in whole percent; only 0 and 1 themselves are called so."""
    if 0 < probability < 0.005:
        return "<1%"
    if 0.995 <= probability < 1:
        return ">99%"
    return f"{int(100 * probability + 0.5)}%"
