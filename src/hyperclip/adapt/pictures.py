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

__all__ = ["EmbeddedPictures", "embed_pictures"]

BATCH_SIZE = 16
MAX_PICTURES = 100_000  # of 1,000 numbers: 400 MB; more belongs into a training


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
    """

    embeddings: npt.NDArray[np.float32]
    target: Indices
    unreadable: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()


def embed_pictures(
    classifier: Classifier, labeled: LabeledImages, *, on_progress: Callable[[int], None] | None = None
) -> EmbeddedPictures:
    """Embed labeled pictures with the encoder of a classifier, which they meet by the names of the classes.

    Parameters
    ----------
    classifier : Classifier
        Has at least the classes of the pictures.
    labeled : LabeledImages
        From `hyperclip.runtime.sources.open_labeled`.
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
    index_of = match_names(labeled.class_names, classifier.metadata.class_names)
    target: list[int] = []
    embeddings: list[npt.NDArray[np.float32]] = []
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
        if on_progress is not None:
            on_progress(len(batch))
    _check_classes(target, classifier, unreadable)
    return EmbeddedPictures(
        embeddings=np.concatenate(embeddings),
        target=np.array(target, np.int64),
        unreadable=tuple(unreadable),
        copies=tuple(copies),
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
