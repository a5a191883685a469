"""Strict reading of JSON that may come from anywhere: sizes, types, ranges and keys are checked.

Every function raises `BundleError` with the place (``model.json: images.size_px``) and the value.
"""

import dataclasses
import difflib
import json
import unicodedata
from collections.abc import Callable, Collection, Mapping
from typing import Any

from hyperclip.errors import BundleError

__all__ = [
    "as_tuple",
    "check_choice",
    "check_integer",
    "check_number",
    "check_text",
    "check_tuple",
    "parse_json",
    "quote",
    "take_fields",
]

JOINERS = "\u200c\u200d"  # parts of emoji and of Persian words
REMEDY = "get the file again from where it came, or write it again with hyperclip"


def quote(value: object, max_bytes: int = 80) -> str:
    """Return a short form of a value on one printable line, for an error message."""
    if not isinstance(value, str):
        try:
            text = ascii(value)
        except ValueError:  # Python refuses to print whole numbers of thousands of digits
            text = f"a {type(value).__name__} too long to print"
        return text if len(text) <= max_bytes else f"{text[:max_bytes]}..."
    shown, n_bytes = "", 0
    for character in value:
        printable = _printable(character)
        n_bytes += len(printable.encode())
        if n_bytes > max_bytes:
            return f"'{shown}...'"
        shown += printable
    return f"'{shown}'"


def _printable(character: str) -> str:
    """Return a character that moves no cursor and turns no text around; emoji keep their joiners."""
    return character if character.isprintable() or character in JOINERS else ascii(character)[1:-1]


def parse_json(data: bytes | str, *, where: str, max_bytes: int) -> Any:
    """Parse JSON text, refusing what Python's parser lets pass: NaN, repeated keys, odd characters.

    Parameters
    ----------
    data : bytes or str
        UTF-8 text.
    where : str
        Name of the source, for messages.
    max_bytes : int
        Refuse longer text (characters, where a string is given).

    Returns
    -------
    object
        dict, list, str, float, int, bool or None.

    Raises
    ------
    BundleError
        If the text is too long, is not JSON, or holds something that JSON does not have.
    """
    if len(data) > max_bytes:
        raise BundleError(f"{where} has {len(data)} bytes; expected at most {max_bytes}; {REMEDY}.")
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique_keys)
    except (ValueError, RecursionError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise BundleError(
            f"{where} cannot be read ({quote(reason, 120)}); expected JSON text; {REMEDY}."
        ) from error


def _refuse_constant(name: str) -> float:
    """Refuse NaN and the infinities, which are not JSON."""
    raise ValueError(f"{name} is not JSON")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a dict and refuse a key that occurs twice."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key occurs twice")
    return result


def take_fields(
    cls: type,
    value: object,
    *,
    where: str,
    convert: Mapping[str, Callable[[Any, str], Any]] | None = None,
    optional: Collection[str] = (),
) -> dict[str, Any]:
    """Return the keyword arguments of a dataclass from a JSON object with exactly its keys.

    Parameters
    ----------
    cls : type
        The dataclass. Its fields that are not made by ``init`` are left out.
    value : object
        What was parsed.
    where : str
        Place in the file, for messages.
    convert : mapping of str to callable, optional
        How to turn a parsed value into a field's value: called with the value and its place.
    optional : collection of str
        Keys that may be missing.

    Returns
    -------
    dict
        Field name to value. Ranges are checked by the dataclass itself.

    Raises
    ------
    BundleError
        If the value is no object, or a key is unknown or missing.
    """
    if not isinstance(value, dict):
        raise BundleError(f"{where} is {quote(value)}; expected an object with named values; {REMEDY}.")
    known = [field.name for field in dataclasses.fields(cls) if field.init]
    for key in value:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
            raise BundleError(
                f"{where} has the unknown key {quote(key)}; the nearest known key is '{near[0]}'; "
                "correct the key or remove it."
            )
    for key in known:
        if key not in value and key not in optional:
            raise BundleError(f"{where} has no key '{key}'; expected every key of the format; {REMEDY}.")
    converters = convert or {}
    return {
        key: converters[key](item, f"{where}: {key}") if key in converters else item
        for key, item in value.items()
    }


def check_text(value: object, *, where: str, max_chars: int, allow_empty: bool = False) -> str:
    """Return the value if it is a string of 1 to `max_chars` characters without control characters."""
    if not isinstance(value, str) or len(value) > max_chars or not (value or allow_empty):
        raise BundleError(
            f"{where} is {quote(value)}; expected text of 1 to {max_chars} characters; {REMEDY}."
        )
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
        raise BundleError(f"{where} is {quote(value)}; expected text without control characters; {REMEDY}.")
    return value


def check_integer(value: object, *, where: str, low: int, high: int) -> int:
    """Return the value if it is a whole number in [low, high]."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise BundleError(
            f"{where} is {quote(value)}; expected a whole number from {low} to {high}; {REMEDY}."
        )
    return value


def check_number(value: object, *, where: str, low: float, high: float) -> float:
    """Return the value as a float if it is a finite number in [low, high]."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:  # type: ignore[operator]
        raise BundleError(f"{where} is {quote(value)}; expected a number from {low:g} to {high:g}; {REMEDY}.")
    return float(value)  # type: ignore[arg-type]


def check_choice(value: object, *, where: str, choices: Collection[str]) -> str:
    """Return the value if it is one of the strings in `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise BundleError(
            f"{where} is {quote(value)}; expected one of {', '.join(sorted(choices))}; {REMEDY}."
        )
    return value


def as_tuple(value: object, where: str) -> tuple[Any, ...]:
    """Turn a parsed list into a tuple."""
    if not isinstance(value, list):
        raise BundleError(f"{where} is {quote(value)}; expected a list; {REMEDY}.")
    return tuple(value)


def check_tuple(value: object, *, where: str, n_min: int, n_max: int) -> None:
    """Check that a value is a tuple of `n_min` to `n_max` items."""
    if not isinstance(value, tuple) or not n_min <= len(value) <= n_max:
        raise BundleError(
            f"{where} is {quote(value)}; expected a list of {n_min} to {n_max} values; {REMEDY}."
        )
