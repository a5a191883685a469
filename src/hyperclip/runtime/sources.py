"""Where pictures come from: a folder to predict on, or a labeled data set to evaluate on."""

from pathlib import Path

from hyperclip.errors import InputError
from hyperclip.runtime.class_folders import open_class_folders
from hyperclip.runtime.image_files import list_folder, walk_images
from hyperclip.runtime.image_parquet import open_parquet
from hyperclip.runtime.image_table import has_table_columns, open_table
from hyperclip.runtime.labeled import LabeledImage, LabeledImages
from hyperclip.runtime.picture_file import shown

__all__ = ["LabeledImage", "LabeledImages", "list_images", "open_labeled"]

# The parts of a data set, and how the names of their files and folders begin, the best first.
_SPLITS = {"test": ("test", "val"), "train": ("train",)}
_SPLIT_FOLDERS = {"train", "training", "test", "testing", "val", "valid", "validation"}


def list_images(path: str | Path) -> list[Path]:
    """Return the picture files that a path stands for.

    Parameters
    ----------
    path : str or Path
        A file, whatever its suffix; or a folder, searched with its subfolders for the suffixes of
        pictures. Hidden files are left out, linked folders are followed once.

    Returns
    -------
    list of Path
        In natural order: ``2.jpg`` before ``10.jpg``.

    Raises
    ------
    InputError
        When the path does not exist or the folder holds no pictures.
    """
    path = _existing(path)
    if not path.is_dir():
        return [path]
    images = list(walk_images(path))
    if not images:
        raise InputError(
            f"{shown(path)} holds no pictures; expected files such as .jpg, .png or .webp; check the path."
        )
    return images


def open_labeled(path: str | Path, *, split: str | None = None) -> LabeledImages:
    """Open a labeled data set, whose pictures are read one after another when it is iterated over.

    Parameters
    ----------
    path : str or Path
        A folder with one folder a class; a CSV table with the columns ``image`` and ``label``, or a
        folder that holds one; a Parquet file in the Hugging Face Image convention with a
        ``classes.json`` beside it, or a folder that holds such files.
    split : {"train", "test"}, optional
        Which part to read where files or folders are named after parts; ``test`` includes ``val``
        where there is no test. By default the test part where there is one, else everything.

    Returns
    -------
    LabeledImages
        Yields `LabeledImage` tuples of (source, class index, shown path). Equal class names are one
        class; they are in its ``merged_names``.

    Raises
    ------
    InputError
        When there is no labeled data set or it cannot be read.
    MissingExtraError
        When it is in Parquet and pyarrow is not installed.
    """
    if split not in (None, *_SPLITS):
        raise InputError(f"split is {split!r}; expected 'train', 'test' or None; choose one of these.")
    path = _existing(path)
    if path.is_file():
        return _open_file(path)
    files, folders = list_folder(path)
    parquet = [file for file in files if file.suffix.lower() == ".parquet"]
    if not parquet and path / "data" in folders:  # where the Hub keeps Parquet files
        parquet = [file for file in list_folder(path / "data")[0] if file.suffix.lower() == ".parquet"]
    if parquet:
        return open_parquet(_choose(parquet, split, folder=path))
    tables = [file for file in files if file.suffix.lower() in (".csv", ".tsv") and has_table_columns(file)]
    if tables:
        chosen = _choose(tables, split, folder=path)
        if len(chosen) > 1:
            raise InputError(f"{shown(path)} holds {len(chosen)} tables; expected one; name the file.")
        return open_table(chosen[0])
    if folders and all(folder.name.lower() in _SPLIT_FOLDERS for folder in folders):
        return open_class_folders(_choose(folders, split, folder=path)[0])
    return open_class_folders(path)


def _open_file(path: Path) -> LabeledImages:
    """Open a data set that is a single file."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return open_parquet([path])
    if suffix in (".csv", ".tsv"):
        return open_table(path)
    raise InputError(
        f"{shown(path)} is not a labeled data set; expected a folder, a .csv or a .parquet file; name one of "
        "these."
    )


def _split_of(path: Path) -> str | None:
    """Return the part of a data set that a file or folder is named after."""
    name = path.name.lower()
    return next((split for split, starts in _SPLITS.items() if name.startswith(starts)), None)


def _choose(paths: list[Path], split: str | None, *, folder: Path) -> list[Path]:
    """Return the files or folders of the wanted part of a data set."""
    for start in _SPLITS[split or "test"]:
        chosen = [path for path in paths if path.name.lower().startswith(start)]
        if chosen:
            return chosen
    if split is not None and any(_split_of(path) for path in paths):
        names = ", ".join(path.name for path in paths[:5])
        raise InputError(
            f"{shown(folder)} holds {names}, no {split} part; expected a name that begins with "
            f"{' or '.join(_SPLITS[split])}; choose another part or rename it."
        )
    return paths


def _existing(path: str | Path) -> Path:
    """Return the path, if there is something."""
    path = Path(path)
    try:
        path.stat()
    except (OSError, ValueError) as error:  # ValueError: a NUL inside the path
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{shown(path)} cannot be opened ({reason}); expected a file or folder; check the spelling."
        ) from error
    return path
