"""Pictures and names that all runs are asked: Tiny-ImageNet val and a part of CIFAR-10 test."""

import json
from pathlib import Path

import numpy as np
from benchmarks.claim_conditioning.measure import Pictures, prepare
from benchmarks.conditioning.bundled import read_pixels
from benchmarks.conditioning.tasks import Classes, read_classes

__all__ = ["read_all_classes", "read_pictures"]


def read_all_classes(data: Path) -> tuple[Classes, int]:
    """Return the classes of Tiny-ImageNet with those of CIFAR-10 behind them, and how many are the first."""
    main = read_classes(data / "tiny-imagenet" / "classes.json")
    rows = json.loads((data / "cifar10" / "classes.json").read_text(encoding="utf-8"))
    names = tuple(row["name"] for row in rows)
    joined = Classes(main.names + names, main.wnids + ("",) * len(names), main.glosses + (None,) * len(names))
    return joined, len(main.names)


def read_pictures(
    data: Path, *, n_main: int, size_px: int, n_cifar: int, n_each: int | None = None
) -> Pictures:
    """Decode and prepare the pictures; labels of CIFAR-10 come after the first `n_main`."""
    import torch

    pixels, labels = read_pixels(data / "tiny-imagenet" / "val.parquet")
    if n_each is not None:
        kept = np.sort(np.concatenate([np.flatnonzero(labels == c)[:n_each] for c in np.unique(labels)]))
        pixels, labels = pixels[kept], labels[kept]
    others, other_labels = read_pixels(data / "cifar10" / "test.parquet")
    rows = np.sort(np.random.default_rng(0).permutation(len(others))[:n_cifar])
    images = torch.cat([prepare(pixels, size_px), prepare(others[rows], size_px)])
    return Pictures(images, np.concatenate([labels, n_main + other_labels[rows]]))
