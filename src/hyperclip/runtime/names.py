"""Class names as a user gives them: reading a ``--names`` file and refusing what cannot work."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hyperclip.bundle.checksum import read_capped
from hyperclip.bundle.strict import quote
from hyperclip.errors import BundleError, InputError

__all__ = ["ClassEntry", "check_class_names", "check_texts", "parse_names", "read_names", "same_name_key"]

MAX_CLASSES = 50_000
MAX_TEXT_CHARS = 1_999  # of a name, a phrasing or a meaning: longer is a pasted document, not a name
MAX_PHRASINGS = 100
MAX_NAMES_FILE_BYTES = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class ClassEntry:
    """One line of a names file: ``sofa | couch = a long seat``."""

    name: str  # "sofa"
    phrasings: tuple[str, ...] = ()  # ("couch",): other words for the same class
    description: str | None = None  # "a long seat": which sense is meant


def read_names(path: str | Path) -> list[ClassEntry]:
    """Read a file with one class a line, other phrasings after ``|``, an own meaning after ``=``.

    Parameters
    ----------
    path : str or Path
        UTF-8 text. Empty lines are skipped.

    Returns
    -------
    list of ClassEntry
        In the order of the file.

    Raises
    ------
    InputError
        If the file cannot be read as text, or a line or the list of names cannot be used.
    """
    shown = quote(str(path), 300)
    try:
        text = read_capped(Path(path), max_bytes=MAX_NAMES_FILE_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{shown} is not UTF-8 text (byte {error.start}); expected one class name a line; "
            "save it as plain UTF-8 text."
        ) from error
    except BundleError as error:
        raise InputError(str(error)) from error
    return parse_names(text, where=shown)


def parse_names(text: str, *, where: str = "The list of names") -> list[ClassEntry]:
    """Read classes from lines ``name | phrasing | phrasing = meaning``.

    Parameters
    ----------
    text : str
        One class a line; everything but the name is optional.
    where : str
        What to call the source in messages.

    Returns
    -------
    list of ClassEntry
        In the order of the lines, stripped of surrounding space.

    Raises
    ------
    InputError
        If a line has no name, or the names cannot be used together.

    Examples
    --------
    >>> parse_names("sofa | couch = a long seat")
    [ClassEntry(name='sofa', phrasings=('couch',), description='a long seat')]
    """
    entries = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        words, has_meaning, meaning = line.partition("=")
        name, *phrasings = (part.strip() for part in words.split("|"))
        if not name or not all(phrasings) or (has_meaning and not meaning.strip()):
            raise InputError(
                f"{where}, line {number}, is {quote(line.strip())}; expected 'name | other phrasing = "
                "meaning' "
                "with text in each part; complete the line."
            )
        entries.append(ClassEntry(name=name, phrasings=tuple(phrasings), description=meaning.strip() or None))
    check_class_names([entry.name for entry in entries])
    for entry in entries:
        check_texts(entry.phrasings, what=f"phrasing of {quote(entry.name)}")
        check_texts([] if entry.description is None else [entry.description], what="meaning")
    return entries


def same_name_key(name: str) -> str:
    """Return what two names share when they count as the same one: case, edge space and accents' coding."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).strip().casefold())


def check_class_names(class_names: Sequence[str]) -> tuple[str, ...]:
    """Return the names, exactly as given, if a classifier can be made from them.

    Parameters
    ----------
    class_names : sequence of str
        At least one; each visible, below 2,000 characters, and different from the others after
        trimming and case folding.

    Returns
    -------
    tuple of str
        The same names.

    Raises
    ------
    InputError
        If any of this does not hold; the sentence names the offender.
    """
    if isinstance(class_names, str | bytes) or not isinstance(class_names, Sequence):
        class_names = _as_sequence(class_names)
    if len(class_names) == 0:
        raise InputError("There are no class names; expected at least one; add the names to tell apart.")
    if len(class_names) > MAX_CLASSES:
        raise InputError(
            f"There are {len(class_names)} class names; expected at most {MAX_CLASSES}; split the list."
        )
    check_texts(class_names, what="class name")
    first: dict[str, str] = {}
    for name in class_names:
        other = first.setdefault(same_name_key(name), name)
        if other is not name:
            raise InputError(
                f"The class names {quote(other)} and {quote(name)} are equal after trimming and case "
                "folding; expected each once; remove one of them."
            )
    return tuple(class_names)


def _as_sequence(value: object) -> Sequence[str]:
    """Turn arrays, generators and other iterables into a list; a lone string is a mistake."""
    if isinstance(value, str | bytes | Mapping) or not hasattr(value, "__iter__"):
        raise InputError(
            f"The class names are {quote(value)}; expected a list of names; write [{quote(value)}]."
        )
    return [str(item) if isinstance(item, str) else item for item in value]


def check_texts(texts: Sequence[str], *, what: str) -> None:
    """Raise `InputError` if a text is no string, blank, too long, or holds control characters."""
    if len(texts) > MAX_PHRASINGS and what.startswith("phrasing"):
        raise InputError(
            f"There are {len(texts)} times a {what}; expected at most {MAX_PHRASINGS}; leave some out."
        )
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(
                f"The {what} at position {index} is {quote(text)}; expected text; write it as a string."
            )
        if len(text) > MAX_TEXT_CHARS:
            raise InputError(
                f"The {what} {quote(text, 40)} has {len(text)} characters; expected fewer than "
                f"{MAX_TEXT_CHARS + 1}; shorten it."
            )
        categories = {unicodedata.category(character) for character in text}
        if categories <= {"Cf", "Zs", "Zl", "Zp", "Cc"}:
            raise InputError(
                f"The {what} at position {index} is {quote(text)}, which is blank; expected visible text; "
                "remove it or write the name."
            )
        if categories & {"Cc", "Cs", "Zl", "Zp"}:
            raise InputError(
                f"The {what} {quote(text)} holds a control character; expected one line of plain text; "
                "remove tabs, line breaks and broken characters."
            )
