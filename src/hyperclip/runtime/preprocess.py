"""Pictures as people have them -> the uint8 RGB squares that an image encoder takes.

`fit_image` is the Pillow twin of the resize inside every classifier file: the same pixels within
one gray level when shrinking. Nothing here keeps state, so that threads may share it.
"""

from __future__ import annotations

import math
import os
import stat
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from hyperclip.bundle.specs import MAX_PROPORTION
from hyperclip.errors import InputError
from hyperclip.runtime.picture_file import (
    MAX_PIXELS,
    check_size,
    damaged,
    open_picture,
    shown,
    without_size_warning,
)
from hyperclip.runtime.pixels import to_rgb

if TYPE_CHECKING:
    import numpy.typing as npt

    from hyperclip.bundle.manifest import ImageSpec

    ImageSource = str | Path | bytes | Image.Image | npt.NDArray[np.uint8]

__all__ = ["MAX_PIXELS", "decode", "fit_image", "load_image", "spec_before_crop"]

_REDUCE_ABOVE_PX = 8_000_000  # smaller pictures are resized in one exact step
_MAX_SIZE_PX = 2048  # of an ImageSpec
_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LABELS = {Image.Image: "The given image", np.ndarray: "The given array", bytes: "The given data"}
_INTERPOLATIONS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def decode(source: ImageSource, *, spec: ImageSpec, name: str | None = None) -> npt.NDArray[np.uint8]:
    """Read a picture and fit it to the size that an image encoder takes.

    Parameters
    ----------
    source : str, Path, bytes, PIL.Image.Image or ndarray of shape (height, width, 3), uint8
        As in `load_image`.
    spec : ImageSpec
        Size in pixels, crop or squash, and interpolation.
    name : str, optional
        What an error message calls the picture; by default its path.

    Returns
    -------
    ndarray of shape (size_px, size_px, 3), uint8
        RGB.

    Raises
    ------
    InputError
        When the picture cannot be read; one sentence that names it.

    Notes
    -----
    With `crop`, a picture more than twice as large as needed is first shrunk by a whole factor while it
    is decoded, for speed and memory; at least twice the needed size always stays. The other two ways
    are those of imported models, whose answers shall be their source's: every pixel counts there.

    Examples
    --------
    >>> from hyperclip.bundle.manifest import ImageSpec
    >>> spec = ImageSpec(size_px=96, resize="crop", crop_ratio=1.0, interpolation="bicubic",
    ...                  mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    >>> decode(np.zeros((480, 640, 3), np.uint8), spec=spec).shape
    (96, 96, 3)
    """
    min_side_px = math.ceil(2 * spec.size_px / spec.crop_ratio) if spec.resize == "crop" else None
    return fit_image(load_image(source, min_side_px=min_side_px, name=name), spec=spec)


def fit_image(image: Image.Image, *, spec: ImageSpec) -> npt.NDArray[np.uint8]:
    """Cut out the middle square and resize it (or in the other order, or squash), as classifier files do.

    Parameters
    ----------
    image : PIL.Image.Image
        Of mode RGB, as `load_image` returns it.
    spec : ImageSpec
        Size in pixels, crop or squash, crop ratio and interpolation.

    Returns
    -------
    ndarray of shape (size_px, size_px, 3), uint8
        RGB.

    Raises
    ------
    InputError
        When the picture is not RGB.
    """
    if image.mode != "RGB":
        raise InputError(f"The picture has mode {image.mode!r}; expected 'RGB'; pass it through load_image.")
    if spec.is_resized_first:
        return _fit_shortest(image, spec)
    if spec.resize == "crop":
        side = _crop_side(min(image.size), spec)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        box = (left, top, left + side, top + side)
        if side * side > _REDUCE_ABOVE_PX * 8:
            image = image.reduce(2, box=box)  # a crop this large would make Pillow warn
        elif box != (0, 0, *image.size):
            image = image.crop(box)
    size = (spec.size_px, spec.size_px)
    return np.array(image.resize(size, _INTERPOLATIONS[spec.interpolation]), dtype=np.uint8)


def _fit_shortest(image: Image.Image, spec: ImageSpec) -> npt.NDArray[np.uint8]:
    """Resize the shorter side to ``spec.resize_px``, then cut out the middle square of ``spec.size_px``."""
    width, height = image.size
    longest = MAX_PROPORTION * min(width, height)
    if max(width, height) > longest:  # what is cut off lies far outside the middle square
        left, top = max(width - longest, 0) // 2, max(height - longest, 0) // 2
        image = image.crop((left, top, left + min(width, longest), top + min(height, longest)))
        width, height = image.size
    shorter = min(width, height)
    wide, high = (spec.resize_px * side // shorter for side in (width, height))
    if (wide, high) != (width, height):
        image = image.resize((wide, high), _INTERPOLATIONS[spec.interpolation])
    rest = (wide - spec.size_px, high - spec.size_px)
    left, top = (side // 2 if spec.resize == "shortest_floor" else round(side / 2) for side in rest)
    return np.array(image.crop((left, top, left + spec.size_px, top + spec.size_px)), dtype=np.uint8)


def spec_before_crop(spec: ImageSpec) -> ImageSpec:
    """Return how to decode pictures for a classifier file that will itself crop them by ``spec``.

    Parameters
    ----------
    spec : ImageSpec
        What the file does to its input.

    Returns
    -------
    ImageSpec
        Without a crop ratio; of the smallest size whose crop measures ``spec.size_px``, so that the
        file cuts out the same part of the picture and resizes nothing.

    Examples
    --------
    >>> from hyperclip.bundle.manifest import ImageSpec
    >>> spec = ImageSpec(size_px=224, resize="crop", crop_ratio=0.875, interpolation="bicubic",
    ...                  mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    >>> spec_before_crop(spec).size_px
    256
    """
    if spec.resize == "squash" or spec.crop_ratio == 1.0:
        return spec
    if spec.is_resized_first:
        return replace(spec, size_px=min(spec.resize_px, _MAX_SIZE_PX), sizes_px=(), crop_ratio=1.0)
    size_px = math.floor(spec.size_px / spec.crop_ratio)
    while _crop_side(size_px, spec) < spec.size_px:
        size_px += 1
    if (size_px - spec.size_px) % 2 and _crop_side(size_px + 1, spec) == spec.size_px:
        size_px += 1  # equal margins: the crop is centered to the pixel
    size_px = min(size_px, _MAX_SIZE_PX)  # of a tiny part of a picture, the file enlarges what is left
    return replace(spec, size_px=size_px, sizes_px=(), crop_ratio=1.0)


def _crop_side(side_px: int, spec: ImageSpec) -> int:
    """Return the side of the square that is cut out of a picture with this shorter side."""
    return max(1, math.floor(side_px * spec.crop_ratio + 0.5))


def load_image(
    source: ImageSource, *, min_side_px: int | None = None, name: str | None = None
) -> Image.Image:
    """Read a picture of any usual kind as upright 8-bit RGB on white.

    Parameters
    ----------
    source : str, Path, bytes, PIL.Image.Image or ndarray of shape (height, width, 3), uint8
        A file, the content of a file, or a picture in memory (never changed). Of an animation the
        first frame counts, of a file with several pages the first page.
    min_side_px : int, optional
        Allows a smaller result: large pictures are shrunk by a whole factor, as long as both sides
        keep at least this many pixels. By default every pixel is kept.
    name : str, optional
        What an error message calls the picture; by default its path.

    Returns
    -------
    PIL.Image.Image
        A new picture of mode RGB without metadata: EXIF orientation applied, transparency laid on
        white, deep gray scaled to 8 bits (see `hyperclip.runtime.pixels.to_rgb`).

    Raises
    ------
    InputError
        When the picture is missing, unreadable, damaged, of a kind that is not read or larger than
        `MAX_PIXELS`; one sentence that names it.
    """
    label = shown(name) if name else _label(source)
    if isinstance(source, Image.Image):
        return _to_upright_rgb(source, min_side_px, label)
    if isinstance(source, np.ndarray):
        return _to_upright_rgb(_from_array(source, label), min_side_px, label)
    if isinstance(source, bytes):
        return _load_stream(BytesIO(source), min_side_px, label)
    try:
        mode = os.stat(source).st_mode
        if stat.S_ISDIR(mode):
            raise InputError(f"{label} is a folder; expected a picture; name a file inside it.")
        if not stat.S_ISREG(mode):  # a pipe or device could block or never end
            raise InputError(f"{label} is not a regular file; expected a picture; save it to a file first.")
        with Path(source).open("rb") as stream:
            return _load_stream(stream, min_side_px, label)
    except FileNotFoundError as error:
        raise InputError(f"{label} does not exist; expected a picture; check the spelling.") from error
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise InputError(
            f"{label} cannot be opened ({reason}); expected a readable picture; check its permissions."
        ) from error


def _label(source: ImageSource) -> str:
    """Return what messages call a picture that the caller did not name."""
    if isinstance(source, (str, os.PathLike)):
        return shown(source)
    for kind, label in _LABELS.items():
        if isinstance(source, kind):
            return label
    raise InputError(
        f"An image is of type {type(source).__name__}; expected a path, the bytes of a file, a PIL image "
        "or a uint8 array of shape (height, width, 3); convert it to one of these."
    )


def _load_stream(stream: IO[bytes], min_side_px: int | None, label: str) -> Image.Image:
    """Decode an open file as upright RGB."""
    image = open_picture(stream, label)
    try:
        check_size(image, label)
        if min_side_px is not None and image.format in ("JPEG", "MPO"):
            image.draft("RGB", (min_side_px, min_side_px))  # decodes at 1/2, 1/4 or 1/8: faster, smaller
        return _to_upright_rgb(image, min_side_px, label)
    finally:
        image.close()


def _to_upright_rgb(image: Image.Image, min_side_px: int | None, label: str) -> Image.Image:
    """Decode, flatten to RGB, shrink by a whole factor where that is allowed, and turn upright."""
    check_size(image, label)
    factor = 1
    if min_side_px is not None and image.width * image.height > _REDUCE_ABOVE_PX:
        factor = max(1, min(image.size) // min_side_px)
    try:
        with without_size_warning(image):
            image.load()
        turn = _turn(image)
        rgb = to_rgb(image, factor=factor)
    except Exception as error:  # decoders of damaged files raise whatever they trip over
        raise damaged(label, image.format or image.mode, error) from error
    return rgb if turn is None else rgb.transpose(turn)


def _turn(image: Image.Image) -> Image.Transpose | None:
    """Return what makes a decoded picture upright by its EXIF orientation, None for nothing."""
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # damaged metadata must not cost an intact picture
        return None


def _from_array(array: npt.NDArray[Any], label: str) -> Image.Image:
    """Wrap an array as a picture."""
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise InputError(
            f"{label} has shape {array.shape} and dtype {array.dtype}; expected (height, width, 3) and "
            "uint8, RGB from 0 to 255; convert it or pass a PIL image."
        )
    return Image.fromarray(array)
