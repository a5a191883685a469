"""AdaSAP: channels really removed, with sharpness-aware retraining (needs PyTorch).

Of a bundle see `hyperclip.compress.adasap_bundle`. A classifier file's own answers teach: what the dense
one says of each picture and of its mirror image, and where its embedding lies. Labels, where there are
some, count as much as these answers; pictures without labels suffice.
"""

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hyperclip.bundle.read import Bundle
from hyperclip.compress.adasap_bundle import compress_bundle
from hyperclip.compress.calibration import square_pixels
from hyperclip.compress.contract import CompressionData, MethodReport, OnProgress
from hyperclip.compress.layer_rows import layer_rows
from hyperclip.compress.rewrite import rewritten_classifier
from hyperclip.errors import InputError, MissingExtraError
from hyperclip.evaluate.accuracy import match_names
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.model_file import parse_model

if TYPE_CHECKING:
    from hyperclip.compress.retrain import Lesson

__all__ = ["AdaSAPConfig", "compress"]

MIN_IMAGES = 8
FILE_PEAK, BUNDLE_PEAK = 0.02, 0.1  # learning rates


@dataclass(frozen=True, kw_only=True)
class AdaSAPConfig:
    """How much is removed, by what, and how it is trained.

    Parameters
    ----------
    channels : float
        Share of the removable channels to remove, in (0, 1).
    importance : {"magnitude", "taylor", "latency", "random"}
        Which channels go, see `hyperclip.train.channel_choice.PruningConfig`.
    sharpness : {"adasap", "asam", "sam", "none"}
        Which neighborhood of the weights must do well too, see `hyperclip.train.sam.SharpnessConfig`.
    radius, radius_min : float
        Of the neighborhood.
    normalization : {"neuron", "global"}
        Whether each neuron has a ball of its own.
    n_steps : int
        Of training; each takes two gradients unless ``sharpness`` is none.
    batch_size : int
        Pictures a step.
    learning_rate : float, optional
        Of stochastic gradient descent with momentum, at its peak. By default 0.02 for a classifier file and
        0.1 for a bundle.
    round_to : int
        Widths are multiples of it.
    seed : int
        Of the order of pictures, and of the drawn lists of names.
    n_contexts : int
        Of a bundle that generates parameters: how many lists of names to draw from its glossary.
    contexts : tuple of tuple of str
        Lists of names to take instead.

    Raises
    ------
    InputError
        If a value cannot be used.
    """

    channels: float = 0.5
    importance: str = "magnitude"
    sharpness: str = "adasap"
    radius: float = 0.02
    radius_min: float = 0.005
    normalization: str = "neuron"
    n_steps: int = 300
    batch_size: int = 16
    learning_rate: float | None = None
    round_to: int = 8
    seed: int = 0
    n_contexts: int = 16
    contexts: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.channels < 1:
            raise InputError(
                f"The share of channels is {self.channels}; expected a number between 0 and 1; try 0.5."
            )
        if self.n_steps < 1 or self.batch_size < 2:
            raise InputError(
                f"n_steps and batch_size are {self.n_steps} and {self.batch_size}; expected at least 1 and "
                "2; try 300 and 16."
            )
        if self.n_contexts < 1:
            raise InputError(f"n_contexts is {self.n_contexts}; expected at least 1; try 16.")
        if self.learning_rate is not None and not 0 < self.learning_rate < math.inf:
            raise InputError(f"learning_rate is {self.learning_rate}; expected a positive number; try 0.02.")


def compress(
    model: Classifier | Bundle,
    data: CompressionData,
    config: AdaSAPConfig,
    *,
    on_progress: OnProgress | None = None,
) -> tuple[Classifier | Bundle, MethodReport]:
    """Remove channels from an image encoder, and train what is left.

    Parameters
    ----------
    model : Classifier or Bundle
        Not changed. The width of the embedding stays; a classifier's head and names too. A bundle is still
        specialized to any names.
    data : CompressionData
        At least 8 pictures; some hundreds are better. Labels help where they are classes of the classifier; a
        bundle needs none.
    config : AdaSAPConfig
    on_progress : callable, optional

    Returns
    -------
    smaller : Classifier or Bundle
        Of the same kind, physically smaller.
    report : MethodReport

    Raises
    ------
    InputError
        If there are too few pictures, one cannot be read, or the channels cannot be followed.
    MissingExtraError
        If PyTorch or torch-pruning is not installed.
    BundleError
        If the model is damaged.
    """
    if len(data.images) < MIN_IMAGES:
        raise InputError(
            f"There are {len(data.images)} pictures to train on; expected at least {MIN_IMAGES}, better some "
            "hundreds; give more (--data)."
        )
    try:
        from hyperclip.compress.retrain import prune_and_retrain
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "torch_pruning", "timm"):
            raise
        raise MissingExtraError(
            f"The method adasap needs {error.name}, which is not installed; expected the extra `train`; run "
            "`pip install 'hyperclip[train]'`."
        ) from error
    if config.learning_rate is None:
        config = replace(config, learning_rate=BUNDLE_PEAK if isinstance(model, Bundle) else FILE_PEAK)
    if isinstance(model, Bundle):
        return compress_bundle(model, data, config, on_progress=on_progress)
    dense = parse_model(model.to_bytes(), where="The classifier")
    graph = prune_and_retrain(
        dense, _lesson(model, data), model.metadata.images, config, on_progress=on_progress
    )
    what = "without labels" if data.target is None else "with labels"
    change = (
        f"Pruned: {config.channels:.0%} of the removable channels ({config.importance}), then trained "
        f"{config.n_steps} steps on {len(data.images)} pictures {what} ({config.sharpness})."
    )
    side = model.metadata.images.size_px
    report = MethodReport(
        method="adasap",
        settings=asdict(config),
        layers=layer_rows(
            dense, graph, {"images": np.zeros((1, side, side, 3), np.uint8)}, part="classifier"
        ),
        n_calibration_images=len(data.images),
        notes=(
            "Channels are gone, not zero: the file, its memory and its time shrink in every runtime.",
            f"It was trained on {len(data.images)} pictures; the fewer they were and the less they are like "
            "yours, the more it forgot.",
        ),
    )
    return rewritten_classifier(model, graph, change=change), report


def _lesson(classifier: Classifier, data: CompressionData) -> "Lesson":
    """Pictures, and what the dense classifier says of them and of their mirror images."""
    from hyperclip.compress.retrain import Lesson

    pixels = square_pixels(data.images, classifier.metadata.images)
    answers, embeddings = [], []
    for view in (pixels, pixels[:, :, ::-1]):
        parts = [
            classifier.run_pixels(np.ascontiguousarray(view[i : i + 16])) for i in range(0, len(view), 16)
        ]
        answers.append(classifier.probabilities(np.concatenate([logits for logits, _ in parts])))
        embeddings.append(np.concatenate([embedding for _, embedding in parts]))
    target = None
    if data.target is not None:
        places = np.array(match_names(data.class_names, classifier.metadata.class_names), np.int64)
        target = places[data.target]
    return Lesson(pixels, np.stack(answers), np.stack(embeddings), target)
