"""Pictures for training in a CSV table with captions: one row a caption, or several columns."""

import csv
from collections.abc import Iterator
from pathlib import Path

from hyperclip.data.records import NO_LABEL, Record, RecordSource, clean_captions
from hyperclip.errors import InputError
from hyperclip.runtime.picture_file import shown

__all__ = ["has_captions", "open_caption_table"]

_IMAGE_COLUMNS = ("image", "path", "file", "file_name", "filename", "filepath")
_CAPTION_COLUMNS = ("caption", "captions", "text", "title")
_EXPECTED = "expected a header line with the columns 'image' and 'caption'"
_MAX_HEADER_CHARS = 65_536


def has_captions(path: Path) -> bool:
    """Tell whether the header of a table names a column of captions."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            columns, _ = _header(file.readline(_MAX_HEADER_CHARS))
    except (OSError, UnicodeDecodeError):
        return False
    return any(_is_caption(column) for column in columns)


def open_caption_table(path: Path) -> RecordSource:
    """Read pictures and captions from a CSV table.

    Parameters
    ----------
    path : Path
        UTF-8, with a header; comma, semicolon or tab. Picture paths count from the folder of the
        table. Rows of the same picture, one after another, are one record with several captions, as
        are columns ``caption_1``, ``caption_2``.

    Returns
    -------
    RecordSource
        Without labels. Pictures whose captions are all empty come without captions.

    Raises
    ------
    InputError
        When the table cannot be read, lacks a column, or has no rows.
    """
    n_records = sum(1 for _ in _records(path))
    if n_records == 0:
        raise InputError(f"{shown(path)} has no rows; expected one a picture below the header; add them.")
    return RecordSource(n_records=n_records, read=lambda: _records(path))


def _records(path: Path) -> Iterator[Record]:
    """Yield one record for each run of rows with the same picture."""
    image: str | None = None
    texts: list[str] = []
    for name, captions in _rows(path):
        if name != image:
            if image is not None:
                yield Record(path.parent / image, NO_LABEL, clean_captions(texts), image)
            image, texts = name, []
        texts += captions
    if image is not None:
        yield Record(path.parent / image, NO_LABEL, clean_captions(texts), image)


def _rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield (picture, captions) of each row."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            columns, separator = _header(file.readline(_MAX_HEADER_CHARS))
            place = next((columns.index(name) for name in _IMAGE_COLUMNS if name in columns), None)
            caption_places = [index for index, column in enumerate(columns) if _is_caption(column)]
            if place is None or not caption_places:
                raise InputError(
                    f"{shown(path)} begins with {shown(','.join(columns))}; {_EXPECTED}; add them."
                )
            table = csv.reader(file, delimiter=separator, strict=True)
            for row in table:
                if not any(cell.strip() for cell in row):
                    continue
                if len(row) <= place or not row[place].strip():
                    raise InputError(
                        f"{shown(path)}, line {table.line_num + 1}, names no picture; expected one in every "
                        "row; complete the line or remove it."
                    )
                yield row[place].strip(), [row[index] for index in caption_places if index < len(row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{shown(path)} cannot be read as a table ({reason}); {_EXPECTED}; save it as a UTF-8 CSV file."
        ) from error


def _header(line: str) -> tuple[list[str], str]:
    """Return the names of the columns and what separates them."""
    separator = max(",;\t", key=line.count)
    return [cell.strip().lower() for cell in next(csv.reader([line], delimiter=separator), [])], separator


def _is_caption(column: str) -> bool:
    """Tell whether a column holds captions: ``caption``, ``caption_2``, ``text`` and the like."""
    return column.rstrip("0123456789").rstrip("_") in _CAPTION_COLUMNS
