"""AdaSAP on a classifier file: channels really removed, with sharpness-aware retraining (needs PyTorch).

The file's own answers teach: what the dense classifier says of each picture and of its mirror image, and
where its embedding lies. Labels, where there are some, count as much as these answers; pictures without
labels suffice.
"""

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hyperclip.bundle.read import Bundle
from hyperclip.compress.calibration import picture_batches
from hyperclip.compress.contract import CompressionData, Layer, MethodReport, OnProgress
from hyperclip.compress.macs import multiply_adds, weight_nodes
from hyperclip.compress.rewrite import rewritten_classifier
from hyperclip.compress.weight_layers import ancestors
from hyperclip.errors import InputError, MissingExtraError
from hyperclip.evaluate.accuracy import match_names
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.model_file import parse_model

if TYPE_CHECKING:
    import onnx

    from hyperclip.compress.retrain import Lesson

__all__ = ["AdaSAPConfig", "compress"]

EMBEDDING = "embedding"
MIN_IMAGES = 8
Pixels = npt.NDArray[np.uint8]


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
    learning_rate : float
        Of stochastic gradient descent with momentum, at its peak.
    round_to : int
        Widths are multiples of it.
    seed : int
        Of the order of pictures.

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
    learning_rate: float = 0.02
    round_to: int = 8
    seed: int = 0

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
        if not 0 < self.learning_rate < math.inf:
            raise InputError(f"learning_rate is {self.learning_rate}; expected a positive number; try 0.02.")


def compress(
    model: Classifier | Bundle,
    data: CompressionData,
    config: AdaSAPConfig,
    *,
    on_progress: OnProgress | None = None,
) -> tuple[Classifier, MethodReport]:
    """Remove channels from a classifier's image encoder, and train what is left.

    Parameters
    ----------
    model : Classifier
        Not changed. Its head, its names and the width of its embedding stay.
    data : CompressionData
        At least 8 pictures; some hundreds are better. Labels help where they are classes of the classifier.
    config : AdaSAPConfig
    on_progress : callable, optional

    Returns
    -------
    classifier : Classifier
        Physically smaller.
    report : MethodReport

    Raises
    ------
    InputError
        If there are too few pictures, one cannot be read, or the channels cannot be followed; for a bundle.
    MissingExtraError
        If PyTorch or torch-pruning is not installed.
    BundleError
        If the model is damaged.
    """
    if isinstance(model, Bundle):
        raise InputError(
            "The model is a bundle, whose hypernetwork must learn with its encoder; expected a classifier "
            "file; specialize it first, or train the model again with the recipe's section [pruning]."
        )
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
    dense = parse_model(model.to_bytes(), where="The classifier")
    graph = prune_and_retrain(
        dense, _lesson(model, data), model.metadata.images, config, on_progress=on_progress
    )
    what = "without labels" if data.target is None else "with labels"
    change = (
        f"Pruned: {config.channels:.0%} of the removable channels ({config.importance}), then trained "
        f"{config.n_steps} steps on {len(data.images)} pictures {what} ({config.sharpness})."
    )
    report = MethodReport(
        method="adasap",
        settings=asdict(config),
        layers=_layers(dense, graph, model.metadata.images.size_px),
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

    spec = classifier.metadata.images
    pixels: Pixels = np.concatenate(
        [np.asarray(feed["images"], np.uint8) for feed in picture_batches(data.images, spec)]
    )
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


def _layers(before: "onnx.ModelProto", after: "onnx.ModelProto", size_px: int) -> tuple[Layer, ...]:
    """Each layer of the encoder, before and after."""
    feed = {"images": np.zeros((1, size_px, size_px, 3), np.uint8)}
    inside = ancestors(before, EMBEDDING)
    places = [place for place in weight_nodes(before) if place in inside]
    counts = [multiply_adds(model, feed, places) for model in (before, after)]
    stored = [{tensor.name: tensor for tensor in model.graph.initializer} for model in (before, after)]
    layers = []
    for place in places:
        nodes = [model.graph.node[place] for model in (before, after)]
        tensors = [known[node.input[1]] for known, node in zip(stored, nodes, strict=True)]
        shapes = [tuple(tensor.dims) for tensor in tensors]
        n_nonzero = [int(np.count_nonzero(_array(tensor))) for tensor in tensors]
        is_depthwise = nodes[0].op_type == "Conv" and shapes[0][1] == 1 and shapes[0][0] > 1
        layers.append(
            Layer(
                name=tensors[0].name,
                part="classifier",
                kind="depthwise Conv" if is_depthwise else nodes[0].op_type,
                shape_before=shapes[0],
                shape_after=shapes[1],
                n_nonzero_before=n_nonzero[0],
                n_nonzero_after=n_nonzero[1],
                macs_before=counts[0][place],
                macs_after=counts[1][place],
            )
        )
    return tuple(layers)


def _array(tensor: "onnx.TensorProto") -> npt.NDArray[np.generic]:
    from onnx import numpy_helper

    array: npt.NDArray[np.generic] = numpy_helper.to_array(tensor)
    return array
