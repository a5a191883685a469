"""Predictions for many files, in order and in bounded memory; a bad file never costs the others."""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hyperclip.errors import InputError
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.preprocess import decode
from hyperclip.runtime.session import default_n_threads

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
    return _results(classifier, (Path(path) for path in paths), top=top, batch_size=batch_size)


def _results(
    classifier: Classifier, paths: Iterator[Path], *, top: int, batch_size: int
) -> Iterator[Prediction | BadImage]:
    """Decode ahead in threads, one batch while another is being classified."""
    spec = classifier.metadata.images

    def read(path: Path) -> npt.NDArray[np.uint8] | BadImage:
        """Return the decoded picture, or what is wrong with it."""
        try:
            return decode(path, spec=spec)
        except InputError as error:
            return BadImage(path=path, reason=str(error))

    with ThreadPoolExecutor(max_workers=default_n_threads()) as pool:
        ahead: deque[tuple[Path, Future[npt.NDArray[np.uint8] | BadImage]]] = deque(
            (path, pool.submit(read, path)) for path in itertools.islice(paths, 2 * batch_size)
        )
        while ahead:
            batch = [ahead.popleft() for _ in range(min(batch_size, len(ahead)))]
            ahead.extend((path, pool.submit(read, path)) for path in itertools.islice(paths, len(batch)))
            yield from _classify(classifier, [(path, future.result()) for path, future in batch], top=top)


def _classify(
    classifier: Classifier, items: list[tuple[Path, npt.NDArray[np.uint8] | BadImage]], *, top: int
) -> list[Prediction | BadImage]:
    """Classify the good pictures of a batch and put the bad ones between them."""
    pixels = [item for _, item in items if not isinstance(item, BadImage)]
    logits = classifier.run_pixels(np.stack(pixels))[0] if pixels else np.zeros((0, 1), np.float32)
    rows = iter(classifier.probabilities(logits))
    results: list[Prediction | BadImage] = []
    for path, item in items:
        if isinstance(item, BadImage):
            results.append(item)
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
