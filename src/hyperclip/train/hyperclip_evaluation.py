"""Evaluation while training, on pictures cut from the training set and names that no task showed.

The swap test asks whether the text matters: the same pictures under their own task's context, under
another task's, and under none.

Legend: B images, N leaves, C classes, E text dim.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from hyperclip.data.augment import normalize_images
from hyperclip.data.cache import ImageCache
from hyperclip.data.fixed_tasks import neighbor_tasks
from hyperclip.data.hierarchy import Hierarchy
from hyperclip.errors import InputError
from hyperclip.models import HyperCLIP, MixtureHead
from hyperclip.models.imported_text import AnyTextEncoder
from hyperclip.train.class_texts import ClassTexts
from hyperclip.train.hyperclip_batches import IMAGE_MEAN, IMAGE_STD

__all__ = ["Evaluation", "EvaluationConfig"]


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """Which pictures are evaluated, and how large."""

    cache: str = ""
    """Cache whose last pictures are held out; empty: no evaluation."""
    n_images: int = 1000
    size_px: int = 128
    n_tasks: int = 12
    n_classes: int = 10

    def __post_init__(self) -> None:
        if self.n_images < 1 or self.n_tasks < 2 or self.n_classes < 2:
            raise InputError(
                f"evaluation has n_images = {self.n_images}, n_tasks = {self.n_tasks} and n_classes = "
                f"{self.n_classes}; expected at least one picture and two of the others; raise them."
            )
        if self.size_px < 32 or self.size_px % 16:
            raise InputError(
                f"evaluation.size_px is {self.size_px}; expected a multiple of 16 from 32; "
                "correct the recipe."
            )


class Evaluation:
    """Figures of a model on held-out pictures; see the module's docstring."""

    def __init__(
        self,
        config: EvaluationConfig,
        *,
        hierarchy: Hierarchy,
        texts: ClassTexts,
        held_out: tuple[int, ...],
        to_leaf: npt.NDArray[np.int64],
    ) -> None:
        self._config, self._texts, self._held_out = config, texts, held_out
        self._device = torch.device("cpu")
        if not config.cache:
            return
        cache = ImageCache.open(Path(config.cache))
        labels = cache.labels[-config.n_images :]
        known = np.flatnonzero((labels >= 0) & (labels < len(to_leaf)))
        known = known[to_leaf[labels[known]] >= 0]
        if not len(known):
            raise InputError(
                f"The last {len(labels)} pictures of {config.cache} show none of the classes; expected "
                "labels of hyperclip.label_classes; choose another evaluation.cache."
            )
        self._pixels = np.array(cache.images[-config.n_images :][known])
        self._leaf = to_leaf[labels[known]]
        self._classes = np.unique(self._leaf)
        names = [hierarchy.leaf_names[leaf] for leaf in self._classes]
        wnids = [hierarchy.wnids[leaf] for leaf in self._classes]
        self._features = texts.features(names, wnids)
        self._tasks = neighbor_tasks(
            texts.embed(names, wnids), n_tasks=config.n_tasks, n_classes=config.n_classes,
            rng=np.random.default_rng(0),
        )  # fmt: skip

    @property
    def n_images(self) -> int:
        """How many pictures are measured; 0 where there is no evaluation."""
        return len(self._leaf) if self._config.cache else 0

    def run(self, model: HyperCLIP) -> dict[str, float]:
        """Measure; all figures are fractions of 1."""
        if not self._config.cache:
            return {}
        assert isinstance(model.text_encoder, AnyTextEncoder)
        self._device = next(model.parameters()).device
        features = self._features.to(self._device)
        class_emb = self._texts.class_embeddings(features, model.text_encoder)
        neutral = self._embed(model, np.arange(len(self._pixels)), None)
        place = {leaf: i for i, leaf in enumerate(self._classes)}
        target = np.array([place[leaf] for leaf in self._leaf])
        figures = {
            "zero_shot": self._accuracy(model, neutral, class_emb, target, np.arange(len(self._classes)))
        }
        held = np.array([place[leaf] for leaf in self._held_out if leaf in place], dtype=np.int64)
        if len(held) > 1:
            figures["held_out_names"] = self._accuracy(model, neutral, class_emb, target, held)
        if model.config.head.is_mixture:
            figures["neighbors_own_concepts_removed"] = self._without_own_concepts(
                model, neutral, class_emb, target
            )
        figures["neighbors_neutral"] = float(
            np.mean([self._accuracy(model, neutral, class_emb, target, task) for task in self._tasks])
        )
        if model.hypernetwork is not None:
            figures |= self._swap_test(model, class_emb, target)
        return figures

    def _swap_test(
        self, model: HyperCLIP, class_emb: Tensor, target: npt.NDArray[np.int64]
    ) -> dict[str, float]:
        own: list[float] = []
        swapped: list[float] = []
        deltas: list[Tensor] = []
        for i, task in enumerate(self._tasks):
            rows = np.flatnonzero(np.isin(target, task))
            other = self._tasks[(i + 1) % len(self._tasks)]
            for names, found in ((task, own), (other, swapped)):
                delta = model.generate(class_emb[names][None])
                found.append(
                    self._accuracy(model, self._embed(model, rows, delta), class_emb, target[rows], task)
                )
                if names is task and delta is not None:
                    deltas.append(delta[0])
        stacked = torch.stack(deltas)
        varies = stacked.var(dim=0).sum() / stacked.square().sum(dim=1).mean().clamp(min=1e-12)
        return {
            "neighbors_own": float(np.mean(own)),
            "neighbors_swapped": float(np.mean(swapped)),
            "change_varies": float(varies),
        }

    def _embed(self, model: HyperCLIP, rows: npt.NDArray[np.int64], delta: Tensor | None) -> Tensor:
        parts: list[Tensor] = []
        size = self._config.size_px
        for start in range(0, len(rows), 64):
            pixels = torch.from_numpy(self._pixels[rows[start : start + 64]])
            images = pixels.to(self._device).permute(0, 3, 1, 2).float() / 255
            if images.shape[-1] != size:
                images = functional.interpolate(images, size=(size, size), mode="bicubic", antialias=True)
            images = normalize_images(images.clamp(0, 1), IMAGE_MEAN, IMAGE_STD)
            parts.append(
                model.embed_images(images.contiguous(memory_format=torch.channels_last), delta).float()
            )
        return torch.cat(parts)

    @staticmethod
    def _accuracy(
        model: HyperCLIP, embedding: Tensor, class_emb: Tensor, target: npt.NDArray[np.int64], classes: Any
    ) -> float:
        """Accuracy among `classes` on the pictures that belong to one of them."""
        rows = np.flatnonzero(np.isin(target, classes))
        logits = model.head.logits(embedding[rows], model.make_head(class_emb[classes]))
        found = np.asarray(classes)[logits.argmax(dim=1).cpu().numpy()]
        return float((found == target[rows]).mean())

    def _without_own_concepts(
        self, model: HyperCLIP, embedding: Tensor, class_emb: Tensor, target: npt.NDArray[np.int64]
    ) -> float:
        """Neighbor tasks without the asked classes' own concepts, as if the trunk had never learnt them."""
        found = []
        for task in self._tasks:
            rows = np.flatnonzero(np.isin(target, task))
            assert isinstance(model.head, MixtureHead)
            known = torch.ones(embedding.shape[1], dtype=torch.bool)
            known[self._classes[task]] = False
            head = model.make_head(class_emb[task])
            logits = model.head.logits_without(embedding[rows], head, known_K=known)
            found.append(float((np.asarray(task)[logits.argmax(dim=1).cpu().numpy()] == target[rows]).mean()))
        return float(np.mean(found))
