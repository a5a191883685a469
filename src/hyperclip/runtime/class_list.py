"""The names behind the numbers of a data set: ``classes.json``, in the forms that people write."""

from collections.abc import Sequence
from pathlib import Path

from hyperclip.bundle.checksum import read_capped
from hyperclip.bundle.strict import parse_json, quote
from hyperclip.errors import BundleError, InputError
from hyperclip.runtime.picture_file import shown

__all__ = ["CLASS_LIST_NAME", "read_class_list"]

CLASS_LIST_NAME = "classes.json"
_MAX_BYTES = 64 * 2**20
_REMEDY = 'write a list of names such as ["cat", "dog"]'


def read_class_list(path: Path) -> list[str]:
    """Read class names in the order of their indices.

    Parameters
    ----------
    path : Path
        JSON: a list of names; a list of objects with a ``name`` and perhaps an ``index``; an object
        that holds such a list under ``names`` or ``classes``; or an object from index to name or
        from name to index.

    Returns
    -------
    list of str
        As they stand, equal ones included.

    Raises
    ------
    InputError
        When the file cannot be read or has none of these forms.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "classes.json")
    >>> path.write_text('[{"index": 1, "name": "dog"}, {"index": 0, "name": "cat"}]') and None
    >>> read_class_list(path)
    ['cat', 'dog']
    """
    try:
        value = parse_json(read_capped(path, max_bytes=_MAX_BYTES), where=shown(path), max_bytes=_MAX_BYTES)
    except BundleError as error:
        raise InputError(str(error)) from error
    return _names(value, where=shown(path))


def _names(value: object, *, where: str) -> list[str]:
    """Return the names that any of the known forms holds."""
    if isinstance(value, dict):
        for key in ("names", "classes"):
            if isinstance(value.get(key), list | dict):
                return _names(value[key], where=where)
        if value and all(isinstance(index, int) for index in value.values()):
            return _in_order(list(value.values()), list(value), where=where)
        if value and all(key.isascii() and key.isdigit() and len(key) < 9 for key in value):
            return _in_order([int(key) for key in value], list(value.values()), where=where)
    if isinstance(value, list) and value:
        if all(isinstance(entry, dict) and "name" in entry for entry in value):
            indices = [entry.get("index", position) for position, entry in enumerate(value)]
            return _in_order(indices, [entry["name"] for entry in value], where=where)
        return _in_order(range(len(value)), value, where=where)
    raise InputError(f"{where} holds {quote(value, 60)}; expected class names; {_REMEDY}.")


def _in_order(indices: Sequence[object], names: Sequence[object], *, where: str) -> list[str]:
    """Return the names sorted by index, if the indices are 0, 1, 2 and so on."""
    for name in names:
        if not isinstance(name, str):
            raise InputError(f"{where} has {quote(name, 60)} among its names; expected text; {_REMEDY}.")
    if any(type(index) is not int for index in indices) or set(indices) != set(range(len(names))):
        raise InputError(
            f"{where} does not number its {len(names)} classes from 0 to {len(names) - 1}, each once; "
            f"expected that; {_REMEDY}."
        )
    numbered = dict(zip(indices, names, strict=True))
    return [str(numbered[index]) for index in range(len(names))]
