"""Reading files that may come from anywhere: size first, then the bytes, then their SHA-256."""

import hashlib
import stat
from pathlib import Path

from hyperclip.bundle.strict import quote
from hyperclip.errors import BundleError

__all__ = ["read_capped", "sha256_hex", "sha256_of_file"]

CHUNK_BYTES = 2**20


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of some bytes as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def file_size(path: Path) -> int:
    """Return the size in bytes of a regular file, or raise `BundleError` if it is none."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a NUL inside the path
        reason = getattr(error, "strerror", None) or "no such path"
        raise BundleError(
            f"{quote(str(path), 300)} cannot be opened ({reason}); expected a file; check the path."
        ) from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
        raise BundleError(f"{quote(str(path), 300)} is {kind}; expected a file; check the path.")
    return status.st_size


def read_capped(path: Path, *, max_bytes: int) -> bytes:
    """Return the content of a file, whose size is checked before it is read.

    Parameters
    ----------
    path : Path
        A regular file (or a link to one).
    max_bytes : int
        Refuse a larger file.

    Raises
    ------
    BundleError
        If there is no such file, it is a folder or device, too large, or cannot be read.
    """
    size_bytes = file_size(path)
    if size_bytes > max_bytes:
        raise BundleError(
            f"{quote(str(path), 300)} has {size_bytes} bytes; expected at most {max_bytes}; "
            "check that it is the right file."
        )
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise BundleError(
            f"{quote(str(path), 300)} cannot be read ({error.strerror}); expected a readable file; "
            "check its permissions."
        ) from error
    if len(data) != size_bytes:
        raise BundleError(
            f"{quote(str(path), 300)} changed while it was read; expected {size_bytes} bytes; try again."
        )
    return data


def sha256_of_file(path: Path, *, size_bytes: int) -> str:
    """Return the SHA-256 of a file of known size, read in pieces; a file of another size is refused."""
    if file_size(path) != size_bytes:
        raise BundleError(
            f"{quote(str(path), 300)} has {file_size(path)} bytes; expected {size_bytes} as its model.json "
            "says; get the model again."
        )
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
