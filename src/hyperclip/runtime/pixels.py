"""Pixels of any Pillow mode as 8-bit RGB on white, strip by strip, so that memory stays bounded.

A photograph of 100 megapixels takes 400 MB once decoded. Converting it in one go would take that
much again for every step, so each strip of rows is converted and shrunk before the next is touched.
"""

from collections.abc import Iterator

import numpy as np
from PIL import Image

__all__ = ["to_rgb"]

_STRIP_PX = 4_000_000  # pixels converted at a time
_DEEP_GRAY_MODES = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N", "F"})
_BITS_PER_SAMPLE_TAG = 258  # TIFF


def to_rgb(image: Image.Image, *, factor: int = 1) -> Image.Image:
    """Return the picture as RGB on a white ground, each side divided by ``factor``.

    Parameters
    ----------
    image : PIL.Image.Image
        Decoded picture of any mode.
    factor : int, at least 1
        Every ``factor`` x ``factor`` pixels become their mean; the last row and column of pixels
        are the mean of what is left.

    Returns
    -------
    PIL.Image.Image
        A new picture of mode RGB and size ``ceil(width / factor)`` x ``ceil(height / factor)``,
        without metadata.

    Raises
    ------
    ValueError
        When Pillow cannot turn the mode into RGB.

    Notes
    -----
    Gray deeper than 8 bits is scaled and not clipped: unsigned 16 bits from 0..65535, other
    integers and floats by the range that their values fit into (0..1 for floats, 0..255, 0..65535,
    else the range they have). Not-a-number counts as black.
    """
    is_plain = image.mode == "RGB" and not image.has_transparency_data
    if is_plain:
        rgb = image.reduce(factor) if factor > 1 else image.copy()
        rgb.info.clear()  # an orientation left here would be applied a second time
        return rgb
    gray_range = _gray_range(image) if image.mode in _DEEP_GRAY_MODES else None
    rgb = Image.new("RGB", (-(-image.width // factor), -(-image.height // factor)))
    for top, strip in _strips(image, factor):
        flat = _flatten(strip) if gray_range is None else _scale_gray(strip, *gray_range)
        rgb.paste(flat.reduce(factor) if factor > 1 else flat, (0, top // factor))
    return rgb


def _strips(image: Image.Image, factor: int = 1) -> Iterator[tuple[int, Image.Image]]:
    """Yield (first row, rows of the picture), each strip but the last a multiple of ``factor`` high."""
    height = max(1, _STRIP_PX // (image.width * factor)) * factor
    for top in range(0, image.height, height):
        yield top, image.crop((0, top, image.width, min(top + height, image.height)))


def _flatten(image: Image.Image) -> Image.Image:
    """Return a picture of at most 8 bits a channel as RGB, see-through parts white."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    ground = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return Image.alpha_composite(ground, rgba).convert("RGB")


def _scale_gray(image: Image.Image, black: float, white: float) -> Image.Image:
    """Return deep gray as RGB, ``black`` at 0 and ``white`` at 255."""
    values = np.asarray(image).astype(np.float64)
    values = np.nan_to_num(values, nan=black, posinf=white, neginf=black)
    levels = np.floor((values - black) * (255.0 / (white - black)) + 0.5)
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8)).convert("RGB")


def _gray_range(image: Image.Image) -> tuple[float, float]:
    """Return the values that mean black and white in a deep gray picture."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        tags = getattr(image, "tag_v2", {})  # a TIFF of 12 bits comes as 16, its values unscaled
        return (0.0, 4095.0) if tags.get(_BITS_PER_SAMPLE_TAG) == (12,) else (0.0, 65535.0)
    low, high = np.inf, -np.inf
    for _, strip in _strips(image):
        values = np.asarray(strip)
        values = values[np.isfinite(values)]
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    usual = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
    for white in usual:
        if low >= 0.0 and high <= white:
            return 0.0, white
    return (low, high) if low < high else (0.0, 1.0)
