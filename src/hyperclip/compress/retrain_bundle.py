"""Take channels out of a bundle's image encoder and teach what is left by the dense one's embeddings.

The dense encoder looks at each batch beside the smaller one, both neutral or in the same context. No labels
are needed, and the text side is not touched. Once the channels are gone the norms keep their statistics over
all contexts, as they must in the file: what a batch of one context says of them would be wrong for another.

Legend: B pictures, D embedding dim, K contexts.
"""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperclip.bundle.manifest import GeneratedParameter, ImageSpec
from hyperclip.compress.context_encoder import ContextEncoder, ContextTaylor
from hyperclip.compress.contract import OnProgress
from hyperclip.compress.phases import make_pruner, rate_share
from hyperclip.compress.retrain import (
    MEASURED_BATCH,
    N_MEASURED,
    WEIGHT_DECAY,
    normalized_pixels,
    starting_norms,
)
from hyperclip.errors import InputError

if TYPE_CHECKING:
    from hyperclip.compress.adasap import AdaSAPConfig

__all__ = ["BundleLesson", "prune_and_retrain_encoder"]

FREE_SHARE = 0.4  # of the steps, in which norms go by the batch: while channels go; without contexts all
N_CENTERED = 64  # pictures
MAX_GRAD_NORM = 1.0
NEUTRAL_SHARE = 0.25  # of the steps


@dataclass(frozen=True)
class BundleLesson:
    """Pictures to train on, and the contexts to serve."""

    pixels: npt.NDArray[np.uint8]
    """Of shape (n, S, S, 3), RGB."""
    contexts: npt.NDArray[np.float32]
    """Generated values, of shape (K, n_generated)."""
    is_mixture: bool
    """Whether heads read the softmax of the embedding."""


def prune_and_retrain_encoder(
    model: onnx.ModelProto,
    layout: tuple[GeneratedParameter, ...],
    lesson: BundleLesson,
    images: ImageSpec,
    config: "AdaSAPConfig",
    *,
    on_progress: OnProgress | None,
) -> ContextEncoder:
    """Return the encoder with fewer channels, trained; its `written` gives the graph.

    Parameters
    ----------
    model : onnx.ModelProto
        Plain float32; not changed.
    layout : tuple of GeneratedParameter
    lesson : BundleLesson
    images : ImageSpec
        How the model normalizes pixels, at the size to train at.
    config : AdaSAPConfig
    on_progress : callable or None
    """
    teacher = ContextEncoder(model, layout, lesson.contexts)
    teacher.module.requires_grad_(False).to(memory_format=torch.channels_last)
    student = ContextEncoder(model, layout, lesson.contexts)
    school = _School(teacher, student, lesson, images, np.random.default_rng(config.seed))
    with torch.no_grad():
        student.module.add_norms(school.first_batches())
    student.module.to(memory_format=torch.channels_last)
    _train(school, config, on_progress)
    return student


@dataclass
class _School:
    """Both encoders and what they look at."""

    teacher: ContextEncoder
    student: ContextEncoder
    lesson: BundleLesson
    images: ImageSpec
    rng: np.random.Generator
    centers: dict[int | None, Tensor] = field(default_factory=dict)

    def first_batches(self) -> list[Tensor]:
        """Pictures on which norms are put in, as batches in the neutral state."""
        n = min(len(self.lesson.pixels), N_MEASURED)
        return [
            normalized_pixels(self.lesson.pixels[start : start + MEASURED_BATCH], self.images)
            for start in range(0, n, MEASURED_BATCH)
        ]

    def context(self) -> int | None:
        """A context at random, or the neutral state."""
        n_contexts = self.student.n_contexts
        if not n_contexts or self.rng.random() < NEUTRAL_SHARE:
            return None
        return int(self.rng.integers(n_contexts))

    def batch(self, batch_size: int) -> Tensor:
        """Random pictures, half of them mirrored, shape (B, 3, S, S)."""
        n = len(self.lesson.pixels)
        rows = self.rng.choice(n, size=min(batch_size, n), replace=False)
        pixels = self.lesson.pixels[rows].copy()
        is_mirrored = self.rng.random(len(rows)) < 0.5
        pixels[is_mirrored] = pixels[is_mirrored][:, :, ::-1]
        return normalized_pixels(pixels, self.images)

    @torch.no_grad()
    def answers(self, images: Tensor, context: int | None) -> Tensor:
        """What the dense encoder makes of pictures, shape (B, D)."""
        self.teacher.enter(context)
        embedding: Tensor = self.teacher.module(images)
        return embedding

    def center(self, context: int | None) -> Tensor:
        """Mean embedding of the dense encoder in a context, shape (D,)."""
        if context not in self.centers:
            few = normalized_pixels(self.lesson.pixels[:N_CENTERED], self.images)
            self.centers[context] = self.answers(few, context).mean(dim=0)
        return self.centers[context]

    @torch.no_grad()
    def measure_again(self) -> None:
        """Give the norms their statistics over all pictures and the contexts in turn, and keep these."""
        module = self.student.module
        starting_norms(module)
        module.train()
        pixels = self.lesson.pixels
        starts = [start for start in range(0, len(pixels), MEASURED_BATCH) if start + 1 < len(pixels)]
        states = [None, *range(self.student.n_contexts)]
        for place in range(max(len(starts), len(states))):
            start = starts[place % len(starts)]
            self.student.enter(states[place % len(states)])
            module(normalized_pixels(pixels[start : start + MEASURED_BATCH], self.images))
        self.student.enter(None)
        module.eval()


def _train(school: _School, config: "AdaSAPConfig", on_progress: OnProgress | None) -> None:
    """The three phases, in place."""
    student, module = school.student, school.student.module
    peak = config.learning_rate
    assert peak is not None  # `compress` chose it
    pruner = make_pruner(
        module, config, size_px=school.images.size_px, lengths=student.lengths, taylor=ContextTaylor()
    )
    optimizer = torch.optim.SGD(module.parameters(), lr=peak, momentum=0.9, weight_decay=WEIGHT_DECAY)
    module.train()
    n_free = math.ceil(FREE_SHARE * config.n_steps) if student.n_contexts else config.n_steps
    for step in range(config.n_steps):
        if step == n_free:
            school.measure_again()
        optimizer.param_groups[0]["lr"] = peak * rate_share(step, config.n_steps)
        images, context = school.batch(config.batch_size), school.context()
        wanted_BD, center_D = school.answers(images, context), school.center(context)
        student.enter(context)

        def compute(
            images: Tensor = images, wanted_BD: Tensor = wanted_BD, center_D: Tensor = center_D
        ) -> Tensor:
            return _loss(module(images), wanted_BD, center_D, is_mixture=school.lesson.is_mixture)

        optimizer.zero_grad()
        loss = pruner.backward(module, compute, step=step)
        norm = nn.utils.clip_grad_norm_(module.parameters(), MAX_GRAD_NORM)
        if not (math.isfinite(float(loss)) and math.isfinite(float(norm))):
            raise InputError(
                f"The loss is {float(loss)} at step {step}; expected a finite number; lower the learning "
                "rate or the radius."
            )
        optimizer.step()
        student.enter(None)
        student.forget(pruner.prune(module, n_done=step + 1, optimizer=optimizer))
        if on_progress is not None:
            on_progress(step + 1, config.n_steps, "steps")
    if n_free >= config.n_steps:
        school.measure_again()


def _loss(embedding_BD: Tensor, wanted_BD: Tensor, center_D: Tensor, *, is_mixture: bool) -> Tensor:
    """One minus the cosine of centered embeddings; for mixtures also the cross-entropy of their shares."""
    cosine = functional.cosine_similarity(embedding_BD - center_D, wanted_BD - center_D, dim=1)
    loss = (1 - cosine).mean()
    if is_mixture:
        loss = loss + functional.cross_entropy(embedding_BD, wanted_BD.softmax(dim=1))
    return loss
