"""Unpacks the compressed parts of ``glossary.bin``, never to more than was announced."""

import zlib

from hyperclip.errors import BundleError

__all__ = ["ADVICE", "damaged", "inflate"]

ADVICE = "install hyperclip or the model again"


def inflate(packed: bytes, size: int, name: str) -> bytes:
    """Decompress a section that must have `size` bytes; never unpack more than that.

    Raises
    ------
    BundleError
        When it does not unpack, or to another size.
    """
    unpacker = zlib.decompressobj()
    try:
        raw = unpacker.decompress(packed, size + 1)
    except zlib.error as error:
        raise damaged(f"section {name} does not unpack", f"{size:,} bytes") from error
    if len(raw) != size or not unpacker.eof or unpacker.unused_data:
        raise damaged(f"section {name} has another size than announced", f"{size:,} bytes")
    return raw


def damaged(found: str, expected: str) -> BundleError:
    """Return the error for a glossary file that is not what it should be."""
    return BundleError(f"glossary.bin is damaged: {found}; expected {expected}; {ADVICE}.")
