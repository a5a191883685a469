"""How often a classifier is right on a labeled data set, which it meets by the names of the classes."""

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hyperclip.errors import InputError
from hyperclip.evaluate.calibration import expected_calibration_error
from hyperclip.evaluate.metrics import (
    confusion_matrix,
    per_class_recall,
    topk_accuracy,
    wilson_interval,
)
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.labeled import LabeledImage, LabeledImages
from hyperclip.runtime.names import same_name_key
from hyperclip.runtime.predict import BATCH_SIZE, BadImage
from hyperclip.runtime.preprocess import decode, spec_before_crop
from hyperclip.runtime.session import default_n_threads

__all__ = ["Evaluation", "evaluate_classifier", "match_names"]

MAX_LISTED = 20

_Decoded = npt.NDArray[np.uint8] | BadImage


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a classifier answered on a labeled data set.

    Parameters
    ----------
    class_names : tuple of str
        Of the classifier, in the order of its logits.
    predicted, target : ndarray of shape (n_images,), int64
        Class indices of the pictures that could be read.
    confidence : ndarray of shape (n_images,), float32, in [0, 1]
        Probability of the predicted class, as the file's temperature gives it.
    n_correct5 : int
        How many pictures have their class among the five most probable.
    bad : tuple of BadImage
        Pictures that could not be read; they count nowhere else.
    """

    class_names: tuple[str, ...]
    predicted: npt.NDArray[np.int64]
    target: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float32]
    n_correct5: int
    bad: tuple[BadImage, ...]

    @property
    def n(self) -> int:
        """Number of pictures that were classified."""
        return len(self.target)

    @property
    def acc1(self) -> float:
        """Share of pictures whose most probable class is right."""
        return float((self.predicted == self.target).mean())

    @property
    def acc5(self) -> float:
        """Share of pictures with the right class among the five most probable."""
        return self.n_correct5 / self.n

    @property
    def confidence_interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of `acc1`."""
        return wilson_interval(int((self.predicted == self.target).sum()), self.n)

    @property
    def calibration_error(self) -> float:
        """Expected calibration error of the answers, in [0, 1]; fifteen bins."""
        return expected_calibration_error(self.confidence, self.predicted == self.target)

    @property
    def recall_by_class(self) -> npt.NDArray[np.float64]:
        """Share of each class's pictures that were recognized; NaN for classes without pictures."""
        return per_class_recall(self.predicted, self.target, len(self.class_names))

    @property
    def mean_per_class_recall(self) -> float:
        """Mean of `recall_by_class` over the classes that have pictures."""
        return float(np.nanmean(self.recall_by_class))

    @property
    def n_by_class(self) -> npt.NDArray[np.int64]:
        """Number of pictures of each class."""
        return np.bincount(self.target, minlength=len(self.class_names)).astype(np.int64)

    @property
    def confusion(self) -> npt.NDArray[np.int64]:
        """How often each class (row) was taken for each other (column)."""
        return confusion_matrix(self.predicted, self.target, len(self.class_names))


def match_names(data_names: Sequence[str], class_names: Sequence[str]) -> tuple[int, ...]:
    """Return the index in the classifier of each class of a data set, by name.

    Parameters
    ----------
    data_names, class_names : sequence of str
        Of the data set and of the classifier. Case and surrounding space do not count.

    Returns
    -------
    tuple of int
        One index for each data set name.

    Raises
    ------
    InputError
        If the classifier lacks a name of the data set; the sentence lists them.

    Examples
    --------
    >>> match_names(["Dog", "cat"], ["cat", "dog", "rocket"])
    (1, 0)
    """
    place = {same_name_key(name): index for index, name in enumerate(class_names)}
    lacking = [name for name in data_names if same_name_key(name) not in place]
    if lacking:
        more = f" and {len(lacking) - MAX_LISTED} more" if len(lacking) > MAX_LISTED else ""
        listed = ", ".join(repr(name[:40]) for name in lacking[:MAX_LISTED])
        raise InputError(
            f"The classifier lacks {len(lacking)} of the data set's {len(data_names)} names: {listed}{more}; "
            "expected all of them; specialize to the names of the data set or rename its classes."
        )
    return tuple(place[same_name_key(name)] for name in data_names)


def evaluate_classifier(
    classifier: Classifier,
    data: LabeledImages,
    *,
    on_progress: Callable[[int], None] | None = None,
    batch_size: int = BATCH_SIZE,
) -> Evaluation:
    """Classify every picture of a data set; memory does not grow with their number.

    Parameters
    ----------
    classifier : Classifier
        Knows at least the classes of the data set; what else it knows are distractors.
    data : LabeledImages
        From `hyperclip.runtime.sources.open_labeled`.
    on_progress : callable, optional
        Called with the number of pictures that were done since the last call.
    batch_size : int
        How many pictures go through the classifier at once.

    Returns
    -------
    Evaluation
        Predictions, targets and the figures that follow from them.

    Raises
    ------
    InputError
        If the names do not meet or no picture can be read.
    """
    class_names = classifier.metadata.class_names
    index_of = match_names(data.class_names, class_names)
    predicted: list[npt.NDArray[np.int64]] = []
    confidence: list[npt.NDArray[np.float32]] = []
    target: list[int] = []
    bad: list[BadImage] = []
    n_correct5 = 0
    for batch in _batches(data, classifier, batch_size):
        good = [
            (pixels, index_of[item.class_index]) for item, pixels in batch if not isinstance(pixels, BadImage)
        ]
        bad += [pixels for _, pixels in batch if isinstance(pixels, BadImage)]
        if good:
            logits, _ = classifier.run_pixels(np.stack([pixels for pixels, _ in good]))
            batch_target = [index for _, index in good]
            predicted.append(logits.argmax(axis=1).astype(np.int64))
            confidence.append(classifier.probabilities(logits).max(axis=1))
            target += batch_target
            n_correct5 += round(topk_accuracy(logits, batch_target, k=5) * len(good))
        if on_progress is not None:
            on_progress(len(batch))
    if not target:
        raise InputError(
            f"None of the {len(bad)} pictures of the data set could be read; expected at least one; "
            f"look at the first: {bad[0].reason if bad else 'there is none'}"
        )
    return Evaluation(
        class_names=class_names,
        predicted=np.concatenate(predicted),
        target=np.array(target, np.int64),
        confidence=np.concatenate(confidence),
        n_correct5=n_correct5,
        bad=tuple(bad),
    )


def _batches(
    data: LabeledImages, classifier: Classifier, batch_size: int
) -> Iterator[list[tuple[LabeledImage, _Decoded]]]:
    """Decode ahead in threads, one batch while another is being classified."""
    spec = classifier.metadata.images

    def read(item: LabeledImage) -> _Decoded:
        """Return the decoded picture, or what is wrong with it."""
        try:
            name = None if isinstance(item.source, Path) else item.shown_path
            return decode(item.source, spec=spec_before_crop(spec), name=name)
        except InputError as error:
            return BadImage(path=Path(item.shown_path), reason=str(error))

    items = iter(data)
    with ThreadPoolExecutor(max_workers=default_n_threads()) as pool:
        ahead: deque[tuple[LabeledImage, Future[_Decoded]]] = deque(
            (item, pool.submit(read, item)) for item in itertools.islice(items, 2 * batch_size)
        )
        while ahead:
            batch = [ahead.popleft() for _ in range(min(batch_size, len(ahead)))]
            ahead.extend((item, pool.submit(read, item)) for item in itertools.islice(items, len(batch)))
            yield [(item, future.result()) for item, future in batch]
