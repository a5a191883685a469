"""A labeled data set in Parquet files, by the Hugging Face Image convention.

Column ``image`` holds ``{bytes, path}`` (or bytes alone), column ``label`` an index into the
``classes.json`` beside the file (or into the names in the file's own metadata), or a name.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from hyperclip.bundle.strict import quote
from hyperclip.errors import InputError, MissingExtraError
from hyperclip.runtime.class_list import CLASS_LIST_NAME, read_class_list
from hyperclip.runtime.image_files import natural_key
from hyperclip.runtime.labeled import LabeledImage, LabeledImages, merge_equal_names
from hyperclip.runtime.names import same_name_key
from hyperclip.runtime.picture_file import shown

__all__ = ["open_parquet"]

_IMAGE_COLUMNS = ("image", "img")
_LABEL_COLUMNS = ("label", "labels", "class")
_ROWS_AT_ONCE = 64  # pictures that are in memory at a time


class _Columns(NamedTuple):
    """Which columns of a file hold pictures and classes."""

    image: str
    label: str


def open_parquet(paths: Sequence[Path]) -> LabeledImages:
    """Read pictures and classes from one or several Parquet files, a row group at a time.

    Parameters
    ----------
    paths : sequence of Path
        At least one; all with the same classes.

    Raises
    ------
    InputError
        When a file cannot be read, lacks a column, or has a label that stands for no class.
    MissingExtraError
        When pyarrow is not installed.
    """
    columns: dict[Path, _Columns] = {}
    n_images = 0
    listed: list[str] | None = None
    for path in paths:
        with _opened(path) as file:
            columns[path] = _find_columns(file, path)
            n_images += file.metadata.num_rows
            listed = listed or _find_class_list(file, path)
    if n_images == 0:
        raise InputError(f"{shown(paths[0])} has no rows; expected one a picture; check the path.")
    where = f"The class list of {shown(paths[0])}"
    if listed is None:
        listed = sorted(_label_texts(columns), key=natural_key)
    classes = merge_equal_names(listed, where=where)
    by_name = {same_name_key(name): index for index, name in enumerate(classes.names)}

    def read() -> Iterator[LabeledImage]:
        for path in paths:
            for row, (image, label) in enumerate(_rows(path, columns[path])):
                content, inner = (
                    (image.get("bytes"), image.get("path")) if isinstance(image, dict) else (image, None)
                )
                if isinstance(label, str) and same_name_key(label) in by_name:
                    class_index = by_name[same_name_key(label)]
                elif type(label) is int and 0 <= label < len(classes.index_of):
                    class_index = classes.index_of[label]
                else:
                    raise InputError(
                        f"{shown(path)}, row {row}, has the label {quote(label, 60)}; expected a name or "
                        f"an index in its list of {len(classes.index_of)} classes; correct {CLASS_LIST_NAME}."
                    )
                if not isinstance(content, bytes):
                    raise InputError(
                        f"{shown(path)}, row {row}, holds no picture; expected the bytes of one; store the "
                        "pictures in the file."
                    )
                yield LabeledImage(content, class_index, f"{path.name}:{inner or row}")

    return LabeledImages(class_names=classes.names, merged_names=classes.merged, n_images=n_images, read=read)


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
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{shown(path)} cannot be read as Parquet ({quote(reason, 120)}); expected a complete Parquet "
            "file; get it again."
        ) from error


def _find_columns(file: Any, path: Path) -> _Columns:
    """Return the names of the two columns."""
    names = file.schema_arrow.names
    image = next((name for name in _IMAGE_COLUMNS if name in names), None)
    label = next((name for name in _LABEL_COLUMNS if name in names), None)
    if image is None or label is None:
        raise InputError(
            f"{shown(path)} has the columns {quote(', '.join(names), 200)}; expected 'image' and 'label'; "
            "rename them."
        )
    return _Columns(image, label)


def _find_class_list(file: Any, path: Path) -> list[str] | None:
    """Return the names behind the indices: from beside the file, else from inside it."""
    beside = path.parent / CLASS_LIST_NAME
    if not beside.exists() and path.parent.name == "data":  # where the Hub keeps Parquet files
        beside = path.parent.parent / CLASS_LIST_NAME
    if beside.exists():
        return read_class_list(beside)
    column = _find_columns(file, path).label
    try:
        features = json.loads(file.schema_arrow.metadata[b"huggingface"])["info"]["features"]
        names = features[column]["names"]
        if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
            return list(names)
    except (KeyError, TypeError, ValueError, RecursionError):
        pass  # no metadata, or not of this kind
    if str(file.schema_arrow.field(column).type).startswith(("int", "uint")):
        raise InputError(
            f"{shown(path)} has numbers as labels and no {CLASS_LIST_NAME} beside it; expected the names "
            "of the "
            f'classes; write {CLASS_LIST_NAME} as a list such as ["cat", "dog"].'
        )
    return None


def _label_texts(columns: dict[Path, _Columns]) -> set[str]:
    """Return all labels of files whose labels are names, without touching the pictures."""
    texts: set[str] = set()
    for path, column in columns.items():
        with _opened(path) as file:
            for batch in file.iter_batches(columns=[column.label], use_threads=False):
                texts.update(label for label in batch.column(0).to_pylist() if isinstance(label, str))
    return texts


def _rows(path: Path, columns: _Columns) -> Iterator[tuple[Any, Any]]:
    """Yield (picture, label) of each row; one row group is open and few rows are in memory."""
    with _opened(path) as file:
        for group in range(file.num_row_groups):
            for batch in file.iter_batches(
                _ROWS_AT_ONCE, row_groups=[group], columns=list(columns), use_threads=False
            ):
                yield from zip(
                    batch.column(columns.image).to_pylist(),
                    batch.column(columns.label).to_pylist(),
                    strict=True,
                )
