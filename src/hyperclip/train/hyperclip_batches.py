"""Batches for joint training: pictures, their leaf labels, and the tasks they are asked under.

A batch is a pure function of the seed and the step. Part of the pictures is neutral (every leaf is
asked, no context), part is drawn for the tasks of the step, so that several contexts share a batch.

Legend: B images, N leaves, R tasks with a context or without, C classes of a task, W pooled text width.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hyperclip.data.augment import AugmentConfig, augment, augment_beside_clean, normalize_images
from hyperclip.data.cache import ImageCache
from hyperclip.data.tasks import Task, TaskSampler, leaf_shares, soft_targets
from hyperclip.errors import InputError
from hyperclip.train.class_texts import ClassTexts

__all__ = ["Batch", "BatchMaker", "DataConfig", "Lesson", "SetConfig", "TaskBatch"]

IMAGE_MEAN = IMAGE_STD = (0.5, 0.5, 0.5)


@dataclass(frozen=True, kw_only=True)
class SetConfig:
    """One set of decoded pictures."""

    cache: str
    share: float
    """Share of the neutral pictures of a batch."""
    soft_weight: float = 0.0
    """Weight of soft labels beside hard ones; 1 where a picture has no label."""
    soft_file: str = "soft.npy"
    """Logits of the leaves in the cache's folder; where it is missing there are no soft labels."""
    soft_scope: str = "all"
    """`others`: of soft labels, what speaks for a class that the set labels counts for the label."""
    teacher_weight: float = 0.0
    """Weight of what the teacher says of the very crop, unspoiled and large, beside those labels."""
    n_held_out: int = 0
    """Last pictures of the cache that training never sees."""

    def __post_init__(self) -> None:
        weights = (self.soft_weight, self.teacher_weight)
        if not 0 <= self.share < math.inf or not all(0 <= w <= 1 for w in weights) or self.n_held_out < 0:
            raise InputError(
                f"The set {self.cache} has share = {self.share}, soft_weight = {self.soft_weight}, "
                f"teacher_weight = {self.teacher_weight} and n_held_out = {self.n_held_out}; expected a "
                "share of 0 or more, weights in [0, 1] and 0 pictures or more; correct the recipe."
            )
        if self.soft_scope not in ("all", "others"):
            raise InputError(
                f"The set {self.cache} has soft_scope = {self.soft_scope!r}; expected 'all' or 'others'; "
                "choose one."
            )


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
        if not self.sizes_px or any(size < 32 or size % 32 for size in self.sizes_px):
            raise InputError(
                f"data.sizes_px is {self.sizes_px}; expected multiples of 32; correct the recipe."
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


class _Set:
    """One set of pictures with its labels as leaves."""

    def __init__(
        self, config: SetConfig, n_leaves: int, to_leaf: npt.NDArray[np.int64], skip: set[int]
    ) -> None:
        self.cache = ImageCache.open(Path(config.cache))
        self._path = config.cache
        self.share, self._soft_weight, self._n_leaves = config.share, config.soft_weight, n_leaves
        self.teacher_weight, self._scope = config.teacher_weight, config.soft_scope
        soft_path = self.cache.folder / config.soft_file
        self._soft = np.load(soft_path, mmap_mode="r", allow_pickle=False) if soft_path.is_file() else None
        labels = self.cache.labels
        self._check(n_leaves, len(to_leaf))
        self._labels = np.where(labels >= 0, to_leaf[np.maximum(labels, 0)], -1)
        self._labeled = np.unique(self._labels[self._labels >= 0])
        n_train = max(len(self.cache) - config.n_held_out, 0)
        best = self._labels.copy()
        if self._soft is not None:
            logits = np.asarray(self._soft, dtype=np.float32)
            logits -= logits.max(axis=1, keepdims=True)
            sure = 1 / np.exp(logits).sum(axis=1) > 0.4
            guessed = to_leaf[logits.argmax(axis=1)]
            best = np.where(best >= 0, best, np.where(sure, guessed, -1))
        usable = (self._labels >= 0) if self._soft is None else np.ones(len(best), dtype=bool)
        usable[n_train:] = False
        usable &= ~np.isin(self._labels, sorted(skip))
        self.rows = np.flatnonzero(usable)
        self.best = np.where(usable, best, -1)
        if not len(self.rows) and config.share:
            raise InputError(
                f"The cache {config.cache} has no picture to train on among {len(labels)}, of which the last "
                f"{config.n_held_out} are held out; expected labels of known classes, or soft.npy; choose "
                "another cache."
            )

    def _check(self, n_leaves: int, n_labels: int) -> None:
        """Refuse labels that lead out of the class list."""
        if self.cache.labels.max(initial=-1) >= n_labels:
            raise InputError(
                f"The cache {self._path} has the label {self.cache.labels.max()}; expected labels below "
                f"{n_labels}, the number of classes in hyperclip.label_classes; give the list of that cache."
            )
        if self._soft is not None and self._soft.shape != (len(self.cache), n_leaves):
            raise InputError(
                f"soft.npy of the cache {self._path} has shape {self._soft.shape}; expected "
                f"{(len(self.cache), n_leaves)}, a logit for each of hyperclip.classes; make it for them."
            )

    def leaf_target(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Leaf probabilities of some pictures, shape (B, N)."""
        hard = np.zeros((len(rows), self._n_leaves), dtype=np.float32)
        label = self._labels[rows]
        known = label >= 0
        hard[np.flatnonzero(known), label[known]] = 1.0
        if self._soft is None or (self._soft_weight == 0 and known.all()):
            return hard
        logits = np.asarray(self._soft[rows], dtype=np.float32)
        soft = np.exp(logits - logits.max(axis=1, keepdims=True))
        soft /= soft.sum(axis=1, keepdims=True)
        if self._scope == "others":
            own = soft[:, self._labeled].sum(axis=1)
            soft[np.ix_(known, self._labeled)] = 0.0
            soft[np.flatnonzero(known), label[known]] = own[known]
        weight = np.where(known, self._soft_weight, 1.0)[:, None].astype(np.float32)
        mixed: npt.NDArray[np.float32] = (1 - weight) * hard + weight * soft
        return mixed


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
        self._sets = [_Set(entry, n_leaves, to_leaf, skip_leaves) for entry in config.sets]
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
