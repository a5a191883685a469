"""What came of it: bytes, multiply-adds, time, accuracy, before and after.

Legend: N pictures, C classes.
"""

import gzip
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from hyperclip.bundle.read import Bundle
from hyperclip.compress.calibration import spec_for_encoder
from hyperclip.compress.contract import OnProgress
from hyperclip.compress.data import Pictures
from hyperclip.compress.macs import total_multiply_adds
from hyperclip.compress.timing import Latency, alternating_times
from hyperclip.evaluate.accuracy import match_names
from hyperclip.evaluate.calibration import expected_calibration_error
from hyperclip.evaluate.corruptions import corrupt
from hyperclip.evaluate.metrics import wilson_interval
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.preprocess import decode, spec_before_crop
from hyperclip.runtime.specialize import Model

__all__ = ["EVERYDAY", "Comparison", "Side", "as_classifiers", "compare", "latency_ratio"]

BATCH_SIZE = 16
GZIP_LEVEL = 6
N_ROUNDS = 15
GRAPHS = ("encoder.onnx", "specializer.onnx", "hypernetwork.onnx")
EVERYDAY = (
    "cat", "dog", "bird", "car", "bicycle", "boat", "chair", "table", "cup", "bottle", "book", "flower",
    "tree", "house", "person", "fruit", "bread", "shoe", "clock", "keyboard",
)  # fmt: skip
"""What a bundle is specialized to where the pictures have no labels."""

Pixels = npt.NDArray[np.uint8]
Logits = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two models, in figures. None is what could not be measured.

    Parameters
    ----------
    size_bytes, gzip_bytes : int
        Of the classifier file, or of the graphs in a bundle; gzip at level 6.
    multiply_adds : int
        For one picture, in layers with stored weights; zeros count, as ordinary kernels multiply by them.
    n_parameters, n_nonzero : int
        Of all stored floating-point numbers.
    accuracy : float or None
        Top-1, share of the clean pictures.
    accuracy_interval : tuple of float or None
        Wilson's 95 % interval.
    calibration_error : float or None
        Expected calibration error on the clean pictures, fifteen bins.
    corrupted : mapping of str to float
        Kind of corruption to top-1 accuracy, or, without labels, to the agreement with the dense model on
        the same corrupted pictures.
    """

    size_bytes: int
    gzip_bytes: int
    multiply_adds: int
    n_parameters: int
    n_nonzero: int
    accuracy: float | None = None
    accuracy_interval: tuple[float, float] | None = None
    calibration_error: float | None = None
    corrupted: Mapping[str, float] = field(default_factory=dict)

    @property
    def mean_corrupted(self) -> float | None:
        """Mean over the kinds of corruption."""
        return statistics.fmean(self.corrupted.values()) if self.corrupted else None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Both models in figures.

    Parameters
    ----------
    before, after : Side
    latency : Latency
    agreement : float or None
        Share of the clean pictures to which both give the same class.
    n_images, n_corrupted : int
        Clean pictures, and pictures that each corruption was put on.
    severity : int
        Of the corruptions.
    has_labels : bool
        Whether `corrupted` is accuracy; else it is agreement.
    unit : str
        What `n_images` counts: pictures, or texts of a transformer.
    """

    before: Side
    after: Side
    latency: Latency
    agreement: float | None = None
    n_images: int = 0
    n_corrupted: int = 0
    severity: int = 3
    has_labels: bool = False
    unit: str = "pictures"

    def to_values(self) -> dict[str, Any]:
        """Return plain dicts and lists for JSON."""
        values = asdict(self)
        for name, side in (("before", self.before), ("after", self.after)):
            values[name]["mean_corrupted"] = side.mean_corrupted
        return values


def as_classifiers(
    before: Classifier | Bundle,
    after: Classifier | Bundle,
    class_names: Sequence[str],
    *,
    image_size_px: int | None = None,
) -> tuple[Classifier, Classifier]:
    """Return classifiers of one thread to judge models by; bundles are specialized to the same names."""
    found = []
    for model in (before, after):
        if isinstance(model, Bundle):
            names = list(class_names) or list(EVERYDAY)
            found.append(Model(model, n_threads=1).specialize(names, image_size_px=image_size_px))
        else:
            found.append(Classifier(model.to_bytes(), n_threads=1))
    return found[0], found[1]


def compare(
    before: Classifier | Bundle,
    after: Classifier | Bundle,
    pictures: Pictures | None,
    *,
    corruptions: Sequence[str],
    n_corrupted: int | None,
    severity: int = 3,
    image_size_px: int | None = None,
    rng: np.random.Generator,
    on_progress: OnProgress | None = None,
) -> Comparison:
    """Measure two models side by side.

    Parameters
    ----------
    before, after : Classifier or Bundle
        Both of the same kind; `after` may have other channels.
    pictures : Pictures or None
        To judge by; with a `target`, accuracy is measured, without one only agreement.
    corruptions : sequence of str
        Kinds, keys of `hyperclip.evaluate.corruptions.CORRUPTIONS`.
    n_corrupted : int or None
        How many of the pictures to corrupt, drawn at random; None for all.
    severity : int
        1 to 5.
    image_size_px : int, optional
        For bundles: another size than the usual one.
    rng : numpy.random.Generator
        For the draw and the corruptions; both models see the same pictures.
    on_progress : callable, optional
        See `hyperclip.compress.contract.OnProgress`; a step is a picture through both models.

    Raises
    ------
    InputError
        If a picture cannot be read, or labels and classes do not meet by name.
    """
    has_labels = pictures is not None and len(pictures) > 0 and pictures.target is not None
    names = pictures.class_names if pictures is not None else ()
    both = as_classifiers(before, after, names, image_size_px=image_size_px)
    sides: list[dict[str, Any]] = [
        _sizes(model, classifier, image_size_px)
        for model, classifier in zip((before, after), both, strict=True)
    ]
    agreement, n_chosen = None, 0
    if pictures is not None and len(pictures):
        target = None
        if pictures.target is not None:
            target = np.array(match_names(names, both[0].metadata.class_names))[pictures.target]
        chosen = np.sort(rng.permutation(len(pictures))[:n_corrupted])
        n_chosen = len(chosen) if corruptions else 0
        n_steps = len(pictures) + n_chosen * len(corruptions)
        counter = _Counter(n_steps, on_progress)
        clean = _logits(both, pictures, None, counter)
        agreement = float((clean[0].argmax(axis=1) == clean[1].argmax(axis=1)).mean())
        if target is not None:
            for side, classifier, logits in zip(sides, both, clean, strict=True):
                side |= _accuracy(classifier, logits, target)
        some = pictures.take(chosen)
        for kind in corruptions:
            seeds = rng.integers(0, 2**32, len(some))

            def spoil(image: Pixels, place: int, kind: str = kind, seeds: Any = seeds) -> Pixels:
                """Corrupt one picture the same way for both models."""
                return corrupt(image, kind, severity, rng=np.random.default_rng(int(seeds[place])))

            logits_of_both = _logits(both, some, spoil, counter)
            answers = [logits.argmax(axis=1) for logits in logits_of_both]
            right = answers[0] if target is None else target[chosen]
            for side, answer in zip(sides, answers, strict=True):
                side.setdefault("corrupted", {})[kind] = float((answer == right).mean())
    return Comparison(
        before=Side(**sides[0]),
        after=Side(**sides[1]),
        latency=latency_ratio(*both),
        agreement=agreement,
        n_images=0 if pictures is None else len(pictures),
        n_corrupted=n_chosen,
        severity=severity,
        has_labels=has_labels,
    )


class _Counter:
    """Counts pictures for whoever wants to know."""

    def __init__(self, n_total: int, on_progress: OnProgress | None) -> None:
        self._n_done, self._n_total, self._on_progress = 0, n_total, on_progress

    def advance(self, n_steps: int) -> None:
        """Count some as done."""
        self._n_done += n_steps
        if self._on_progress is not None:
            self._on_progress(self._n_done, self._n_total, "pictures")


def _logits(
    both: tuple[Classifier, Classifier],
    pictures: Pictures,
    change: Callable[[Pixels, int], Pixels] | None,
    counter: _Counter,
) -> tuple[Logits, Logits]:
    """Run both classifiers on the same pictures, decoded once; no more than a batch is held."""
    spec = spec_before_crop(both[0].metadata.images)
    found: tuple[list[Logits], list[Logits]] = ([], [])
    for start in range(0, len(pictures), BATCH_SIZE):
        batch = []
        for place, image in enumerate(pictures.images[start : start + BATCH_SIZE], start):
            name = f"Picture {place}" if isinstance(image, bytes | np.ndarray) else None
            pixels = decode(image, spec=spec, name=name)
            batch.append(pixels if change is None else change(pixels, place))
        for classifier, logits in zip(both, found, strict=True):
            logits.append(classifier.run_pixels(np.stack(batch))[0])
        counter.advance(len(batch))
    return np.concatenate(found[0]), np.concatenate(found[1])


def _accuracy(classifier: Classifier, logits: Logits, target: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Return accuracy, its interval and the calibration error."""
    is_right = logits.argmax(axis=1) == target
    confidence = np.clip(classifier.probabilities(logits).max(axis=1), 0, 1)
    return {
        "accuracy": float(is_right.mean()),
        "accuracy_interval": wilson_interval(int(is_right.sum()), len(target)),
        "calibration_error": expected_calibration_error(confidence, is_right),
    }


def _sizes(model: Classifier | Bundle, classifier: Classifier, size_px: int | None) -> dict[str, int]:
    """Return bytes, parameters and multiply-adds of a model."""
    if isinstance(model, Bundle):
        files = [model.files[name] for name in GRAPHS if name in model.files]
        side = spec_for_encoder(model.manifest.images, size_px).size_px
    else:
        files = [model.to_bytes()]
        side = model.metadata.images.size_px
    tensors = [
        tensor
        for data in files
        for tensor in onnx.ModelProto.FromString(data).graph.initializer
        if tensor.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    ]
    arrays = [onnx.numpy_helper.to_array(tensor) for tensor in tensors]
    blank = {"images": np.zeros((1, side, side, 3), np.uint8)}
    return {
        "size_bytes": sum(len(data) for data in files),
        "gzip_bytes": sum(len(gzip.compress(data, GZIP_LEVEL, mtime=0)) for data in files),
        "multiply_adds": total_multiply_adds(onnx.ModelProto.FromString(classifier.to_bytes()), blank),
        "n_parameters": sum(array.size for array in arrays),
        "n_nonzero": sum(int(np.count_nonzero(array)) for array in arrays),
    }


def latency_ratio(before: Classifier, after: Classifier, *, n_rounds: int = N_ROUNDS) -> Latency:
    """Time one picture of random pixels through both; see `alternating_times`."""
    side = before.metadata.images.size_px
    pixels = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
    return alternating_times(
        lambda: before.run_pixels(pixels), lambda: after.run_pixels(pixels), n_rounds=n_rounds
    )
