"""Mean recall of the names of overlapping lists: the model, parts of it, and baselines without training.

Legend: N drawn pictures of a list, C names of a list, D embedding dim, K concepts.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
from benchmarks.conditioning.bundled import head_logits
from benchmarks.intervals import bootstrap_mean, paired_difference
from benchmarks.overlap.lists import OverlapList
from benchmarks.zero_shot.baseline import TextSide
from benchmarks.zero_shot.measure import baseline_scores, chosen_wnids

from hyperclip.evaluate.metrics import per_class_recall
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.specialize import Model
from hyperclip.runtime.texts import ClassTexts

__all__ = [
    "BASELINES",
    "METHODS",
    "PAIRS",
    "heads_alone",
    "meanings_alone",
    "measure_list",
    "run_pixels",
    "summarize",
]

BASELINES = {
    "conse": "gloss_conse",
    "mixture_0": "clip_mixture_0",
    "mixture_half": "clip_mixture_half",
    "mixture_1": "clip_mixture_1",
}
METHODS = ("own_file", "neutral", "meanings_alone", "heads_alone", *BASELINES)
PAIRS = (  # what is compared list by list
    ("own_file", "mixture_0"),
    ("own_file", "conse"),
    ("own_file", "neutral"),
    ("neutral", "meanings_alone"),
    ("neutral", "heads_alone"),
)
BATCH_SIZE = 20

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]


def meanings_alone(model: Model, names: Sequence[str]) -> ClassTexts:
    """Return the texts of a list whose meanings were chosen for each name as if it were alone."""
    alone = [model.texts([name]) for name in names]
    per_class = [
        field.name
        for field in dataclasses.fields(ClassTexts)
        if field.name not in ("templates",)  # all others hold one entry a class
    ]
    return dataclasses.replace(
        alone[0],
        **{name: tuple(chain.from_iterable(getattr(one, name) for one in alone)) for name in per_class},
    )


def heads_alone(model: Model, names: Sequence[str]) -> tuple[Floats, Floats]:
    """Return head (C, D) and bias (C,) of names each of which was specialized as if it were alone."""
    alone = [model.generate(model.texts([name])) for name in names]
    return np.concatenate([one.head for one in alone]), np.concatenate([one.bias for one in alone])


def measure_list(
    one: OverlapList,
    target_N: npt.NDArray[np.int64],
    *,
    model: Model,
    pixels: Pixels,
    image_size_px: int,
    neutral_ND: Floats,
    concept_logits_NK: Floats,
    text: TextSide,
) -> dict[str, npt.NDArray[np.float64]]:
    """Return the recall of each name, shape (C,), by every method of `METHODS`.

    Parameters
    ----------
    one : OverlapList
    target_N : ndarray of shape (N,), int64
        Index of each picture's name.
    model : Model
    pixels : ndarray of shape (N, height, width, 3), uint8
    image_size_px : int
        At which the classifier file looks at them.
    neutral_ND : ndarray of shape (N, D), float32
        What the neutral encoder makes of the pictures.
    concept_logits_NK : ndarray of shape (N, K), float32
        What the untouched trunk makes of them.
    text : TextSide
    """
    names, kind = one.names, model.manifest.head.kind
    scores: dict[str, npt.NDArray[np.floating]] = {
        "own_file": run_pixels(model.specialize(names, image_size_px=image_size_px), pixels)[0]
    }
    own, alone = model.generate(model.texts(names)), model.generate(meanings_alone(model, names))
    heads = {
        "neutral": (own.head, own.bias),
        "meanings_alone": (alone.head, alone.bias),
        "heads_alone": heads_alone(model, names),
    }
    for method, (head_CD, bias_C) in heads.items():
        scores[method] = head_logits(neutral_ND, head_CD, bias_C, kind=kind)
    baselines = baseline_scores(concept_logits_NK, text, names, chosen_wnids(model, names))
    scores.update({method: baselines[name] for method, name in BASELINES.items()})
    return {
        method: per_class_recall(scores[method].argmax(axis=1), target_N, len(names)) for method in METHODS
    }


def summarize(recalls: Sequence[Mapping[str, npt.NDArray[np.float64]]]) -> dict[str, Any]:
    """Return the means over lists with intervals, of all names and of the first, and paired differences."""
    mean = {method: np.array([100 * found[method].mean() for found in recalls]) for method in METHODS}
    first = {method: np.array([found[method][0] for found in recalls]) for method in METHODS}
    return {
        "n_lists": len(recalls),
        "chance": float(np.mean([1 / len(found["own_file"]) for found in recalls])),
        "mean_recall": {method: bootstrap_mean(mean[method] / 100)._asdict() for method in METHODS},
        "standard_error": {
            method: float(mean[method].std(ddof=1) / 100 / len(recalls) ** 0.5) if len(recalls) > 1 else None
            for method in METHODS
        },
        "first_name_recall": {method: bootstrap_mean(first[method])._asdict() for method in METHODS},
        "differences": {
            f"{one} - {other}": paired_difference(mean[one] / 100, mean[other] / 100)._asdict()
            for one, other in PAIRS
        },
        "mean_recall_by_list_percent": {
            method: " ".join(f"{value:.1f}" for value in mean[method]) for method in METHODS
        },
    }


def run_pixels(
    classifier: Classifier, pixels: Pixels, *, on_progress: Callable[[int], None] = lambda n: None
) -> tuple[Floats, Floats]:
    """Return logits and embeddings, in batches; the file itself enlarges the pictures."""
    parts = []
    for start in range(0, len(pixels), BATCH_SIZE):
        parts.append(classifier.run_pixels(pixels[start : start + BATCH_SIZE]))
        on_progress(len(parts[-1][0]))
    return np.concatenate([logits for logits, _ in parts]), np.concatenate([found for _, found in parts])
