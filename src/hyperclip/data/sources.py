"""Where training takes its pictures from: Parquet, tar files, class folders, tables."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from hyperclip.data.caption_table import has_captions, open_caption_table
from hyperclip.data.parquet_source import open_parquet_records
from hyperclip.data.records import NO_LABEL, Record, RecordSource, clean_captions
from hyperclip.data.tar_source import open_tar_records
from hyperclip.errors import InputError
from hyperclip.runtime.image_files import IMAGE_SUFFIXES, list_folder, natural_key
from hyperclip.runtime.picture_file import shown
from hyperclip.runtime.sources import list_images, open_labeled

__all__ = ["NO_LABEL", "Record", "RecordSource", "open_records"]

MAX_CAPTION_FILE_BYTES = 2**20
# How the names of files of the parts of a data set begin, the best first.
_SPLITS = {"train": ("train",), "test": ("test", "val")}
_COMPRESSED = (".gz", ".tgz", ".bz2", ".xz", ".zst")


def open_records(paths: Path | Sequence[Path], *, split: str = "train") -> RecordSource:
    """Open pictures for training, which are read one after another when the source is iterated over.

    Parameters
    ----------
    paths : Path or sequence of Path
        A folder, or files of one kind:

        - ``.parquet`` files in the Hugging Face Image convention, with labels, captions or neither;
        - ``.tar`` files in the WebDataset convention;
        - a ``.csv`` or ``.tsv`` table with a column ``image`` and one of labels or captions;
        - a folder that holds such files, one folder a class, or pictures (the lines of a ``.txt``
          file of the same name are a picture's captions).
    split : {"train", "test"}
        Which part to read where files or folders in the folder are named after parts; ``test``
        includes ``val`` where there is no test. Files that are given by name are read as they are.

    Returns
    -------
    RecordSource
        Yields `Record` tuples of (image, label, captions, shown path). Pictures are not decoded.

    Raises
    ------
    InputError
        When there is nothing to read, files are of different kinds, or one cannot be read.
    MissingExtraError
        When a file is in Parquet and pyarrow is not installed.
    """
    if split not in _SPLITS:
        raise InputError(f"split is {split!r}; expected 'train' or 'test'; choose one of these.")
    files = [paths] if isinstance(paths, Path) else list(paths)
    if not files:
        raise InputError("There are no paths; expected a folder or files; name what to train on.")
    for path in files:
        if not path.exists():
            raise InputError(f"{shown(path)} does not exist; expected a file or folder; check the spelling.")
    if len(files) == 1 and files[0].is_dir():
        return _open_folder(files[0], split)
    return _open_files(files)


def _open_files(files: Sequence[Path]) -> RecordSource:
    """Open files of one kind."""
    suffixes = {path.suffix.lower() for path in files}
    if suffixes == {".parquet"}:
        return open_parquet_records(files)
    if suffixes == {".tar"}:
        return open_tar_records(files)
    if len(files) == 1 and suffixes <= {".csv", ".tsv"}:
        return open_caption_table(files[0]) if has_captions(files[0]) else _labeled(files[0], split="train")
    if suffixes & set(_COMPRESSED):
        raise InputError(
            f"{shown(files[0])} is compressed; expected a plain .tar file, as pictures hardly get smaller; "
            "decompress it."
        )
    endings = ", ".join(sorted(suffixes)) or "nothing"
    raise InputError(
        f"{shown(files[0])} and {len(files) - 1} other paths end in {endings}; "
        "expected only .parquet, only .tar, or one .csv or .tsv file; name files of one kind."
    )


def _open_folder(folder: Path, split: str) -> RecordSource:
    """Open the data set in a folder, whatever its kind."""
    files, _ = list_folder(folder)
    if not any(path.suffix.lower() == ".parquet" for path in files) and (folder / "data").is_dir():
        inner, _ = list_folder(folder / "data")  # where the Hub keeps Parquet files
        files += [path for path in inner if path.suffix.lower() == ".parquet"]
    for suffix in (".parquet", ".tar"):
        chosen = [path for path in files if path.suffix.lower() == suffix]
        if chosen:
            return _open_files(_of_split(chosen, split=split, folder=folder))
    tables = [path for path in files if path.suffix.lower() in (".csv", ".tsv") and has_captions(path)]
    if tables:
        return _open_files(_of_split(tables, split=split, folder=folder))
    if any(path.suffix.lower() in IMAGE_SUFFIXES for path in files):
        return _open_pictures(folder)
    return _labeled(folder, split=split)


def _of_split(files: list[Path], *, split: str, folder: Path) -> list[Path]:
    """Return the files of the wanted part, all of them where no file is named after a part."""
    files = sorted(files, key=lambda path: natural_key(path.name))
    for start in _SPLITS[split]:
        chosen = [path for path in files if path.name.lower().startswith(start)]
        if chosen:
            return chosen
    starts = tuple(start for group in _SPLITS.values() for start in group)
    if any(path.name.lower().startswith(starts) for path in files):
        names = ", ".join(path.name for path in files[:5])
        raise InputError(
            f"{shown(folder)} holds {shown(names)}, no {split} part; expected a name that begins with "
            f"{' or '.join(_SPLITS[split])}; choose another part, or name the files."
        )
    return files


def _labeled(path: Path, *, split: str) -> RecordSource:
    """Take a labeled data set as the evaluation reads it: class folders, or a table."""
    labeled = open_labeled(path, split=split)

    def read() -> Iterator[Record]:
        for source, class_index, shown_path in labeled:
            yield Record(source, class_index, (), shown_path)

    return RecordSource(class_names=labeled.class_names, n_records=len(labeled), read=read)


def _open_pictures(folder: Path) -> RecordSource:
    """Take the pictures in a folder and below, with the captions beside them."""
    pictures = list_images(folder)

    def read() -> Iterator[Record]:
        for path in pictures:
            captions = _captions_beside(path)
            yield Record(path, NO_LABEL, captions, str(path.relative_to(folder)))

    return RecordSource(n_records=len(pictures), read=read)


def _captions_beside(picture: Path) -> tuple[str, ...]:
    """Return the lines of the text file that is named as a picture is."""
    path = picture.with_suffix(".txt")
    if not path.is_file():
        return ()
    try:
        with path.open("rb") as file:
            content = file.read(MAX_CAPTION_FILE_BYTES + 1)
        if len(content) > MAX_CAPTION_FILE_BYTES:
            raise InputError(
                f"{shown(path)} is larger than {MAX_CAPTION_FILE_BYTES} bytes; expected one caption a line; "
                "shorten it."
            )
        return clean_captions(content.decode("utf-8-sig").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{shown(path)} cannot be read ({error}); expected UTF-8 text, one caption a line; correct it."
        ) from error
