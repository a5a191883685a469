"""Predictions for many files, in order and in bounded memory; a bad file never costs the others."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hyperclip.errors import InputError
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.decode_ahead import Decoded, decode_batches

if TYPE_CHECKING:
    from hyperclip.runtime.preprocess import ImageSource

__all__ = ["BadImage", "Prediction", "predict_files"]

BATCH_SIZE = 16


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The most probable classes of one picture, best first."""

    path: Path
    class_names: tuple[str, ...]
    probabilities: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class BadImage:
    """A file that could not be read as a picture, and the sentence that says why."""

    path: Path
    reason: str


def predict_files(
    classifier: Classifier, paths: Iterable[str | Path], *, top: int = 3, batch_size: int = BATCH_SIZE
) -> Iterator[Prediction | BadImage]:
    """Yield one result a file, in the order of the files.

    Parameters
    ----------
    classifier : Classifier
        What to ask.
    paths : iterable of str or Path
        Picture files; read lazily, so that millions are fine.
    top : int
        How many classes to give for each picture; all, where there are fewer.
    batch_size : int
        How many pictures go through the classifier at once.

    Yields
    ------
    Prediction or BadImage
        `BadImage` for a file that is missing, damaged or no picture; the rest goes on.

    Raises
    ------
    InputError
        If `top` or `batch_size` is not positive.
    """
    for name, value in (("top", top), ("batch_size", batch_size)):
        if value < 1:
            raise InputError(f"{name} is {value}; expected a positive number; try 3.")
    batches = decode_batches(
        (Path(path) for path in paths), spec=classifier.metadata.images, batch_size=batch_size
    )
    return (result for batch in batches for result in _classify(classifier, batch, top=top))


def _classify(
    classifier: Classifier, batch: "list[tuple[ImageSource, Decoded]]", *, top: int
) -> list[Prediction | BadImage]:
    """Classify the good pictures of a batch and put the bad ones between them."""
    good = [pixels for _, pixels in batch if not isinstance(pixels, InputError)]
    logits = classifier.run_pixels(np.stack(good))[0] if good else np.zeros((0, 1), np.float32)
    rows = iter(classifier.probabilities(logits))
    results: list[Prediction | BadImage] = []
    for path, pixels in batch:
        assert isinstance(path, Path)
        if isinstance(pixels, InputError):
            results.append(BadImage(path=path, reason=str(pixels)))
            continue
        row = next(rows)
        best = np.argsort(-row, kind="stable")[:top]
        results.append(
            Prediction(
                path=path,
                class_names=tuple(str(classifier.classes_[index]) for index in best),
                probabilities=tuple(float(row[index]) for index in best),
            )
        )
    return results
