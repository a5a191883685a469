"""One file of a model folder: its name, size and checksum, and reading it only if they fit."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hyperclip.bundle.checksum import file_size, read_capped, sha256_hex, sha256_of_file
from hyperclip.bundle.strict import check_integer, quote, take_fields
from hyperclip.errors import BundleError

__all__ = [
    "MANIFEST_NAME",
    "MAX_FILE_BYTES",
    "FileEntry",
    "check_file_names",
    "entries_from_json",
    "read_verified",
    "verify_file",
]

MANIFEST_NAME = "model.json"
MAX_FILE_BYTES = 16 * 2**30
MAX_FILES = 100

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """Checksum and size of one file of the folder."""

    sha256: str
    size_bytes: int

    def __post_init__(self) -> None:
        if not isinstance(self.sha256, str) or not _HEX.fullmatch(self.sha256):
            raise BundleError(
                f"model.json: files.sha256 is {quote(self.sha256)}; expected 64 hexadecimal digits; "
                "write the bundle again."
            )
        check_integer(self.size_bytes, where="model.json: files.size_bytes", low=0, high=MAX_FILE_BYTES)


def check_file_names(names: Iterable[str], *, where: str) -> None:
    """Refuse names that could leave the folder, ``model.json`` itself, and too many of them."""
    names = list(names)
    if len(names) > MAX_FILES:
        raise BundleError(f"{where} lists {len(names)} files; expected at most {MAX_FILES}; remove some.")
    for name in names:
        if not isinstance(name, str) or not _FILE_NAME.fullmatch(name) or name == MANIFEST_NAME:
            raise BundleError(
                f"{where} lists {quote(name)}; expected plain file names inside the folder; rename the file."
            )


def entries_from_json(value: object, where: str) -> dict[str, FileEntry]:
    """Turn a parsed object into file entries, or raise `BundleError`."""
    if not isinstance(value, dict):
        raise BundleError(f"{where} is {quote(value)}; expected an object; write the bundle again.")
    return {
        name: FileEntry(**take_fields(FileEntry, entry, where=f"{where}: {quote(name)}"))
        for name, entry in value.items()
    }


def read_verified(path: Path, entry: FileEntry, *, max_bytes: int) -> bytes:
    """Return a file's content after its size and checksum were compared, or raise `BundleError`."""
    size_bytes = file_size(path)
    if size_bytes != entry.size_bytes:
        raise BundleError(
            f"{quote(str(path), 300)} has {size_bytes} bytes; expected {entry.size_bytes} as its model.json "
            "says; get the model again."
        )
    data = read_capped(path, max_bytes=max_bytes)
    if sha256_hex(data) != entry.sha256:
        raise _changed(path)
    return data


def verify_file(path: Path, entry: FileEntry) -> None:
    """Compare a file's size and checksum without keeping its content, or raise `BundleError`."""
    if sha256_of_file(path, size_bytes=entry.size_bytes) != entry.sha256:
        raise _changed(path)


def _changed(path: Path) -> BundleError:
    """Say that a file is not the one that the manifest describes."""
    return BundleError(
        f"{quote(str(path), 300)} was changed or damaged (its SHA-256 differs); expected the file that "
        "model.json describes; get the model again."
    )
