"""A labeled data set as a CSV table: a column of picture files and a column of classes."""

import csv
from collections.abc import Iterator
from pathlib import Path

from hyperclip.errors import InputError
from hyperclip.runtime.class_list import CLASS_LIST_NAME, read_class_list
from hyperclip.runtime.image_files import natural_key
from hyperclip.runtime.labeled import LabeledImage, LabeledImages, merge_equal_names
from hyperclip.runtime.picture_file import shown

__all__ = ["has_table_columns", "open_table"]

_IMAGE_COLUMNS = ("image", "path", "file", "file_name", "filename", "filepath")
_LABEL_COLUMNS = ("label", "class", "class_name", "category")
_MAX_HEADER_CHARS = 65_536
_EXPECTED = "expected a header line with the columns 'image' and 'label'"


def has_table_columns(path: Path) -> bool:
    """Tell whether a CSV file has a column of pictures and one of classes."""
    try:
        next(_rows(path), None)
    except InputError:
        return False
    return True


def open_table(path: Path) -> LabeledImages:
    """Read pictures and classes from a CSV table.

    Parameters
    ----------
    path : Path
        UTF-8, with a header; comma, semicolon or tab. Picture paths count from the folder of the
        table. Classes are names, or indices into a ``classes.json`` beside the table.

    Raises
    ------
    InputError
        When the table cannot be read, lacks a column or a value, or has no rows.
    """
    labels: dict[str, None] = {}
    n_images = 0
    for _, label, _ in _rows(path):
        labels[label] = None
        n_images += 1
    if n_images == 0:
        raise InputError(f"{shown(path)} has no rows; expected one a picture below the header; add them.")
    class_list = path.parent / CLASS_LIST_NAME
    if class_list.is_file() and all(label.isascii() and label.isdigit() for label in labels):
        listed = read_class_list(class_list)
        classes = merge_equal_names(listed, where=shown(class_list))
        beyond = [label for label in labels if len(label) > 9 or int(label) >= len(listed)]
        if beyond:
            raise InputError(
                f"{shown(path)} has the label {beyond[0][:20]}; expected 0 to {len(listed) - 1}, the indices "
                f"in its {CLASS_LIST_NAME}; correct one of the two."
            )
        index_of = {label: classes.index_of[int(label)] for label in labels}
    else:
        ordered = sorted(labels, key=natural_key)
        classes = merge_equal_names(ordered, where=shown(path))
        index_of = dict(zip(ordered, classes.index_of, strict=True))

    def read() -> Iterator[LabeledImage]:
        for image, label, line in _rows(path):
            if label not in index_of:
                raise InputError(
                    f"{shown(path)}, line {line}, has changed since the table was opened; expected the same "
                    "classes; start again."
                )
            yield LabeledImage(path.parent / image, index_of[label], image)

    return LabeledImages(class_names=classes.names, merged_names=classes.merged, n_images=n_images, read=read)


def _rows(path: Path) -> Iterator[tuple[str, str, int]]:
    """Yield (picture, class, line number) of each row."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline(_MAX_HEADER_CHARS)
            separator = max(",;\t", key=header.count)
            columns = [cell.strip().lower() for cell in next(csv.reader([header], delimiter=separator), [])]
            image_column, label_column = (
                next((columns.index(name) for name in names if name in columns), None)
                for names in (_IMAGE_COLUMNS, _LABEL_COLUMNS)
            )
            if image_column is None or label_column is None:
                raise InputError(f"{shown(path)} begins with {shown(header.strip())}; {_EXPECTED}; add them.")
            table = csv.reader(file, delimiter=separator, strict=True)
            for row in table:
                if not any(cell.strip() for cell in row):
                    continue
                line = table.line_num + 1
                cells = [
                    row[column].strip() if column < len(row) else ""
                    for column in (image_column, label_column)
                ]
                if not all(cells):
                    raise InputError(
                        f"{shown(path)}, line {line}, lacks a picture or a class; expected both in every "
                        "row; "
                        "complete the line or remove it."
                    )
                yield cells[0], cells[1], line
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{shown(path)} cannot be read as a table ({reason}); {_EXPECTED}; save it as a UTF-8 CSV file."
        ) from error
