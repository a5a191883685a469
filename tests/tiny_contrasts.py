"""A tiny classifier of two classes that differ in how much red varies, not in any mean color."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from hyperclip.bundle import write_bundle
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.specialize import load
from tiny_bundle import make_files, make_manifest

NAMES = ("ant", "bee")
SPREAD = np.array([[10, 30, 30], [40, 30, 30]])  # gray levels, of each class's channels


def make_classifier(folder: Path, *, kind: str = "linear", crop_ratio: float = 1.0) -> Classifier:
    """Specialize a tiny model of random numbers."""
    write_bundle(folder / "tiny", make_manifest(kind=kind, crop_ratio=crop_ratio), make_files(kind=kind))
    return load(folder / "tiny").specialize(NAMES)


def make_pixels(n: int, *, seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return so many pictures of each class, (2 n, 32, 32, 3), and their classes."""
    rng = np.random.default_rng(seed)
    target = np.repeat(np.arange(2), n)
    mean = 128 + rng.normal(0, 15, (len(target), 1, 1, 3))
    noise = SPREAD[target][:, None, None] * rng.normal(size=(len(target), 32, 32, 3))
    return np.clip(mean + noise, 0, 255).astype(np.uint8), target
