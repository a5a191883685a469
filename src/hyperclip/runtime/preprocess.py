"""Pictures as people have them -> the uint8 RGB squares that an image encoder takes.

`fit_image` is the Pillow twin of the resize inside every classifier file: the same pixels within
one gray level when shrinking. Nothing here keeps state, so that threads may share it.
"""

from __future__ import annotations

import importlib
import math
import os
import stat
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageFile

from hyperclip.errors import InputError
from hyperclip.runtime.pixels import to_rgb

if TYPE_CHECKING:
    import numpy.typing as npt

    from hyperclip.bundle.manifest import ImageSpec

    ImageSource = str | Path | bytes | Image.Image | npt.NDArray[np.uint8]

__all__ = ["MAX_PIXELS", "decode", "fit_image", "load_image"]

MAX_PIXELS = 120_000_000  # larger pictures are refused before a pixel is decoded

# Pillow's own allow-list argument to `Image.open` would do, but `Image.open` warns about large
# pictures through the process-wide warnings filter, which cannot be silenced safely from a thread.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "HEIF")
_PLUGINS = ("Avif", "Bmp", "Gif", "Jpeg", "Mpo", "Png", "Ppm", "Tiff", "WebP")
_READABLE = "JPEG, PNG, WebP, GIF, BMP, TIFF, PPM or AVIF"
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")

_REDUCE_ABOVE_PX = 8_000_000  # smaller pictures are resized in one exact step
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
    A picture more than twice as large as needed is first shrunk by a whole factor while it is
    decoded, for speed and memory; at least twice the needed size always stays.

    Examples
    --------
    >>> from hyperclip.bundle.manifest import ImageSpec
    >>> spec = ImageSpec(size_px=96, resize="crop", crop_ratio=1.0, interpolation="bicubic",
    ...                  mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    >>> decode(np.zeros((480, 640, 3), np.uint8), spec=spec).shape
    (96, 96, 3)
    """
    crop_ratio = spec.crop_ratio if spec.resize == "crop" else 1.0
    return fit_image(
        load_image(source, min_side_px=math.ceil(2 * spec.size_px / crop_ratio), name=name), spec=spec
    )


def fit_image(image: Image.Image, *, spec: ImageSpec) -> npt.NDArray[np.uint8]:
    """Cut out the middle square (or squash) and resize it, antialiased, as classifier files do.

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
    if spec.resize == "crop":
        side = max(1, math.floor(min(image.size) * spec.crop_ratio + 0.5))
        left, top = (image.width - side) // 2, (image.height - side) // 2
        box = (left, top, left + side, top + side)
        if side * side > _REDUCE_ABOVE_PX * 8:
            image = image.reduce(2, box=box)  # a crop this large would make Pillow warn
        elif box != (0, 0, *image.size):
            image = image.crop(box)
    size = (spec.size_px, spec.size_px)
    return np.array(image.resize(size, _INTERPOLATIONS[spec.interpolation]), dtype=np.uint8)


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
    if isinstance(source, Image.Image):
        return _to_upright_rgb(source, min_side_px, _shown(name or "The given image"))
    if isinstance(source, np.ndarray):
        image = _from_array(source, _shown(name or "The given array"))
        return _to_upright_rgb(image, min_side_px, _shown(name or "The given array"))
    if isinstance(source, bytes):
        return _load_stream(BytesIO(source), min_side_px, _shown(name or "The given data"))
    if not isinstance(source, (str, os.PathLike)):
        raise InputError(
            f"An image is a {type(source).__name__}; expected a path, the bytes of a file, a PIL image "
            "or a uint8 array of shape (height, width, 3); convert it to one of these."
        )
    shown = _shown(name or os.fspath(source))
    try:
        mode = os.stat(source).st_mode
        if stat.S_ISDIR(mode):
            raise InputError(f"{shown} is a folder; expected a picture; name a file inside it.")
        if not stat.S_ISREG(mode):  # a pipe or device could block or never end
            raise InputError(f"{shown} is not a regular file; expected a picture; save it to a file first.")
        with Path(source).open("rb") as stream:
            return _load_stream(stream, min_side_px, shown)
    except FileNotFoundError as error:
        raise InputError(f"{shown} does not exist; expected a picture; check the spelling.") from error
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise InputError(
            f"{shown} cannot be opened ({reason}); expected a readable picture; check its permissions."
        ) from error


def _load_stream(stream: IO[bytes], min_side_px: int | None, shown: str) -> Image.Image:
    """Decode an open file as upright RGB."""
    image = _open(stream, shown)
    try:
        _check_size(image, shown)
        if min_side_px is not None and image.format in ("JPEG", "MPO"):
            image.draft("RGB", (min_side_px, min_side_px))  # decodes at 1/2, 1/4 or 1/8: faster, smaller
        return _to_upright_rgb(image, min_side_px, shown)
    finally:
        image.close()


def _open(stream: IO[bytes], shown: str) -> ImageFile.ImageFile:
    """Read the header of a picture of an allowed format, no pixels yet."""
    for plugin in _PLUGINS:
        try:
            importlib.import_module(f"PIL.{plugin}ImagePlugin")  # registers the format
        except ImportError:  # Pillow was built without this format, or is older than it
            continue
    prefix = stream.read(16)
    if not prefix:
        raise InputError(f"{shown} is empty; expected a picture; replace the file or leave it out.")
    for kind in _FORMATS:
        factory, accept = Image.OPEN.get(kind, (None, None))
        # Padded, because some look at the second byte without asking whether there is one; an
        # answer that is a string says why this build of Pillow cannot read the format.
        if factory is None or accept is None or accept(prefix.ljust(16, b"\0")) is not True:
            continue
        stream.seek(0)
        try:
            return factory(stream, "")
        except Exception as error:  # decoders of damaged files raise whatever they trip over
            raise _damaged(shown, kind, error) from error
    if prefix[4:8] == b"ftyp" and prefix[8:12] in _HEIC_BRANDS:
        raise InputError(
            f"{shown} is a HEIC picture, which is not read; expected {_READABLE}; convert it to JPEG."
        )
    raise InputError(
        f"{shown} is not a picture that can be read; expected {_READABLE}; convert it or leave it out."
    )


def _to_upright_rgb(image: Image.Image, min_side_px: int | None, shown: str) -> Image.Image:
    """Decode, flatten to RGB, shrink by a whole factor where that is allowed, and turn upright."""
    _check_size(image, shown)
    factor = 1
    if min_side_px is not None and image.width * image.height > _REDUCE_ABOVE_PX:
        factor = max(1, min(image.size) // min_side_px)
    try:
        image.load()
        turn = _turn(image)
        rgb = to_rgb(image, factor=factor)
    except Exception as error:  # decoders of damaged files raise whatever they trip over
        raise _damaged(shown, image.format or image.mode, error) from error
    return rgb if turn is None else rgb.transpose(turn)


def _turn(image: Image.Image) -> Image.Transpose | None:
    """Return what makes a decoded picture upright by its EXIF orientation, None for nothing."""
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # damaged metadata must not cost an intact picture
        return None


def _from_array(array: npt.NDArray[Any], shown: str) -> Image.Image:
    """Wrap an array as a picture."""
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise InputError(
            f"{shown} has shape {array.shape} and dtype {array.dtype}; expected (height, width, 3) and "
            "uint8, RGB from 0 to 255; convert it or pass a PIL image."
        )
    return Image.fromarray(array)


def _check_size(image: Image.Image, shown: str) -> None:
    """Refuse pictures without pixels and pictures that would not fit into memory."""
    width, height = image.size
    if width < 1 or height < 1:
        raise InputError(
            f"{shown} measures {width} x {height} pixels; expected at least 1 x 1; leave it out."
        )
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{shown} has {width} x {height} pixels, {width * height / 1e6:.0f} megapixels; expected at most "
            f"{MAX_PIXELS // 1_000_000}; make it smaller first."
        )


def _damaged(shown: str, kind: str, error: Exception) -> InputError:
    """Make the sentence for a picture whose pixels cannot be decoded."""
    reason = _shown(str(error) or type(error).__name__, n_chars=120).rstrip(".")
    return InputError(
        f"{shown} is a damaged or unusual {kind} picture ({reason}); expected a complete one; "
        "replace it or leave it out."
    )


def _shown(text: str | bytes, *, n_chars: int = 300) -> str:
    """Return text on one printable line: names of files may hold anything, messages may not."""
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in os.fsdecode(text))
    return line if len(line) <= n_chars else f"…{line[-n_chars:]}"
