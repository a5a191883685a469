"""Pictures of a cache as embeddings of an image encoder that does not change any more.

Legend: B images, K numbers of an embedding.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from hyperclip.data.augment import normalize_images
from hyperclip.data.cache import ImageCache
from hyperclip.errors import InputError
from hyperclip.models import ImageEncoder
from hyperclip.train.hyperclip_batches import IMAGE_MEAN, IMAGE_STD

__all__ = ["EmbeddedPictures", "EmbeddedSetConfig", "embed_pictures"]

_CHUNK = 32


@dataclass(frozen=True, kw_only=True)
class EmbeddedSetConfig:
    """Which pictures of a cache are embedded, and at what sizes."""

    cache: str
    """Decoded pictures whose labels are leaves."""
    share: float = 1.0
    """Share of the lists that show this set."""
    sizes_px: tuple[int, ...] = (224,)
    """Each picture is seen at every one of these sizes,"""
    crops: tuple[float, ...] = (1.0,)
    """and cut to every one of these shares of its side."""
    n_images: int = 0
    """Pictures that are drawn from the cache; 0: all."""
    n_held_out: int = 0
    """Last pictures of the cache, which training never sees; they are embedded at the first size."""

    def __post_init__(self) -> None:
        if not self.sizes_px or min(self.sizes_px) < 32 or not all(0.1 <= c <= 1 for c in self.crops):
            raise InputError(
                f"The set {self.cache} has sizes_px = {self.sizes_px} and crops = {self.crops}; expected "
                "sizes of at least 32 and shares from 0.1 to 1; correct the recipe."
            )
        if not self.share >= 0 or self.n_images < 0 or self.n_held_out < 0 or not self.crops:
            raise InputError(
                f"The set {self.cache} has share = {self.share}, n_images = {self.n_images} and n_held_out = "
                f"{self.n_held_out}; expected 0 or more; correct the recipe."
            )


class EmbeddedPictures:
    """Embeddings with their leaves.

    Parameters
    ----------
    embeddings_BK : ndarray of shape (B, K), float16
    leaves : ndarray of shape (B,), int
    is_held_out : ndarray of shape (B,), bool
    share : float
        As in `EmbeddedSetConfig`.
    n_leaves : int
    """

    def __init__(
        self, embeddings_BK: npt.NDArray[np.float16], leaves: npt.NDArray[np.int64],
        is_held_out: npt.NDArray[np.bool_], *, share: float, n_leaves: int,
    ) -> None:  # fmt: skip
        self._embeddings, self._leaves, self._is_held_out = embeddings_BK, leaves, is_held_out
        self.share, self._n_leaves = share, n_leaves
        order = np.argsort(leaves + n_leaves * is_held_out, kind="stable")
        ends = np.searchsorted((leaves + n_leaves * is_held_out)[order], np.arange(n_leaves + 1))
        self._by_leaf = [order[ends[leaf] : ends[leaf + 1]] for leaf in range(n_leaves)]
        self.has_pictures = np.array([bool(len(rows)) for rows in self._by_leaf])

    def rows_of(self, leaf: int) -> npt.NDArray[np.int64]:
        """Rows that training may show of a leaf."""
        return self._by_leaf[leaf]

    def take(self, rows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Embeddings of shape (n, K) and one-hot leaves of shape (n, n_leaves) of some rows."""
        target = np.zeros((len(rows), self._n_leaves), dtype=np.float32)
        target[np.arange(len(rows)), self._leaves[rows]] = 1.0
        return self._embeddings[rows].astype(np.float32), target

    def held_out(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Rows of held-out pictures, and their leaves."""
        rows = np.flatnonzero(self._is_held_out)
        return rows, self._leaves[rows]

    def shown(self, leaves: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Rows of all pictures of some leaves, and their leaves."""
        rows = np.flatnonzero(np.isin(self._leaves, leaves))
        return rows, self._leaves[rows]


@torch.no_grad()
def embed_pictures(encoder: ImageEncoder, config: EmbeddedSetConfig, *, n_leaves: int) -> EmbeddedPictures:
    """Embed the labeled pictures of a cache, which takes about 10 ms each on one core at 160 px.

    Parameters
    ----------
    encoder : ImageEncoder
        Left as it is; the neutral one is asked.
    config : EmbeddedSetConfig
    n_leaves : int
        Labels of the cache are below it.

    Raises
    ------
    InputError
        If the cache has no labeled pictures, or labels beyond the leaves.
    """
    cache = ImageCache.open(Path(config.cache))
    labels = np.asarray(cache.labels)
    if labels.max(initial=-1) >= n_leaves:
        raise InputError(
            f"The cache {config.cache} has the label {labels.max()}; expected labels below {n_leaves}; give "
            "the cache that was made for these classes."
        )
    n_train = max(len(cache) - config.n_held_out, 0)
    rows = np.flatnonzero(labels[:n_train] >= 0)
    if not len(rows):
        raise InputError(
            f"The cache {config.cache} has no labeled picture to train on; expected some; choose another."
        )
    if config.n_images and config.n_images < len(rows):
        rows = np.sort(np.random.default_rng(0).choice(rows, size=config.n_images, replace=False))
    held = n_train + np.flatnonzero(labels[n_train:] >= 0)
    views = [(size, crop) for size in config.sizes_px for crop in config.crops]
    parts = [_embed(encoder, cache, rows, size_px=size, crop=crop) for size, crop in views]
    parts.append(_embed(encoder, cache, held, size_px=config.sizes_px[0], crop=1.0))
    leaves = np.concatenate([*(labels[rows] for _ in views), labels[held]]).astype(np.int64)
    is_held_out = np.arange(len(leaves)) >= len(rows) * len(views)
    return EmbeddedPictures(
        np.concatenate(parts), leaves, is_held_out, share=config.share, n_leaves=n_leaves
    )  # fmt: skip


def _embed(
    encoder: ImageEncoder, cache: ImageCache, rows: npt.NDArray[np.int64], *, size_px: int, crop: float
) -> npt.NDArray[np.float16]:
    was_training = encoder.training
    encoder = encoder.eval().to(memory_format=torch.channels_last)
    parts = [np.zeros((0, encoder.config.embedding_dim), np.float16)]
    for start in range(0, len(rows), _CHUNK):
        pixels = torch.from_numpy(np.stack([cache.images[row] for row in rows[start : start + _CHUNK]]))
        images = pixels.permute(0, 3, 1, 2).float() / 255
        side = max(1, round(images.shape[-1] * crop))
        offset = (images.shape[-1] - side) // 2
        images = images[:, :, offset : offset + side, offset : offset + side]
        if side != size_px:
            images = functional.interpolate(images, size=(size_px, size_px), mode="bicubic", antialias=True)
        images = normalize_images(images.clamp(0, 1), IMAGE_MEAN, IMAGE_STD)
        with torch.autocast(images.device.type, dtype=torch.bfloat16):
            embedding = encoder(images.contiguous(memory_format=torch.channels_last))
        parts.append(embedding.float().numpy().astype(np.float16))
    encoder.train(was_training)
    return np.concatenate(parts)
