"""Finding the picture files of a folder: natural order, nothing hidden, links that cannot loop."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from hyperclip.errors import InputError
from hyperclip.runtime.picture_file import shown

__all__ = ["IMAGE_SUFFIXES", "list_folder", "natural_key", "walk_images"]

# HEIC is listed although it cannot be read: a telephone's pictures must not vanish without a word.
IMAGE_SUFFIXES = frozenset(
    f".{suffix}"
    for kinds in (
        "jpg jpeg jpe jfif mpo png apng webp gif bmp",
        "tif tiff ppm pgm pbm pnm pfm avif heic heif",
    )
    for suffix in kinds.split()
)
_NUMBER = re.compile("([0-9]+)")


def natural_key(name: str) -> tuple[object, ...]:
    """Return a sort key by which ``2.jpg`` comes before ``10.jpg``, regardless of case.

    Examples
    --------
    >>> sorted(["10.jpg", "b", "2.jpg", "A"], key=natural_key)
    ['2.jpg', '10.jpg', 'A', 'b']
    """
    key: list[object] = []
    for index, part in enumerate(_NUMBER.split(name.casefold())):
        # Odd parts are numbers. Compared by length first: `int` refuses thousands of digits.
        digits = part.lstrip("0")
        key.append((len(digits), digits) if index % 2 else part)
    return (tuple(key), name)


def list_folder(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the files and the folders in a folder, each in natural order, hidden ones left out."""
    entries = _entries(folder)
    files = [Path(entry.path) for entry in entries if _is(entry.is_file)]
    return files, [Path(entry.path) for entry in entries if _is(entry.is_dir)]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what a folder holds in natural order, hidden entries left out."""
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith((".", "__MACOSX"))]
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{shown(folder)} cannot be listed ({reason}); expected a readable folder; check the path and "
            "its permissions."
        ) from error
    return sorted(visible, key=lambda entry: natural_key(entry.name))


def walk_images(folder: Path) -> Iterator[Path]:
    """Yield the picture files below a folder in natural order, judged by their suffix.

    Parameters
    ----------
    folder : Path
        Searched with all its subfolders. Linked folders are followed, except where they lead to a
        folder that is searched anyway, so that no picture comes twice and no loop holds us.

    Yields
    ------
    Path
        Beginning with ``folder``.

    Raises
    ------
    InputError
        When a folder cannot be listed.
    """
    seen: set[tuple[int, int]] = set()
    # A stack, not recursion: folders may be nested deeper than Python's calls. A folder is "foreign"
    # when the way to it went through a link.
    stack = [(iter(_entries(folder)), False)]
    while stack:
        entries, is_foreign = stack[-1]
        entry = next(entries, None)
        if entry is None:
            stack.pop()
        elif _is(entry.is_dir):
            path = Path(entry.path)
            is_link = entry.is_symlink()
            if is_link and not seen:
                seen = _identities(folder)
            if is_link or is_foreign:
                identity = _identity(path)
                if identity in seen:
                    continue
                seen.add(identity)
            stack.append((iter(_entries(path)), is_foreign or is_link))
        elif os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES and _is(entry.is_file):
            yield Path(entry.path)


def _is(question: Callable[[], bool]) -> bool:
    """Ask a directory entry what it is; a link in a circle is nothing."""
    try:
        return question()
    except OSError:
        return False


def _identity(path: str | Path) -> tuple[int, int]:
    """Return what two paths to the same folder share."""
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _identities(folder: Path) -> set[tuple[int, int]]:
    """Return the identities of a folder and of all folders below it that no link leads to."""
    return {_identity(parent) for parent, _, _ in os.walk(folder)}
