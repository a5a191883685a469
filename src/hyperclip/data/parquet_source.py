"""Pictures for training in Parquet files, by the Hugging Face Image convention.

Column ``image`` holds ``{bytes, path}`` (or bytes alone); ``label``, where there is one, an index into
the class list; ``captions`` (or ``caption``, ``text``), where there is one, a text or a list of texts.
Unlike `hyperclip.runtime.sources`, which evaluates, this needs no labels and merges no classes.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from hyperclip.data.records import NO_LABEL, Record, RecordSource, clean_captions
from hyperclip.errors import InputError, MissingExtraError
from hyperclip.runtime.class_list import CLASS_LIST_NAME, read_class_list
from hyperclip.runtime.image_files import natural_key
from hyperclip.runtime.picture_file import shown

__all__ = ["open_parquet_records"]

_IMAGE_COLUMNS = ("image", "img")
_LABEL_COLUMNS = ("label", "labels", "class")
_CAPTION_COLUMNS = ("captions", "caption", "text", "sentences")
_ROWS_AT_ONCE = 64  # pictures that are in memory at a time


class _Columns(NamedTuple):
    image: str
    label: str | None
    captions: str | None


class _Classes(NamedTuple):
    n: int  # 0: unknown
    index_of: dict[str, int]


def open_parquet_records(paths: Sequence[Path]) -> RecordSource:
    """Read pictures, labels and captions from Parquet files, one row group at a time.

    Parameters
    ----------
    paths : sequence of Path
        At least one. Labels count in the first file's class list: the ``classes.json`` beside it, or
        the names in its own metadata, or else the labels themselves where they are texts.

    Returns
    -------
    RecordSource
        In the order of the files and their rows.

    Raises
    ------
    InputError
        When a file cannot be read, has no pictures, or a label is not in the class list; the latter
        while reading.
    MissingExtraError
        When pyarrow is not installed.
    """
    columns: list[_Columns] = []
    n_rows = 0
    class_names: tuple[str, ...] = ()
    for path in paths:
        with _opened(path) as file:
            columns.append(_find_columns(file, path))
            n_rows += file.metadata.num_rows
            class_names = class_names or _class_names(file, path, columns[-1].label)
    class_names = class_names or _label_texts(paths, columns)
    classes = _Classes(len(class_names), {name: index for index, name in enumerate(class_names)})
    if n_rows == 0:
        raise InputError(f"{shown(paths[0])} has no rows; expected one a picture; check the path.")

    def read() -> Iterator[Record]:
        for path, chosen in zip(paths, columns, strict=True):
            yield from _read_file(path, chosen, classes)

    return RecordSource(class_names=class_names, n_records=n_rows, read=read)


def _read_file(path: Path, columns: _Columns, classes: _Classes) -> Iterator[Record]:
    """Yield the records of one file."""
    wanted = [name for name in columns if name is not None]
    row = 0
    with _opened(path) as file:
        for group in range(file.num_row_groups):
            for batch in file.iter_batches(
                _ROWS_AT_ONCE, row_groups=[group], columns=wanted, use_threads=False
            ):
                for values in batch.to_pylist():
                    yield _record(values, columns, classes, where=path, row=row)
                    row += 1


def _record(values: dict[str, Any], columns: _Columns, classes: _Classes, *, where: Path, row: int) -> Record:
    """Turn one row into a record."""
    image = values[columns.image]
    content, inner = (image.get("bytes"), image.get("path")) if isinstance(image, dict) else (image, None)
    if not isinstance(content, bytes):
        raise InputError(
            f"{shown(where)}, row {row}, holds no picture; expected the bytes of one; store the pictures in "
            "the file."
        )
    label = NO_LABEL if columns.label is None else values[columns.label]
    if label is None:
        label = NO_LABEL
    elif isinstance(label, str):
        label = classes.index_of.get(label, label)
    if type(label) is not int or not NO_LABEL <= label < (classes.n or 2**31):
        raise InputError(
            f"{shown(where)}, row {row}, has the label {shown(str(label))}; expected an index into its list "
            f"of {classes.n} classes, or nothing; correct {CLASS_LIST_NAME}."
        )
    texts = None if columns.captions is None else values[columns.captions]
    captions = clean_captions(texts if isinstance(texts, list) else [texts])
    return Record(content, label, captions, f"{where.name}:{inner or row}")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a Parquet file, whose errors become one sentence."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "pyarrow":
            raise  # a broken install must not look like a missing extra
        raise MissingExtraError(
            f"{shown(path)} is a Parquet file, which needs pyarrow, which is not installed; "
            "run `pip install 'hyperclip[parquet]'`."
        ) from error
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (OSError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or shown(str(error))
        raise InputError(
            f"{shown(path)} cannot be read as Parquet ({reason}); expected a complete Parquet file; get it "
            "again."
        ) from error


def _find_columns(file: Any, path: Path) -> _Columns:
    """Return the names of the columns of pictures, labels and captions."""
    names = file.schema_arrow.names
    image, label, captions = (
        next((name for name in known if name in names), None)
        for known in (_IMAGE_COLUMNS, _LABEL_COLUMNS, _CAPTION_COLUMNS)
    )
    if image is None:
        raise InputError(
            f"{shown(path)} has the columns {shown(', '.join(names))}; expected 'image' among them; rename "
            "the column of pictures."
        )
    return _Columns(image, label, captions)


def _class_names(file: Any, path: Path, label: str | None) -> tuple[str, ...]:
    """Return the names behind the labels: from beside the file, else from inside it, else none."""
    if label is None:
        return ()
    for folder in (path.parent, path.parent.parent) if path.parent.name == "data" else (path.parent,):
        if (folder / CLASS_LIST_NAME).exists():
            return tuple(read_class_list(folder / CLASS_LIST_NAME))
    try:
        names = json.loads(file.schema_arrow.metadata[b"huggingface"])["info"]["features"][label]["names"]
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return tuple(names)
    except (KeyError, TypeError, ValueError, RecursionError):
        pass  # no metadata, or not of this kind
    return ()


def _label_texts(paths: Sequence[Path], columns: Sequence[_Columns]) -> tuple[str, ...]:
    """Return all labels that are texts, in natural order, without touching the pictures."""
    texts: set[str] = set()
    for path, chosen in zip(paths, columns, strict=True):
        if chosen.label is not None:
            with _opened(path) as file:
                for batch in file.iter_batches(columns=[chosen.label], use_threads=False):
                    texts.update(label for label in batch.column(0).to_pylist() if isinstance(label, str))
    return tuple(sorted(texts, key=natural_key))
