"""Take channels out of a classifier's graph and teach what is left by the dense one's answers.

Legend: B pictures, C classes, D embedding dim, V views (as it is, mirrored).
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperclip.bundle.manifest import ImageSpec
from hyperclip.compress.contract import OnProgress
from hyperclip.compress.graph_module import GraphModule
from hyperclip.compress.phases import make_pruner, rate_share
from hyperclip.errors import InputError
from hyperclip.runtime.preprocess_graph import PIXELS

if TYPE_CHECKING:
    from hyperclip.compress.adasap import AdaSAPConfig

__all__ = [
    "MEASURED_BATCH",
    "N_MEASURED",
    "WEIGHT_DECAY",
    "Lesson",
    "normalized_pixels",
    "prune_and_retrain",
    "starting_norms",
]

N_MEASURED = 256  # pictures on which norms are put in
MEASURED_BATCH = 32
WEIGHT_DECAY = 1e-4
# Once channels are gone gradients are tens long for a while: a shorter limit would hardly move the weights.
MAX_GRAD_NORM = 20.0


@dataclass(frozen=True)
class Lesson:
    """Pictures to train on and what the dense classifier makes of them."""

    pixels: npt.NDArray[np.uint8]
    """Of shape (n, S, S, 3), RGB, as the file's own resize leaves them."""
    answers: npt.NDArray[np.float32]
    """Probabilities of shape (V, n, C)."""
    embeddings: npt.NDArray[np.float32]
    """Of shape (V, n, D)."""
    target: npt.NDArray[np.int64] | None
    """Class of each picture, where it is known."""


def prune_and_retrain(
    model: onnx.ModelProto,
    lesson: Lesson,
    images: ImageSpec,
    config: "AdaSAPConfig",
    *,
    on_progress: OnProgress | None,
) -> onnx.ModelProto:
    """Return the classifier's graph with fewer channels, trained.

    Parameters
    ----------
    model : onnx.ModelProto
        A classifier file; not changed.
    lesson : Lesson
    images : ImageSpec
        How the file normalizes pixels.
    config : AdaSAPConfig
    on_progress : callable or None
    """
    encoder, head = read_classifier(model)
    encoder.add_norms(
        [
            normalized_pixels(lesson.pixels[start : start + MEASURED_BATCH], images)
            for start in range(0, min(len(lesson.pixels), N_MEASURED), MEASURED_BATCH)
        ]
    )
    _train(encoder, head, lesson, images, config, on_progress)
    _measure_again(encoder, lesson, images)
    return encoder.written(model)


def read_classifier(model: onnx.ModelProto) -> tuple[GraphModule, GraphModule]:
    """The image encoder and the head of a classifier file as modules; the head does not learn."""
    encoder = GraphModule.between(model, PIXELS, "embedding")
    head = GraphModule.between(model, "embedding", "logits")
    return encoder.eval(), head.eval().requires_grad_(False)


def normalized_pixels(pixels: npt.NDArray[np.uint8], images: ImageSpec) -> Tensor:
    """Pictures (B, S, S, 3), uint8, as the encoder reads them."""
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (images.mean, images.std))
    planes = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 255
    return ((planes - mean) / std).contiguous(memory_format=torch.channels_last)


def _train(
    encoder: GraphModule,
    head: nn.Module,
    lesson: Lesson,
    images: ImageSpec,
    config: "AdaSAPConfig",
    on_progress: OnProgress | None,
) -> None:
    """The three phases, in place."""
    encoder.to(memory_format=torch.channels_last)
    peak = config.learning_rate
    assert peak is not None  # `compress` chose it
    pruner = make_pruner(encoder, config, size_px=images.size_px, lengths=encoder.lengths)
    optimizer = torch.optim.SGD(encoder.parameters(), lr=peak, momentum=0.9, weight_decay=WEIGHT_DECAY)
    rng = np.random.default_rng(config.seed)
    center_D = torch.from_numpy(lesson.embeddings.mean(axis=(0, 1)))
    encoder.train()
    for step in range(config.n_steps):
        optimizer.param_groups[0]["lr"] = peak * rate_share(step, config.n_steps)
        batch = _batch(lesson, images, config.batch_size, rng)

        def compute(batch: _Batch = batch) -> Tensor:
            return _loss(encoder(batch.images), head, batch, center_D)

        optimizer.zero_grad()
        loss = pruner.backward(encoder, compute, step=step)
        norm = nn.utils.clip_grad_norm_(encoder.parameters(), MAX_GRAD_NORM)
        if not (math.isfinite(float(loss)) and math.isfinite(float(norm))):
            raise InputError(
                f"The loss is {float(loss)} at step {step}; expected a finite number; lower the learning "
                "rate or the radius."
            )
        optimizer.step()
        pruner.prune(encoder, n_done=step + 1, optimizer=optimizer)
        if on_progress is not None:
            on_progress(step + 1, config.n_steps, "steps")
    encoder.eval()


@dataclass(frozen=True)
class _Batch:
    images: Tensor
    answers: Tensor
    embeddings: Tensor
    target: Tensor | None


def _batch(lesson: Lesson, images: ImageSpec, batch_size: int, rng: np.random.Generator) -> _Batch:
    """Random pictures, half of them mirrored, with the answers for just these views."""
    n = len(lesson.pixels)
    rows = rng.choice(n, size=min(batch_size, n), replace=False)
    views = rng.integers(0, 2, len(rows))
    pixels = lesson.pixels[rows].copy()
    pixels[views == 1] = pixels[views == 1][:, :, ::-1]
    return _Batch(
        normalized_pixels(pixels, images),
        torch.from_numpy(lesson.answers[views, rows]),
        torch.from_numpy(lesson.embeddings[views, rows]),
        None if lesson.target is None else torch.from_numpy(lesson.target[rows]),
    )


def _loss(embedding_BD: Tensor, head: nn.Module, batch: _Batch, center_D: Tensor) -> Tensor:
    """Cross-entropy with answers (and labels), plus one minus the cosine of centered embeddings."""
    logits_BC = head(embedding_BD)
    wanted_BC = batch.answers
    if batch.target is not None:
        wanted_BC = 0.5 * wanted_BC + 0.5 * functional.one_hot(batch.target, wanted_BC.shape[1])
    cosine = functional.cosine_similarity(embedding_BD - center_D, batch.embeddings - center_D, dim=1)
    return functional.cross_entropy(logits_BC, wanted_BC) + (1 - cosine).mean()


@torch.no_grad()
def _measure_again(encoder: GraphModule, lesson: Lesson, images: ImageSpec) -> None:
    """Give the norms the statistics of the finished network, over all pictures."""
    starting_norms(encoder)
    encoder.train()
    for start in range(0, len(lesson.pixels), MEASURED_BATCH):
        part = lesson.pixels[start : start + MEASURED_BATCH]
        if len(part) > 1 or start == 0:
            encoder(normalized_pixels(part, images))
    encoder.eval()


def starting_norms(encoder: GraphModule) -> None:
    """Let the norms forget their statistics, and average plainly over the batches that come."""
    for norm in encoder.norms.values():
        if isinstance(norm, nn.BatchNorm2d):
            norm.reset_running_stats()
            norm.momentum = None  # PyTorch's word for a plain average over all batches
