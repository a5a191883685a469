"""What training reads: pictures with a class, with captions, with both or with neither."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

__all__ = ["NO_LABEL", "Record", "RecordSource", "clean_captions"]

NO_LABEL = -1
MAX_CAPTION_CHARS = 10_000  # longer is a document, not a caption


class Record(NamedTuple):
    """One picture and what is known about it."""

    image: Path | bytes  # a file, or the content of one
    label: int  # into `RecordSource.class_names`; -1 where there is none
    captions: tuple[str, ...]
    shown_path: str  # what to call the picture before a person


@dataclass(frozen=True, kw_only=True)
class RecordSource:
    """Pictures that are read anew, one after another, each time the source is iterated over.

    Attributes
    ----------
    class_names : tuple of str
        Names of the labels; empty where there are none. Equal names are left as they are, so that
        labels keep their meaning.
    n_records : int or None
        How many pictures; None where only reading can tell, as with tar files.
    """

    class_names: tuple[str, ...] = ()
    n_records: int | None
    read: Callable[[], Iterator[Record]] = field(repr=False)

    def __iter__(self) -> Iterator[Record]:
        return self.read()


def clean_captions(values: Iterable[object]) -> tuple[str, ...]:
    """Return the different captions among some values, on one line each; what is no text is left out.

    Examples
    --------
    >>> clean_captions(["a  dog\\n", None, "a dog", ""])
    ('a dog',)
    """
    texts = (" ".join(value[:MAX_CAPTION_CHARS].split()) for value in values if isinstance(value, str))
    return tuple(dict.fromkeys(text for text in texts if text))
