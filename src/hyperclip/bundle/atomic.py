"""Writing a file or a folder so that it is there as a whole or not at all."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from hyperclip.bundle.strict import quote
from hyperclip.errors import InputError

__all__ = ["replace_folder", "write_file"]


def write_file(path: Path, data: bytes) -> None:
    """Write bytes beside the target, then rename: the path holds the old file or the whole new one.

    Parameters
    ----------
    path : Path
        Used exactly as given. Its folder must exist; what it names must be new or a regular file.
    data : bytes
        The content.

    Raises
    ------
    InputError
        If the folder is missing, the path names a folder or device, or writing fails.
    """
    _check_parent(path)
    try:
        target = Path(os.path.realpath(path))  # a link stays a link
        if target.exists() and not target.is_file():
            kind = "a folder" if target.is_dir() else "no regular file"
            raise InputError(
                f"{quote(str(path), 300)} is {kind}; expected the path of a file to write; choose another."
            )
        beside = _name_beside(target)
        try:
            _write_synced(beside, data)
            beside.replace(target)
        finally:
            with contextlib.suppress(OSError):
                beside.unlink()
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise _cannot_write(path, error) from error


def replace_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder of files beside the target, then rename; an old folder goes only after that.

    Parameters
    ----------
    folder : Path
        Its own parent folder must exist. What is there is replaced as a whole.
    files : mapping of str to bytes
        Plain file names and contents.

    Raises
    ------
    InputError
        If the parent folder is missing or writing fails. The old folder is then as it was.
    """
    _check_parent(folder)
    new, old = _name_beside(folder), _name_beside(folder)
    try:
        new.mkdir()
        for name, data in files.items():
            _write_synced(new / name, data)
        if folder.exists():
            folder.rename(old)
        try:
            new.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
    except (OSError, ValueError) as error:
        raise _cannot_write(folder, error) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)


def _check_parent(path: Path) -> None:
    """Refuse a path whose folder is not there: a missing folder is a typing error more often than not."""
    try:
        exists = path.parent.is_dir()
    except (OSError, ValueError):
        exists = False
    if not exists:
        raise InputError(
            f"There is no folder {quote(str(path.parent), 300)}; expected an existing folder for "
            f"{quote(path.name, 100)}; create it first or choose another path."
        )


def _name_beside(path: Path) -> Path:
    """Return an unused short name in the same folder (and so on the same disk)."""
    return path.parent / f".hyperclip-{secrets.token_hex(8)}.tmp"


def _write_synced(path: Path, data: bytes) -> None:
    """Write a new file and wait until it is on the disk."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _cannot_write(path: Path, error: Exception) -> InputError:
    """Say in one sentence why a path cannot be written."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return InputError(
        f"{quote(str(path), 300)} cannot be written ({reason}); expected a writable path; choose another."
    )
