"""The bundled model on neighbor tasks: made for the task, for none, for another task, for all names.

Legend: N pictures, T tasks, C classes of a task, D embedding dim, P generated parameters.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from benchmarks.conditioning.swap_test import relative_variance, summarize
from benchmarks.conditioning.tasks import Classes, swap_partners

from hyperclip.bundle import MIXTURE_FLOOR
from hyperclip.runtime.classifier import Classifier, softmax
from hyperclip.runtime.specialize import Model

__all__ = ["head_logits", "measure_bundled", "read_pixels"]

BATCH_SIZE = 20


def read_pixels(path: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Decode a set of pictures of equal size: shape (N, H, W, 3), uint8, and their labels (N,)."""
    import io

    import pyarrow.parquet as pq
    from PIL import Image

    table = pq.read_table(path, columns=["image", "label"])
    pixels = [
        np.asarray(Image.open(io.BytesIO(row["bytes"])).convert("RGB")) for row in table["image"].to_pylist()
    ]
    return np.stack(pixels), np.asarray(table["label"].to_numpy(), np.int64)


def head_logits(
    embedding_ND: npt.NDArray[np.float32],
    head_CD: npt.NDArray[np.float32],
    bias_C: npt.NDArray[np.float32],
    *,
    kind: str,
) -> npt.NDArray[np.float64]:
    """Return what a classifier file makes of embeddings, shape (N, C): see `hyperclip.bundle.HeadSpec`."""
    if kind == "linear":
        return np.asarray(embedding_ND.astype(np.float64) @ head_CD.T + bias_C)
    mixture_CD, linear_CD = np.split(head_CD, 2, axis=1) if kind == "mixture_plus_linear" else (head_CD, None)
    shares_ND = softmax(embedding_ND.astype(np.float64))
    logits_NC = np.log(shares_ND @ mixture_CD.T + MIXTURE_FLOOR) + bias_C
    if linear_CD is not None:
        logits_NC += embedding_ND.astype(np.float64) @ linear_CD.T
    return np.asarray(logits_NC)


def measure_bundled(
    model: Model,
    classes: Classes,
    tasks: npt.NDArray[np.int64],
    pixels: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    *,
    on_progress: Callable[[str], None] = lambda message: None,
) -> dict[str, Any]:
    """Run the swap test.

    Parameters
    ----------
    model : Model
    classes : Classes
        Of the labels.
    tasks : ndarray of shape (T, C), int64
        At least two.
    pixels, labels : ndarray of shape (N, H, W, 3), uint8, and (N,), int64

    Returns
    -------
    dict
        `summarize` of the accuracies, and how the generated parameters vary over the tasks.
    """
    names = list(classes.names)
    kind = model.manifest.head.kind
    on_progress("embedding all pictures, neutral")
    neutral_ND = _embed(model.specialize(names[:2], context="neutral"), pixels)
    on_progress("embedding all pictures, made for all names")
    broad_ND = _embed(model.specialize(names[:2], context=names), pixels)
    partners = swap_partners(tasks)
    found: dict[str, list[float]] = {"own": [], "neutral": [], "swapped": [], "all_names": []}
    generated = []
    for index, task in enumerate(tasks):
        asked = [names[label] for label in task]
        other = [names[label] for label in tasks[partners[index]]]
        rows = np.flatnonzero(np.isin(labels, task))
        target = np.array([task.tolist().index(label) for label in labels[rows]])
        own = model.generate(model.texts(asked))
        generated.append(own.parameters)
        for context, embedding_ND in (("neutral", neutral_ND), ("all_names", broad_ND)):
            logits = head_logits(embedding_ND[rows], own.head, own.bias, kind=kind)
            found[context].append(_share_right(logits, target))
        for context, classifier in (
            ("own", model.specialize(asked)),
            ("swapped", model.specialize(asked, context=other)),
        ):
            found[context].append(_share_right(_logits(classifier, pixels[rows]), target))
        if (index + 1) % 10 == 0:
            means = ", ".join(f"{context} {np.mean(values):.3f}" for context, values in found.items())
            on_progress(f"{index + 1} of {len(tasks)} tasks: {means}")
    final_TP = np.stack(generated).astype(np.float64)
    changes_TP = final_TP - model.neutral_parameters
    return {
        **summarize({context: np.array(values) for context, values in found.items()}),
        "n_images": len(pixels),
        "image_size_px": model.manifest.images.size_px,
        "tasks": tasks.tolist(),
        "swapped_with": partners.tolist(),
        "n_generated": model.manifest.n_generated,
        "change_relative_variance": relative_variance(changes_TP),
        "parameter_relative_variance": relative_variance(final_TP),
        "change_rms": float(np.sqrt(np.square(changes_TP).mean())) if changes_TP.size else None,
        "neutral_rms": float(np.sqrt(np.square(model.neutral_parameters).mean())) if final_TP.size else None,
    }


def _run(classifier: Classifier, pixels: npt.NDArray[np.uint8], output: int) -> npt.NDArray[np.float32]:
    """Run pictures in batches; the file itself enlarges them."""
    parts = [
        classifier.run_pixels(pixels[start : start + BATCH_SIZE])[output]
        for start in range(0, len(pixels), BATCH_SIZE)
    ]
    return np.concatenate(parts)


def _logits(classifier: Classifier, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return _run(classifier, pixels, 0)


def _embed(classifier: Classifier, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return _run(classifier, pixels, 1)


def _share_right(logits: npt.NDArray[np.floating], target: npt.NDArray[np.int64]) -> float:
    return float((logits.argmax(axis=1) == target).mean())
