"""Pictures for training in WebDataset tar files, streamed from front to back and never unpacked.

Members with the same path up to the first dot of the file name, one after another, are one sample:
``0001.jpg`` (or png, webp), ``0001.cls`` (an index), ``0001.txt`` (a caption), ``0001.json``. Read with
the standard library: it is all that this needs, and lets every size be checked before it is read.
"""

import json
import logging
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from hyperclip.data.records import NO_LABEL, Record, RecordSource, clean_captions
from hyperclip.errors import InputError
from hyperclip.runtime.class_list import CLASS_LIST_NAME, read_class_list
from hyperclip.runtime.picture_file import shown

__all__ = ["open_tar_records"]

_IMAGE_SUFFIXES = ("jpg", "jpeg", "png", "webp")
_TEXT_SUFFIXES = ("cls", "txt", "json")
MAX_IMAGE_BYTES = 128 * 2**20
MAX_TEXT_BYTES = 2**20
MAX_MEMBERS = 10_000_000  # in one file
MAX_NAME_CHARS = 4_096
_BLOCK_BYTES = 512

log = logging.getLogger(__name__)


def open_tar_records(paths: Sequence[Path]) -> RecordSource:
    """Read pictures, labels and captions from tar files.

    Parameters
    ----------
    paths : sequence of Path
        Uncompressed tar files (pictures are compressed already). A ``classes.json`` beside the first
        names the labels. Give each worker its own files.

    Returns
    -------
    RecordSource
        Of unknown length. Samples without a picture are left out, and their number is logged.

    Raises
    ------
    InputError
        When a file is missing; while reading, when it is damaged, a member is too large, or a label
        or text cannot be understood.
    """
    for path in paths:
        if not path.is_file():
            raise InputError(f"{shown(path)} is no file; expected a tar file; check the path.")
    beside = paths[0].parent / CLASS_LIST_NAME
    class_names = tuple(read_class_list(beside)) if beside.exists() else ()

    def read() -> Iterator[Record]:
        for path in paths:
            n_without = 0
            for key, parts in _samples(path):
                record = _record(key, parts, class_names, where=path)
                if record is None:
                    n_without += 1
                else:
                    yield record
            if n_without:
                log.warning("%s holds %d samples without a picture; they are left out.", path, n_without)

    return RecordSource(class_names=class_names, n_records=None, read=read)


class _CappedFile:
    """A file that refuses large reads, because tarfile believes the sizes that long names declare."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.tell = file.tell
        self.seek = file.seek

    def read(self, n_bytes: int = -1) -> bytes:
        if not 0 <= n_bytes <= MAX_IMAGE_BYTES + _BLOCK_BYTES:
            raise tarfile.ReadError(f"a header declares {n_bytes} bytes")
        return self._file.read(n_bytes)


def _samples(path: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield (key, suffix -> content) of each sample; only one is in memory."""
    key, parts = "", dict[str, bytes]()
    for name, content in _members(path):
        folder, slash, file_name = name.rpartition("/")
        stem, _, suffix = file_name.partition(".")
        suffix = suffix.lower()
        if suffix not in (*_IMAGE_SUFFIXES, *_TEXT_SUFFIXES) or not stem:
            continue
        if folder + slash + stem != key:
            if parts:
                yield key, parts
            key, parts = folder + slash + stem, {}
        if suffix in parts:
            raise InputError(
                f"{shown(path)} holds {shown(name)} twice in a row; expected one file of a kind in a sample; "
                "write the file anew."
            )
        parts[suffix] = content
    if parts:
        yield key, parts


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of the regular files that could be part of a sample."""
    try:
        with path.open("rb") as raw, tarfile.open(fileobj=_CappedFile(raw), mode="r:") as archive:  # type: ignore[call-overload]
            for _ in range(MAX_MEMBERS):
                member = archive.next()
                if member is None:
                    break
                archive.members.clear()  # or the list of all members stays in memory
                suffix = member.name.rpartition("/")[2].partition(".")[2].lower()
                is_plain = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and member.sparse is None
                if not is_plain or suffix not in (*_IMAGE_SUFFIXES, *_TEXT_SUFFIXES):
                    continue  # links, devices, holes and strange files are never followed
                limit = MAX_IMAGE_BYTES if suffix in _IMAGE_SUFFIXES else MAX_TEXT_BYTES
                if member.size > limit or len(member.name) > MAX_NAME_CHARS:
                    raise InputError(
                        f"{shown(path)} holds {shown(member.name[:200])} of {member.size} bytes; expected at "
                        f"most {limit}; leave it out."
                    )
                content = archive.extractfile(member)
                yield member.name, b"" if content is None else content.read()
            else:
                raise InputError(
                    f"{shown(path)} has more than {MAX_MEMBERS} members; expected fewer; split it."
                )
            raw.seek(archive.offset)  # tarfile takes a damaged header for the end
            end = raw.read(_BLOCK_BYTES)
            if end.strip(b"\0") or len(end) not in (0, _BLOCK_BYTES):
                raise tarfile.ReadError(f"no header at byte {archive.offset}")
    except (tarfile.TarError, OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{shown(path)} cannot be read ({shown(str(error))}); expected a complete, uncompressed tar "
            "file; get it again."
        ) from error


def _record(key: str, parts: dict[str, bytes], class_names: tuple[str, ...], *, where: Path) -> Record | None:
    """Turn a sample into a record, None if it has no picture."""
    name = f"{where.name}:{key}"
    suffix = next((suffix for suffix in _IMAGE_SUFFIXES if suffix in parts), None)
    if suffix is None:
        return None
    label: Any = NO_LABEL
    texts: list[object] = []
    try:
        if "json" in parts:
            about = json.loads(parts["json"].decode("utf-8"))
            if isinstance(about, dict):
                label = next((about[field] for field in ("label", "cls") if field in about), NO_LABEL)
                for field in ("captions", "caption", "text"):
                    value = about.get(field)
                    texts += value if isinstance(value, list) else [value]
        if "txt" in parts:
            texts.insert(0, parts["txt"].decode("utf-8"))
        if "cls" in parts:
            label = parts["cls"].decode("utf-8").strip()
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{shown(name)} has a text that cannot be read ({shown(str(error))}); expected UTF-8, and JSON "
            "in .json; correct it."
        ) from error
    if isinstance(label, str):
        is_number = label.isascii() and label.isdigit() and len(label) < 10
        label = int(label) if is_number else class_names.index(label) if label in class_names else label
    if type(label) is not int or not NO_LABEL <= label < (len(class_names) or 2**31):
        raise InputError(
            f"{shown(name)} has the label {shown(str(label))}; expected an index into the {len(class_names)} "
            f"classes of {CLASS_LIST_NAME}; correct one of the two."
        )
    return Record(parts[suffix], label, clean_captions(texts), f"{name}.{suffix}")
