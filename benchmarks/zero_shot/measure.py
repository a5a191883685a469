"""One labeled set: the model as an installed user has it, and the baseline, on the same pictures.

Legend: B images, K concepts, C class names, E text dim.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from benchmarks.intervals import paired_difference
from benchmarks.zero_shot.baseline import (
    TextSide,
    conse_scores,
    mixture_scores,
    softmax,
    spread,
)
from benchmarks.zero_shot.trunk import Trunk, trunk_size

from hyperclip.evaluate.accuracy import evaluate_classifier
from hyperclip.evaluate.metrics import (
    confusion_matrix,
    per_class_recall,
    topk_accuracy,
    wilson_interval,
)
from hyperclip.runtime.labeled import LabeledImages
from hyperclip.runtime.specialize import Model

__all__ = [
    "BASELINES",
    "MAIN_BASELINE",
    "baseline_scores",
    "chosen_wnids",
    "compact_rows",
    "measure_set",
    "summary",
]

Floats = npt.NDArray[np.float32]
BASELINES = {  # name: (text vectors, beta; None for ConSE)
    "names_conse": ("names", None),
    "gloss_conse": ("gloss", None),
    "gloss_mixture_0": ("gloss", 0.0),
    "gloss_mixture_half": ("gloss", 0.5),
    "clip_mixture_0": ("clip", 0.0),
    "clip_mixture_half": ("clip", 0.5),
    "clip_mixture_1": ("clip", 1.0),
}
MAIN_BASELINE = "clip_mixture_0"  # beta = 0 unless said: starting-point card, section 3


def chosen_wnids(model: Model, class_names: tuple[str, ...]) -> list[str | None]:
    """Return the senses that the bundle's glossary chooses for a list: the baseline reads the same."""
    return [meaning.wnid for meaning in model.texts(class_names).meanings]


def baseline_scores(
    logits_BK: Floats, text: TextSide, class_names: tuple[str, ...], wnids: list[str | None]
) -> dict[str, Floats]:
    """Return the scores (B, C) of every baseline for the trunk's logits of a set of pictures."""
    shares_BK = softmax(logits_BK).astype(np.float32)
    plain_CE, gloss_CE = text.names(class_names), text.vectors(class_names, wnids)
    vectors = {
        "names": (plain_CE, text.concept_names_KE),
        "gloss": (gloss_CE, text.concepts_KE),
        "clip": (text.to_clip(gloss_CE), text.clip_concepts_KF),
    }
    scores: dict[str, Floats] = {}
    for name, (kind, beta) in BASELINES.items():
        names_CE, concepts_KE = vectors[kind]
        if beta is None:
            scores[name] = conse_scores(shares_BK, concepts_KE, names_CE)
        else:
            scores[name] = mixture_scores(shares_BK, spread(names_CE, concepts_KE), beta=beta)
    return scores


def summary(
    predicted: npt.NDArray[np.int64], target: npt.NDArray[np.int64], names: tuple[str, ...]
) -> dict[str, Any]:
    """Return accuracy with its interval, mean recall and the recall of each class."""
    recall = per_class_recall(predicted, target, len(names))
    n_correct = int((predicted == target).sum())
    return {
        "acc1": n_correct / len(target),
        "acc1_interval": wilson_interval(n_correct, len(target)),
        "mean_per_class_recall": float(np.nanmean(recall)),
        "recall_by_class": dict(zip(names, recall.tolist(), strict=True)),
    }


def measure_set(
    model: Model,
    images: LabeledImages,
    *,
    image_size_px: int,
    text: TextSide,
    trunk: Trunk,
    on_progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Measure the model and the baselines on one set.

    Parameters
    ----------
    model : Model
    images : LabeledImages
        Every picture must be readable.
    image_size_px : int
        One of the model's sizes; the trunk gets the same, or the next larger that it takes.
    text, trunk : TextSide, Trunk
        The two halves of the baseline.
    on_progress : callable, optional
        Called with the number of pictures done since the last call; each counts twice.

    Returns
    -------
    dict
        Accuracies are fractions of 1; ``difference`` is model minus baseline, picture by picture.
    """
    names = images.class_names
    started = time.monotonic()
    classifier = model.specialize(names, image_size_px=image_size_px)
    evaluation = evaluate_classifier(classifier, images, on_progress=on_progress)
    if evaluation.bad:
        raise ValueError(
            f"{len(evaluation.bad)} pictures cannot be read, the first: {evaluation.bad[0].reason}"
        )
    seconds_model = time.monotonic() - started
    started = time.monotonic()
    logits_BK = trunk.logits(
        (_bytes(item.source) for item in images), size_px=trunk_size(image_size_px), on_progress=on_progress
    )
    scores = baseline_scores(logits_BK, text, names, chosen_wnids(model, names))
    own = summary(evaluation.predicted, evaluation.target, names)
    is_right = evaluation.predicted == evaluation.target
    baselines, differences = {}, {}
    for name, values in scores.items():
        predicted = values.argmax(axis=1)
        baselines[name] = summary(predicted, evaluation.target, names)
        baselines[name]["acc5"] = topk_accuracy(values, evaluation.target, k=5)
        if name != MAIN_BASELINE:
            del baselines[name]["recall_by_class"]
        differences[name] = paired_difference(is_right, predicted == evaluation.target)._asdict()
    return {
        "n_images": len(evaluation.target),
        "n_classes": len(names),
        "image_size_px": image_size_px,
        "baseline_size_px": trunk_size(image_size_px),
        "chance": 1 / len(names),
        "model": {**own, "acc5": evaluation.acc5, "seconds": seconds_model},
        "calibration": {
            "temperature": classifier.metadata.temperature or 1.0,
            "error": evaluation.calibration_error,
            "mean_confidence": float(evaluation.confidence.mean()),
        },
        "confusion": compact_rows(confusion_matrix(evaluation.predicted, evaluation.target, len(names))),
        "baseline": baselines,
        "baseline_seconds": time.monotonic() - started,
        "difference": differences,
        "meanings": _meanings(model, names),
    }


def compact_rows(matrix: npt.NDArray[np.int64]) -> list[str]:
    """Return a matrix of counts as one line of text a row: 40,000 numbers need not be as many lines."""
    return [" ".join(map(str, row)) for row in matrix.tolist()]


def _meanings(model: Model, names: tuple[str, ...]) -> Mapping[str, str | None]:
    """Return what was read into each name."""
    return {name: meaning.text for name, meaning in zip(names, model.texts(names).meanings, strict=True)}


def _bytes(source: object) -> bytes:
    """Return the content of a picture of a Parquet file."""
    assert isinstance(source, bytes)
    return source
