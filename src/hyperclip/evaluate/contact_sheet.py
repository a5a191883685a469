"""A sheet of photographs, each with what a classifier takes it for: a picture to look at."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from hyperclip.errors import InputError
from hyperclip.evaluate.tile import Tile, TileLayout
from hyperclip.evaluate.typography import BOLD, Color, wrap, write
from hyperclip.runtime.picture_output import check_picture_path, write_picture

__all__ = ["Tile", "contact_sheet"]

_GROUND = (246, 246, 243)
_INK, _GRAY, _PALE = (28, 30, 36), (112, 116, 124), (152, 155, 162)
_MAX_COLUMNS = 8


def contact_sheet(
    tiles: Iterable[Tile],
    path: str | Path,
    *,
    title: str,
    subtitle: str | None = None,
    footer: str | None = None,
    n_names: int = 4,
    max_tiles: int = 60,
) -> None:
    """Draw photographs in a grid, each with its most probable names, and write the sheet.

    Parameters
    ----------
    tiles : iterable of Tile
        At least one. Those beyond ``max_tiles`` are only counted.
    path : str or Path
        Ends in .png or .jpg.
    title, subtitle, footer : str
        Lines above and below.
    n_names : int
        Most probable names that a tile shows.
    max_tiles : int
        Largest number of tiles; the footer says how many were left out.

    Raises
    ------
    InputError
        When there are no tiles or the path cannot be written to.
    """
    path = check_picture_path(path)
    shown: list[Tile] = []
    n_left_out = 0
    for tile in tiles:
        if len(shown) < max_tiles:
            shown.append(tile)
        else:
            n_left_out += 1
    if not shown:
        raise InputError("There are no pictures for a contact sheet; expected at least one; add some.")
    if n_left_out:
        left_out = f"{n_left_out} more picture{'s are' if n_left_out > 1 else ' is'} not shown"
        footer = f"{footer}  ·  {left_out}" if footer else left_out
    write_picture(_draw_sheet(shown, title, subtitle, footer, n_names), path)


def _draw_sheet(
    tiles: Sequence[Tile], title: str, subtitle: str | None, footer: str | None, n_names: int
) -> Image.Image:
    """Return the whole sheet."""
    layout = TileLayout.of(tiles, n_names)
    n_columns = _n_columns(len(tiles), layout.width / layout.height)
    gap = round(layout.width * 0.075)
    margin = max(48, round(1.4 * gap))
    width = n_columns * (layout.width + gap) - gap
    scale = min(1.4, max(1.0, width / 1400))  # text grows a little with the sheet
    heading = _Block.of(title, width, size_px=round(40 * scale), color=_INK, leading=1.25, weight=BOLD)
    below = _Block.of(subtitle or "", width, size_px=round(20 * scale), color=_GRAY, leading=1.7)
    foot = _Block.of(footer or "", width, size_px=round(16 * scale), color=_PALE, leading=1.6)
    grid_top = margin + heading.height + below.height + round(26 * scale)
    foot_top = grid_top + math.ceil(len(tiles) / n_columns) * (layout.height + gap)
    sheet = Image.new("RGB", (width + 2 * margin, foot_top + foot.height + margin - gap // 2), _GROUND)

    heading.draw(sheet, margin, margin)
    below.draw(sheet, margin, margin + heading.height)
    foot.draw(sheet, margin, foot_top)
    card = layout.make_card(margin=gap // 2, ground=_GROUND)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, n_columns)
        left, top = margin + column * (layout.width + gap), grid_top + row * (layout.height + gap)
        sheet.paste(card, (left - gap // 2, top - gap // 2))
        layout.draw(sheet, tile, left, top)
    return sheet


@dataclass(frozen=True, kw_only=True)
class _Block:
    """Lines of text below one another."""

    lines: Sequence[str]
    size_px: int
    color: Color
    leading: float  # distance of the lines, as a multiple of the font size
    weight: float

    @classmethod
    def of(
        cls, text: str, width_px: int, *, size_px: int, color: Color, leading: float, weight: float = 0.0
    ) -> "_Block":
        """Break a text into at most two lines."""
        lines = wrap(text, width_px, size_px=size_px, n_lines=2, weight=weight)
        return cls(lines=lines, size_px=size_px, color=color, leading=leading, weight=weight)

    @property
    def height(self) -> int:
        """Height in pixels, the space between the lines included."""
        return round(len(self.lines) * self.leading * self.size_px)

    def draw(self, sheet: Image.Image, left: int, top: int) -> None:
        """Write the lines."""
        for index, line in enumerate(self.lines):
            baseline = top + (index + 0.5) * self.leading * self.size_px + 0.35 * self.size_px
            write(sheet, (left, baseline), line, size_px=self.size_px, color=self.color, weight=self.weight)


def _n_columns(n_tiles: int, tile_aspect: float) -> int:
    """Return the number of columns that makes a sheet a little wider than high, with few holes."""

    def badness(n_columns: int) -> float:
        n_rows = math.ceil(n_tiles / n_columns)
        holes = n_rows * n_columns - n_tiles
        return abs(math.log(n_columns * tile_aspect / n_rows / 1.35)) + holes / n_columns

    return min(range(1, min(n_tiles, _MAX_COLUMNS) + 1), key=badness)
