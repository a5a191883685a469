"""Smooth shapes: Pillow draws without antialiasing, so each is drawn large and shrunk."""

from functools import lru_cache

from PIL import Image, ImageDraw, ImageFilter, ImageOps

from hyperclip.evaluate.typography import Color

__all__ = ["draw_bar", "draw_mark", "fit_photo", "make_card", "paste_rounded"]

_OVERSAMPLING = 4
_LARGEST_LOSS = 0.45  # share of a photograph that may be cut off to fill its frame


def paste_rounded(
    canvas: Image.Image,
    image: Image.Image | Color,
    box: tuple[int, int, int, int],
    *,
    radius: float,
    corners: tuple[bool, bool, bool, bool] = (True, True, True, True),
) -> None:
    """Paste a picture or a color into a box whose corners (from the top left, clockwise) are round."""
    size = (box[2] - box[0], box[3] - box[1])
    if size[0] > 0 and size[1] > 0:
        canvas.paste(image, box, _rounded_mask(size, radius, corners))


def draw_bar(
    canvas: Image.Image, box: tuple[int, int, int, int], *, share: float, color: Color, track: Color
) -> None:
    """Draw a horizontal bar with round ends, filled from the left to a share in [0, 1]."""
    left, top, right, bottom = box
    radius = (bottom - top) / 2
    paste_rounded(canvas, track, box, radius=radius)
    filled = round((right - left) * share)
    if share > 0:  # a sliver stays visible, so that little does not look like nothing
        end = left + max(filled, min(bottom - top, right - left))
        paste_rounded(canvas, color, (left, top, end, bottom), radius=radius)


def draw_mark(canvas: Image.Image, box: tuple[int, int, int, int], *, is_right: bool, color: Color) -> None:
    """Draw a disc with a white check mark or cross, so that color alone need not tell."""
    side = (box[2] - box[0]) * _OVERSAMPLING
    disc, strokes = Image.new("L", (side, side)), Image.new("L", (side, side))
    ImageDraw.Draw(disc).ellipse((0, 0, side - 1, side - 1), fill=255)
    lines = (
        [[(0.27, 0.52), (0.44, 0.68), (0.74, 0.35)]]
        if is_right
        else [
            [(0.33, 0.33), (0.67, 0.67)],
            [(0.67, 0.33), (0.33, 0.67)],
        ]
    )
    pen, width = ImageDraw.Draw(strokes), round(side * 0.1)
    for line in lines:
        points = [(x * side, y * side) for x, y in line]
        pen.line(points, fill=255, width=width, joint="curve")
        for x, y in points:  # round ends
            pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=255)
    size = (box[2] - box[0], box[3] - box[1])
    canvas.paste(color, box, disc.resize(size, Image.Resampling.BOX))
    canvas.paste((255, 255, 255), box, strokes.resize(size, Image.Resampling.BOX))


def make_card(
    size: tuple[int, int], *, margin: int, radius: float, background: Color, card: Color, border: Color
) -> Image.Image:
    """Return a white card with round corners and a soft shadow on its ground, ``margin`` on all sides."""
    width, height = size[0] + 2 * margin, size[1] + 2 * margin
    box = (margin, margin, margin + size[0], margin + size[1])
    shadow = Image.new("L", (width, height))
    drop = max(1, margin // 6)
    shadow.paste(38, (box[0], box[1] + drop, box[2], box[3] + drop), _rounded_mask(size, radius))
    shadow = shadow.filter(ImageFilter.GaussianBlur(margin / 3))
    image = Image.new("RGB", (width, height), background)
    image.paste((60, 60, 70), (0, 0), shadow)
    paste_rounded(image, border, box, radius=radius)
    paste_rounded(image, card, (box[0] + 1, box[1] + 1, box[2] - 1, box[3] - 1), radius=radius - 1)
    return image


def fit_photo(image: Image.Image, size: tuple[int, int], *, ground: Color) -> Image.Image:
    """Return a photograph that fills a frame (heads stay on); a very long one is shown whole, on a ground."""
    aspect = (image.width / image.height) / (size[0] / size[1])
    if 1 - min(aspect, 1 / aspect) <= _LARGEST_LOSS:
        return ImageOps.fit(image, size, Image.Resampling.LANCZOS, centering=(0.5, 0.2))
    return ImageOps.pad(image, size, Image.Resampling.LANCZOS, color=ground)


@lru_cache(maxsize=256)
def _rounded_mask(
    size: tuple[int, int], radius: float, corners: tuple[bool, bool, bool, bool] = (True, True, True, True)
) -> Image.Image:
    """Return a smooth mask of a rectangle with round corners."""
    large = Image.new("L", (size[0] * _OVERSAMPLING, size[1] * _OVERSAMPLING))
    box = (0, 0, large.width - 1, large.height - 1)
    radius = min(radius, min(size) / 2) * _OVERSAMPLING
    ImageDraw.Draw(large).rounded_rectangle(box, radius, fill=255, corners=corners)
    return large.resize(size, Image.Resampling.BOX)
