"""A cache of pictures with its labels as leaves, hard, soft or both.

Legend: B images, N leaves.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hyperclip.data.cache import ImageCache
from hyperclip.errors import InputError

__all__ = ["PictureSet", "SetConfig"]


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


class PictureSet:
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
