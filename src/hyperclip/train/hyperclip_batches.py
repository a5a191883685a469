"""Batches for joint training: pictures, their leaf labels, and the tasks they are asked under.

A batch is a pure function of the seed and the step. Part of the pictures is neutral (every leaf is
asked, no context), part is drawn for the tasks of the step, so that several contexts share a batch.

Legend: B images, N leaves, R tasks with a context or without, C classes of a task, W pooled text width.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hyperclip.data.augment import AugmentConfig, augment, augment_beside_clean, normalize_images
from hyperclip.data.tasks import Task, TaskSampler, leaf_shares, soft_targets
from hyperclip.errors import InputError
from hyperclip.train.class_texts import ClassTexts
from hyperclip.train.picture_sets import PictureSet, SetConfig

__all__ = ["Batch", "BatchMaker", "DataConfig", "Lesson", "SetConfig", "TaskBatch"]

IMAGE_MEAN = IMAGE_STD = (0.5, 0.5, 0.5)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Pictures, sizes and shares of a batch."""

    sets: tuple[SetConfig, ...]
    sizes_px: tuple[int, ...] = (96, 128, 160, 192, 224)
    size_weights: tuple[float, ...] = ()
    batch_size: int = 96
    """Pictures a step at 128 px; other sizes get as many pixels."""
    is_batch_fixed: bool = False
    """Give every size `batch_size` pictures."""
    n_tasks: int = 0
    """Tasks a step; 0 trains the neutral encoder alone."""
    task_share: float = 0.5
    """Share of the pictures that are drawn for tasks."""
    teacher_px: int = 224
    """Side at which a teacher sees crops, at least the largest of `sizes_px`."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        if not sum(one.share for one in self.sets) > 0:
            raise InputError(
                "data.sets holds no set with a share above 0; expected at least one set of pictures; add "
                "[[hyperclip.data.sets]]."
            )
        if not self.sizes_px or any(size < 32 or size % 16 for size in self.sizes_px):
            raise InputError(
                f"data.sizes_px is {self.sizes_px}; expected multiples of 16 from 32; correct the recipe."
            )
        weights = self.size_weights
        if weights and (len(weights) != len(self.sizes_px) or min(weights) < 0 or not sum(weights) > 0):
            raise InputError(
                f"data.size_weights is {weights}; expected a weight of 0 or more for each of "
                f"{len(self.sizes_px)} sizes; correct the recipe."
            )
        if self.batch_size < 1 or self.n_tasks < 0 or not 0 <= self.task_share <= 1:
            raise InputError(
                f"data has batch_size = {self.batch_size}, n_tasks = {self.n_tasks} and task_share = "
                f"{self.task_share}; expected at least 1, at least 0 and a share of 1; correct the recipe."
            )


class TaskBatch(NamedTuple):
    """One task and its pictures."""

    features_C2W: Tensor  # noqa: N815 (shape letters)
    has_context: bool
    rows: slice
    target_BC: Tensor  # noqa: N815
    weight_B: Tensor  # noqa: N815


class Lesson(NamedTuple):
    """Pictures that a teacher labels, as it sees them."""

    images_T3HW: Tensor  # noqa: N815
    rows_T: Tensor  # noqa: N815
    weight_T: Tensor  # noqa: N815


class Batch(NamedTuple):
    """Neutral pictures first, then those of each task."""

    images_B3HW: Tensor  # noqa: N815
    leaf_target_BN: Tensor  # noqa: N815
    n_neutral: int
    tasks: list[TaskBatch]
    lesson: Lesson | None = None


class BatchMaker:
    """Makes the batch of a step.

    Parameters
    ----------
    config : DataConfig
    n_leaves : int
        N.
    to_leaf : ndarray of shape (n_cache_classes,), int64
        Leaf of each label of the caches; -1 where it is none.
    sampler : TaskSampler or None
    texts : ClassTexts
    seed : int
    skip_leaves : set of int
        Pictures of these leaves are never used.
    """

    def __init__(
        self,
        config: DataConfig,
        *,
        n_leaves: int,
        to_leaf: npt.NDArray[np.int64],
        sampler: TaskSampler | None,
        texts: ClassTexts,
        seed: int,
        skip_leaves: set[int],
    ) -> None:
        self._config, self._sampler, self._texts, self._seed = config, sampler, texts, seed
        self._sets = [PictureSet(entry, n_leaves, to_leaf, skip_leaves) for entry in config.sets]
        self._by_leaf: list[list[tuple[int, npt.NDArray[np.int64]]]] = [[] for _ in range(n_leaves)]
        for place, one in enumerate(self._sets):
            order = np.argsort(one.best, kind="stable")
            ends = np.searchsorted(one.best[order], np.arange(n_leaves + 1))
            for leaf in range(n_leaves):
                if ends[leaf + 1] > ends[leaf]:
                    self._by_leaf[leaf].append((place, order[ends[leaf] : ends[leaf + 1]]))
        self._has_pictures = np.array([bool(found) for found in self._by_leaf])

    def make(self, step: int) -> Batch:
        """Make the batch of a step."""
        config, rng = self._config, np.random.default_rng([self._seed, step])
        weights = np.array(config.size_weights or [1.0] * len(config.sizes_px))
        size_px = int(rng.choice(config.sizes_px, p=weights / weights.sum()))
        scale = 1.0 if config.is_batch_fixed else (128 / size_px) ** 2
        n_images = max(8, round(config.batch_size * scale))
        n_for_tasks = round(n_images * config.task_share) if config.n_tasks and self._sampler else 0
        picked = self._pick_neutral(n_images - n_for_tasks, rng)
        n_neutral = len(picked)
        tasks: list[tuple[Task, int]] = []
        for _ in range(config.n_tasks if n_for_tasks else 0):
            task, found = self._pick_for_task(max(2, n_for_tasks // config.n_tasks), rng)
            tasks.append((task, len(found)))
            picked += found
        images, target, lesson = self._load(picked, size_px, rng)
        batches, start = [], n_neutral
        for task, count in tasks:
            rows = slice(start, start + count)
            wanted, mass = soft_targets(task.membership, target[rows])
            features = self._texts.features(task.names, task.wnids)
            batches.append(
                TaskBatch(features, task.has_context, rows, torch.from_numpy(wanted), torch.from_numpy(mass))
            )
            start += count
        return Batch(images, torch.from_numpy(target), n_neutral, batches, lesson)

    def _pick_neutral(self, count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
        shares = np.array([one.share for one in self._sets])
        places = rng.choice(len(self._sets), size=count, p=shares / shares.sum())
        return [(int(p), int(rng.choice(self._sets[p].rows))) for p in np.sort(places)]

    def _pick_for_task(self, count: int, rng: np.random.Generator) -> tuple[Task, list[tuple[int, int]]]:
        """Draw a task that has pictures, a name for each picture, then a leaf and a picture of it."""
        assert self._sampler is not None
        for _ in range(20):
            task = self._sampler.sample(rng)
            shares = leaf_shares(task.membership) * self._has_pictures
            names = np.flatnonzero(shares.any(axis=1))
            if len(names) >= 2 or len(task.names) < 2 <= len(names) + 1:
                break
        if not len(names):
            raise InputError(
                "No name of twenty tasks has pictures; expected some; give pictures of more classes, or "
                "lower hyperclip.tasks.inner_nodes and distractor_share."
            )
        found = []
        for name in rng.choice(names, size=count):
            leaf = int(rng.choice(np.flatnonzero(shares[name])))
            place, rows = self._by_leaf[leaf][int(rng.integers(len(self._by_leaf[leaf])))]
            found.append((place, int(rng.choice(rows))))
        return task, found

    def _load(
        self, picked: list[tuple[int, int]], size_px: int, rng: np.random.Generator
    ) -> tuple[Tensor, npt.NDArray[np.float32], Lesson | None]:
        config = self._config
        images = torch.empty(len(picked), 3, size_px, size_px)
        target = np.zeros((len(picked), len(self._by_leaf)), dtype=np.float32)
        lessons: list[Lesson] = []
        for place, one in enumerate(self._sets):
            where = [i for i, (p, _) in enumerate(picked) if p == place]
            if not where:
                continue
            rows = np.array([picked[i][1] for i in where])
            pixels = torch.from_numpy(np.stack([one.cache.images[row] for row in rows]))
            if one.teacher_weight:
                images[where], clean = augment_beside_clean(
                    pixels, size_px, clean_px=config.teacher_px, config=config.augment, rng=rng
                )
                weight = torch.full((len(where),), one.teacher_weight)
                lessons.append(
                    Lesson(normalize_images(clean, IMAGE_MEAN, IMAGE_STD), torch.tensor(where), weight)
                )
            else:
                images[where] = augment(pixels, size_px, config=config.augment, rng=rng)
            target[where] = one.leaf_target(rows)
        lesson = Lesson(*(torch.cat(parts) for parts in zip(*lessons, strict=True))) if lessons else None
        return normalize_images(images, IMAGE_MEAN, IMAGE_STD), target, lesson
