"""Opening a picture file that may be anything: allowed formats only, sizes checked, one sentence each.

Pillow's `Image.open` has an allow-list argument, but warns about large pictures through the
warnings filter of the whole process, which no thread can silence safely. So the formats are looked
up in Pillow's registry here.
"""

import importlib
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from PIL import Image, ImageFile

from hyperclip.bundle.strict import quote
from hyperclip.errors import InputError

__all__ = ["MAX_PIXELS", "check_size", "damaged", "open_picture", "shown", "without_size_warning"]

MAX_PIXELS = 120_000_000  # larger pictures are refused before a pixel is decoded

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "HEIF")  # MPO opens as JPEG
_PLUGINS = ("Avif", "Bmp", "Gif", "Jpeg", "Mpo", "Png", "Ppm", "Tiff", "WebP")
_READABLE = "JPEG, PNG, WebP, GIF, BMP, TIFF, PPM or AVIF"
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
_WARNINGS_LOCK = threading.Lock()


def open_picture(stream: IO[bytes], name: str) -> ImageFile.ImageFile:
    """Read the header of a picture of an allowed format, no pixels yet.

    Parameters
    ----------
    stream : binary file
        At its beginning; stays open, and must until the pixels are read.
    name : str
        What an error message calls the picture.

    Returns
    -------
    PIL.ImageFile.ImageFile
        Not decoded.

    Raises
    ------
    InputError
        When it is empty, of another format or damaged.
    """
    for plugin in _PLUGINS:
        try:
            importlib.import_module(f"PIL.{plugin}ImagePlugin")  # registers the format
        except ImportError:  # Pillow was built without this format, or is older than it
            continue
    prefix = stream.read(16)
    if not prefix:
        raise InputError(f"{name} is empty; expected a picture; replace the file or leave it out.")
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
            raise damaged(name, kind, error) from error
    if prefix[4:8] == b"ftyp" and prefix[8:12] in _HEIC_BRANDS:
        raise InputError(
            f"{name} is a HEIC picture, which is not read; expected {_READABLE}; convert it to JPEG."
        )
    raise InputError(
        f"{name} is not a picture that can be read; expected {_READABLE}; convert it or leave it out."
    )


def check_size(image: Image.Image, name: str) -> None:
    """Refuse pictures without pixels and pictures that would not fit into memory."""
    width, height = image.size
    if width < 1 or height < 1:
        raise InputError(f"{name} measures {width} x {height} pixels; expected at least 1 x 1; leave it out.")
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{name} has {width} x {height} pixels, {width * height / 1e6:.0f} megapixels; expected at most "
            f"{MAX_PIXELS // 1_000_000}; make it smaller first."
        )


def damaged(name: str, kind: str, error: Exception) -> InputError:
    """Make the sentence for a picture whose pixels cannot be decoded."""
    reason = quote(str(error) or type(error).__name__, 120)
    return InputError(
        f"{name} is a damaged or unusual {kind} picture ({reason}); expected a complete one; "
        "replace it or leave it out."
    )


@contextmanager
def without_size_warning(image: Image.Image) -> Iterator[None]:
    """Keep Pillow from warning of a picture that `check_size` has already let through."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is None or image.width * image.height <= limit:
        yield  # the usual case, which leaves the filters of the process alone
        return
    with _WARNINGS_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def shown(path: str | os.PathLike[str]) -> str:
    """Return a path as messages show it: quoted, printable, the end of long ones."""
    text = os.fspath(path)
    return quote(text if len(text) <= 300 else f"…{text[-299:]}", 300)
