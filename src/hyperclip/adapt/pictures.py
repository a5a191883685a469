"""Labeled pictures as embeddings: what cannot be read is listed, copies count once. NumPy alone."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hyperclip.adapt.shots import Indices
from hyperclip.bundle.strict import quote
from hyperclip.errors import InputError
from hyperclip.evaluate.accuracy import match_names
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.decode_ahead import decode_batches
from hyperclip.runtime.labeled import LabeledImage, LabeledImages
from hyperclip.runtime.preprocess import spec_before_crop

__all__ = ["EmbeddedPictures", "embed_pictures"]

BATCH_SIZE = 16
MAX_PICTURES = 100_000  # of 1,000 numbers: 400 MB; more belongs into a training
MAX_PIXEL_BYTES = 2**30  # of pictures that are kept, 7,000 at 224 px


@dataclass(frozen=True, kw_only=True)
class EmbeddedPictures:
    """What a classifier's encoder sees in pictures.

    Parameters
    ----------
    embeddings : ndarray of shape (n_images, dim), float32
    target : ndarray of shape (n_images,), int64
        Indices into the classifier's class names.
    unreadable : tuple of str
        One sentence for each picture that could not be read and was left out.
    copies : tuple of str
        Paths of pictures that repeat an earlier one of their class, and were left out.
    pixels : ndarray of shape (n_images, side, side, 3), uint8, optional
        RGB, as the classifier is given them; only where a method was to see them.
    """

    embeddings: npt.NDArray[np.float32]
    target: Indices
    unreadable: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()
    pixels: npt.NDArray[np.uint8] | None = None

    def take(self, rows: Indices) -> "EmbeddedPictures":
        """Return some of the pictures, by their places."""
        return EmbeddedPictures(
            embeddings=self.embeddings[rows],
            target=self.target[rows],
            pixels=None if self.pixels is None else self.pixels[rows],
        )


def embed_pictures(
    classifier: Classifier,
    labeled: LabeledImages,
    *,
    keep_pixels: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> EmbeddedPictures:
    """Embed labeled pictures with the encoder of a classifier, which they meet by the names of the classes.

    Parameters
    ----------
    classifier : Classifier
        Has at least the classes of the pictures.
    labeled : LabeledImages
        From `hyperclip.runtime.sources.open_labeled`.
    keep_pixels : bool
        Keep the resized pictures too, for a method that trains the encoder.
    on_progress : callable, optional
        Called with the number of pictures done since the last call.

    Raises
    ------
    InputError
        If names do not meet, a class is left without a readable picture, there are too many pictures,
        or one picture stands in two classes.
    """
    if len(labeled) > MAX_PICTURES:
        raise InputError(
            f"There are {len(labeled):,} pictures; expected at most {MAX_PICTURES:,} to adapt to; train a "
            "model with so many."
        )
    if keep_pixels:
        _check_size(len(labeled), spec_before_crop(classifier.metadata.images).size_px)
    index_of = match_names(labeled.class_names, classifier.metadata.class_names)
    target: list[int] = []
    embeddings: list[npt.NDArray[np.float32]] = []
    kept: list[npt.NDArray[np.uint8]] = []
    unreadable: list[str] = []
    copies: list[str] = []
    seen: dict[bytes, tuple[int, str]] = {}
    items = iter(list(labeled))
    batches = decode_batches(
        (item.source for item in labeled), spec=classifier.metadata.images, batch_size=BATCH_SIZE
    )
    for batch in batches:
        pixels: list[npt.NDArray[np.uint8]] = []
        for _, decoded in batch:
            item = next(items)
            if isinstance(decoded, InputError):
                unreadable.append(_reason(item, decoded))
                continue
            class_index = index_of[item.class_index]
            key = hashlib.sha256(np.ascontiguousarray(decoded).tobytes()).digest()
            if key in seen:
                _check_copy(seen[key], (class_index, item.shown_path), classifier)
                copies.append(item.shown_path)
                continue
            seen[key] = (class_index, item.shown_path)
            pixels.append(decoded)
            target.append(class_index)
        if pixels:
            embeddings.append(classifier.run_pixels(np.stack(pixels))[1])
            kept += pixels if keep_pixels else []
        if on_progress is not None:
            on_progress(len(batch))
    _check_classes(target, classifier, unreadable)
    return EmbeddedPictures(
        embeddings=np.concatenate(embeddings),
        target=np.array(target, np.int64),
        unreadable=tuple(unreadable),
        copies=tuple(copies),
        pixels=np.stack(kept) if keep_pixels else None,
    )


def _check_size(n_images: int, side_px: int) -> None:
    """Refuse more pictures than are kept in memory."""
    most = MAX_PIXEL_BYTES // (3 * side_px**2)
    if n_images > most:
        raise InputError(
            f"There are {n_images:,} pictures of {side_px} px; expected at most {most:,} to train the "
            "encoder on; give fewer, or use a method that fits a head alone, such as gda."
        )


def _reason(item: LabeledImage, error: InputError) -> str:
    """Return why a picture cannot be read, with its path where the error does not have it."""
    text = str(error)
    return text if not isinstance(item.source, bytes) else f"{quote(item.shown_path, 200)}: {text}"


def _check_copy(first: tuple[int, str], second: tuple[int, str], classifier: Classifier) -> None:
    """Refuse one picture in two classes."""
    if first[0] != second[0]:
        names = classifier.metadata.class_names
        raise InputError(
            f"{quote(first[1], 200)} of {quote(names[first[0]])} and {quote(second[1], 200)} of "
            f"{quote(names[second[0]])} are the same picture; expected each in one class; remove one."
        )


def _check_classes(target: list[int], classifier: Classifier, unreadable: list[str]) -> None:
    """Refuse classes without a picture."""
    names = classifier.metadata.class_names
    present = set(target)
    missing = [name for index, name in enumerate(names) if index not in present]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        listed = ", ".join(quote(name, 60) for name in missing[:5]) + more
        bad = f" ({len(unreadable)} could not be read)" if unreadable else ""
        raise InputError(
            f"There is no picture of {listed}{bad}; expected at least one of each class; add some, or "
            "specialize without these names."
        )
