"""Photographs of many sizes and shapes, to compare an imported model with its source on."""

from pathlib import Path

import numpy as np
from PIL import Image

from hyperclip.errors import InputError
from hyperclip.runtime.preprocess import load_image
from hyperclip.runtime.sources import list_images

__all__ = ["N_PICTURES", "comparison_pictures"]

N_PICTURES = 16
MAX_PICTURES = 64
# Width and height: both ways, square, tiny, odd, large, and of extreme proportions.
SHAPES = (
    (640, 480), (480, 640), (224, 224), (300, 301), (97, 64), (1023, 767), (31, 33), (512, 512),
    (900, 301), (200, 777), (1280, 720), (256, 255), (450, 600), (225, 224), (1600, 400), (333, 500),
)  # fmt: skip
NAMES = ("astronaut", "coffee", "chelsea", "rocket", "retina", "hubble_deep_field", "immunohistochemistry")


def comparison_pictures(folder: Path | None = None) -> tuple[list[Image.Image], str]:
    """Return at least 16 RGB pictures and what they are.

    Parameters
    ----------
    folder : Path, optional
        The user's own; by default photographs that come with scikit-image, cut to many shapes, or
        generated pictures where that is not installed.

    Raises
    ------
    InputError
        If the folder holds no picture.
    """
    if folder is not None:
        paths = list_images(folder)[:MAX_PICTURES]
        if not paths:
            raise InputError(f"{folder} holds no pictures; expected some; name another folder.")
        own = [load_image(path) for path in paths]
        own += [_cut(own[i % len(own)], SHAPES[i]) for i in range(len(own), N_PICTURES)]
        return own, f"pictures of {folder.name}"
    photographs = _photographs()
    if photographs:
        cut = [_cut(photographs[i % len(photographs)], shape) for i, shape in enumerate(SHAPES)]
        return cut, "photographs that come with scikit-image"
    return [_generated(shape) for shape in SHAPES], "generated pictures (scikit-image is not installed)"


def _photographs() -> list[Image.Image]:
    """The photographs of scikit-image that its wheel brings along; none where it is not installed."""
    try:
        from skimage import data
    except ModuleNotFoundError:
        return []
    found = []
    for name in NAMES:
        try:
            found.append(Image.fromarray(np.asarray(getattr(data, name)())).convert("RGB"))
        except Exception:  # one that would have to be downloaded
            continue
    return found


def _cut(picture: Image.Image, shape: tuple[int, int]) -> Image.Image:
    """A picture of another size and shape: its middle part, or enlarged where it is too small."""
    factor = max(shape[0] / picture.width, shape[1] / picture.height, 0.5)
    large = picture.resize((round(picture.width * factor) + 1, round(picture.height * factor) + 1))
    left, top = (large.width - shape[0]) // 2, (large.height - shape[1]) // 2
    return large.crop((left, top, left + shape[0], top + shape[1]))


def _generated(shape: tuple[int, int]) -> Image.Image:
    """Smooth colors, an edge and fine noise."""
    rng = np.random.default_rng(shape)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)).resize(shape)
    pixels = np.asarray(coarse, np.int16) + rng.integers(-25, 26, (shape[1], shape[0], 3))
    pixels[: shape[1] // 3] += 40
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
