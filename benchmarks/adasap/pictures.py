"""The pictures of the comparison: 50 classes of Tiny-ImageNet, for training, choosing and reporting.

Training and choosing use the training pictures alone (the last 2,000 of the cache are for choosing); what is
reported is measured on the validation pictures, which nothing was chosen on.
"""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from hyperclip.data.cache import ImageCache
from hyperclip.evaluate.corruptions import corrupt

__all__ = ["Pictures", "corrupted", "normalized", "read_pictures", "training_batch"]

N_HELD_OUT = 2000
_PAD = 6
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Pictures:
    """Pictures (n, 64, 64, 3), uint8, and the places of their classes among those of the comparison."""

    images: Pixels
    target: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.images)

    def first(self, n: int | None) -> "Pictures":
        """The first n, which are in random order; all for None."""
        return Pictures(self.images[:n], self.target[:n])


def read_pictures(
    cache_folder: Path, data: Path, *, n_classes: int
) -> tuple[dict[str, Pictures], tuple[str, ...]]:
    """Read the splits ``train``, ``choose`` and ``report``, and the names of the classes.

    The classes are drawn from Tiny-ImageNet's 200 with seed 0.
    """
    cache = ImageCache.open(cache_folder)
    about = json.loads((data / "tiny-imagenet" / "classes.json").read_text(encoding="utf-8"))
    labels = np.asarray(cache.labels)
    chosen = np.random.default_rng(0).choice(np.unique(labels), size=n_classes, replace=False)
    names = tuple(cache.class_names[label] for label in chosen)
    splits = {}
    for name, part in (("train", slice(0, -N_HELD_OUT)), ("choose", slice(-N_HELD_OUT, None))):
        rows = np.arange(len(labels))[part]
        rows = rows[np.isin(labels[rows], chosen)]
        splits[name] = Pictures(np.asarray(cache.images[rows]), _places(labels[rows], chosen))
    splits["report"] = _validation(data / "tiny-imagenet" / "val.parquet", names, about)
    return splits, names


def _places(labels: npt.NDArray[np.int64], chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Labels of the cache to places among the chosen classes."""
    place = {int(label): i for i, label in enumerate(chosen)}
    return np.array([place[int(label)] for label in labels], np.int64)


def _validation(path: Path, names: tuple[str, ...], about: list[dict[str, Any]]) -> Pictures:
    """The validation pictures of the chosen classes, in a random order."""
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path)
    column = "label" if "label" in table.column_names else "class_index"
    of_index = {int(one["index"]): names.index(one["name"]) for one in about if one["name"] in names}
    images, target = [], []
    for row in np.random.default_rng(1).permutation(len(table)):
        label = int(table[column][int(row)].as_py())
        if label in of_index:
            stored = table["image"][int(row)].as_py()
            data = stored["bytes"] if isinstance(stored, dict) else stored
            picture = Image.open(io.BytesIO(data)).convert("RGB")
            images.append(np.asarray(picture.resize((64, 64)) if picture.size != (64, 64) else picture))
            target.append(of_index[label])
    return Pictures(np.stack(images), np.array(target, np.int64))


def normalized(images: Pixels) -> Tensor:
    """Pictures (n, H, W, 3), uint8, as the network reads them: (n, 3, H, W), in [-1, 1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def training_batch(pictures: Pictures, batch_size: int, *, step: int, seed: int) -> tuple[Tensor, Tensor]:
    """A batch that depends on seed and step alone: each epoch a permutation, shifted and mirrored."""
    n_batches = len(pictures) // batch_size
    epoch, place = divmod(step, n_batches)
    order = np.random.default_rng((seed, epoch)).permutation(len(pictures))
    rows = order[place * batch_size : (place + 1) * batch_size]
    rng = np.random.default_rng((seed, step, 1))
    images = pictures.images[rows]
    size = images.shape[1]
    padded = np.pad(images, ((0, 0), (_PAD, _PAD), (_PAD, _PAD), (0, 0)), mode="reflect")
    cut = np.empty_like(images)
    for i, (top, left) in enumerate(rng.integers(0, 2 * _PAD + 1, (len(rows), 2))):
        cut[i] = padded[i, top : top + size, left : left + size]
    mirrored = rng.random(len(rows)) < 0.5
    cut[mirrored] = cut[mirrored][:, :, ::-1]
    return normalized(cut), torch.from_numpy(pictures.target[rows])


def corrupted(pictures: Pictures, kind: str, severity: int) -> Pictures:
    """The same pictures under one corruption, each with a generator of its own place."""

    def each() -> Iterator[Pixels]:
        for place, image in enumerate(pictures.images):
            yield corrupt(image, kind, severity, rng=np.random.default_rng((place, severity)))

    return Pictures(np.stack(list(each())), pictures.target)
