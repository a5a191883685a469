"""Pictures with the class that each shows, one after another, whatever they are stored in."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from hyperclip.errors import InputError
from hyperclip.runtime.names import check_texts, same_name_key

__all__ = ["ClassNames", "LabeledImage", "LabeledImages", "merge_equal_names"]


class LabeledImage(NamedTuple):
    """One picture of a data set."""

    source: Path | bytes  # a file, or the content of one
    class_index: int  # into `LabeledImages.class_names`
    shown_path: str  # what to call the picture before a person


class ClassNames(NamedTuple):
    """The different names in a list, and where each entry of the list went."""

    names: tuple[str, ...]
    index_of: tuple[int, ...]  # for each entry of the list, its place in `names`
    merged: tuple[str, ...]  # names that occurred more than once, in order


@dataclass(frozen=True, kw_only=True)
class LabeledImages:
    """A labeled data set that is read anew, picture by picture, each time it is iterated over.

    Attributes
    ----------
    class_names : tuple of str
        All different.
    merged_names : tuple of str
        Names that several classes of the data set share (ImageNet has two "crane"): one class here.
    n_images : int
        Also ``len()``.
    """

    class_names: tuple[str, ...]
    merged_names: tuple[str, ...] = ()
    n_images: int
    read: Callable[[], Iterator[LabeledImage]] = field(repr=False)

    def __len__(self) -> int:
        return self.n_images

    def __iter__(self) -> Iterator[LabeledImage]:
        return self.read()


def merge_equal_names(names: Sequence[str], *, where: str) -> ClassNames:
    """Make one class of names that are equal after trimming and case folding.

    Parameters
    ----------
    names : sequence of str
        In the order of the class indices.
    where : str
        What to call the source of the names in messages.

    Returns
    -------
    ClassNames
        The first spelling of each, trimmed.

    Raises
    ------
    InputError
        When there are none, or one of them is blank or no usable text.

    Examples
    --------
    >>> merge_equal_names(["crane", "cat", "Crane "], where="classes.json")
    ClassNames(names=('crane', 'cat'), index_of=(0, 1, 0), merged=('crane',))
    """
    if not names:
        raise InputError(f"{where} names no classes; expected at least one; add the names.")
    try:
        check_texts(names, what="class name")
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    place: dict[str, int] = {}
    index_of = tuple(place.setdefault(same_name_key(name), len(place)) for name in names)
    first: dict[int, str] = {}
    merged: dict[int, str] = {}
    for index, name in zip(index_of, names, strict=True):
        if index in first:
            merged[index] = first[index]
        first.setdefault(index, name.strip())
    return ClassNames(tuple(first.values()), index_of, tuple(merged[index] for index in sorted(merged)))
