"""Divide the pictures that a user gives: some for the method to look at, others to judge the result on."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hyperclip.errors import InputError
from hyperclip.runtime.image_files import IMAGE_SUFFIXES, list_folder
from hyperclip.runtime.labeled import LabeledImages
from hyperclip.runtime.sources import list_images, open_labeled

if TYPE_CHECKING:
    from hyperclip.bundle.read import Bundle
    from hyperclip.runtime.preprocess import ImageSource

__all__ = ["MAX_CALIBRATION_IMAGES", "Pictures", "divide", "glossary_texts", "read_pictures"]

MAX_CALIBRATION_IMAGES = 128
N_CALIBRATION_TEXTS = 1024


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Pictures, and what they show where that is known.

    Parameters
    ----------
    images : tuple of ImageSource
    target : ndarray of shape (n_images,), int64, optional
        Indices into `class_names`.
    class_names : tuple of str
    """

    images: "tuple[ImageSource, ...]"
    target: npt.NDArray[np.int64] | None = None
    class_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    def take(self, places: npt.NDArray[np.intp]) -> "Pictures":
        """Return some of the pictures, by their places."""
        return Pictures(
            images=tuple(self.images[place] for place in places),
            target=None if self.target is None else self.target[places],
            class_names=self.class_names,
        )


def read_pictures(path: str | Path) -> tuple[Pictures, Pictures | None]:
    """Find pictures, labeled or not.

    Parameters
    ----------
    path : str or Path
        A labeled data set, as `open_labeled` reads it, or a file or folder of pictures. A folder with
        pictures beside its subfolders has no labels.

    Returns
    -------
    pictures : Pictures
        The test part, where there are parts; else everything.
    train : Pictures or None
        The training part, where there are parts.

    Raises
    ------
    InputError
        If there are no pictures.
    """
    if _has_loose_pictures(Path(path)):
        return Pictures(images=tuple(list_images(path))), None
    try:
        labeled = open_labeled(path)
    except InputError as error:
        try:
            return Pictures(images=tuple(list_images(path))), None
        except InputError:
            raise error from None
    try:
        train: LabeledImages | None = open_labeled(path, split="train")
        test = open_labeled(path, split="test")
    except InputError:
        train, test = None, labeled
    if train is not None and _first(train) == _first(test):  # there are no parts
        train, test = None, labeled
    return _pictures(test), None if train is None else _pictures(train)


def _has_loose_pictures(path: Path) -> bool:
    """Tell whether a folder holds pictures that no table or class folder says anything about."""
    if not path.is_dir():
        return False
    suffixes = {file.suffix.lower() for file in list_folder(path)[0]}
    return bool(suffixes & IMAGE_SUFFIXES) and not suffixes & {".csv", ".tsv", ".parquet"}


def _first(labeled: LabeledImages) -> str:
    return next(iter(labeled)).shown_path


def _pictures(labeled: LabeledImages) -> Pictures:
    items = list(labeled)
    return Pictures(
        images=tuple(item.source for item in items),
        target=np.array([item.class_index for item in items], np.int64),
        class_names=labeled.class_names,
    )


def divide(
    pictures: Pictures, *, train: Pictures | None, n_calibration: int, rng: np.random.Generator
) -> tuple[Pictures, Pictures]:
    """Return pictures to calibrate on and others to judge by, drawn without replacement.

    Parameters
    ----------
    pictures : Pictures
        What there is, or the test part of it.
    train : Pictures or None
        The training part, from which calibration pictures come where there is one.
    n_calibration : int
        At most that many; without a training part at most half of the pictures, at least one.
    rng : numpy.random.Generator
    """
    if train is not None:
        places = rng.permutation(len(train))[:n_calibration]
        return train.take(np.sort(places)), pictures
    order = rng.permutation(len(pictures))
    n_first = max(1, min(n_calibration, len(pictures) // 2))
    return pictures.take(np.sort(order[:n_first])), pictures.take(np.sort(order[n_first:]))


def glossary_texts(bundle: "Bundle", *, rng: np.random.Generator) -> tuple[str, ...]:
    """Return words of a bundle's glossary in its templates; none where it has no glossary."""
    data = bundle.files.get("glossary.bin")
    if data is None:
        return ()
    from hyperclip.runtime.glossary_format import unpack_glossary

    words = unpack_glossary(data).lemmas
    chosen = rng.permutation(len(words))[:N_CALIBRATION_TEXTS]
    templates = bundle.manifest.text.templates
    return tuple(
        templates[index % len(templates)].replace("{}", words[place].replace("_", " "))
        for index, place in enumerate(chosen)
    )
