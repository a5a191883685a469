"""Every picture of the sets embedded once, and kept: all fits run on what is stored here.

Legend: N pictures, C classes, D embedding dim.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from benchmarks.zero_shot.data_sets import limited

from hyperclip.evaluate.corruptions import FIVE_CORRUPTIONS, corrupt
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.labeled import LabeledImage, LabeledImages
from hyperclip.runtime.preprocess import decode, spec_before_crop
from hyperclip.runtime.sources import open_labeled

__all__ = [
    "SETS",
    "SEVERITY",
    "SPACES",
    "Embedded",
    "corruptions",
    "embed",
    "embed_corrupted",
    "open_parts",
    "stored",
]

SETS = ("caltech101", "cifar10", "flowers", "textures", "waste", "groceries")
SPACES = ("own", "neutral")  # the encoder that was made for the names, and the one for no task
MAX_TEST = 600
SEVERITY = 3  # of the corruptions
CIFAR10_POOL = 32  # pictures a class of its only file that serve as shots; the others are the test
BATCH_SIZE = 16

Floats = npt.NDArray[np.float32]


class Embedded(NamedTuple):
    """What a classifier sees in the pictures of one part of a set."""

    embedding: Floats  # (N, D)
    logits: Floats  # (N, C): zero-shot
    target: npt.NDArray[np.int64]  # (N,)


def open_parts(data: Path, name: str) -> tuple[LabeledImages, LabeledImages]:
    """Return the pictures that shots are drawn from, and those that are reported on, at most 600."""
    if name != "cifar10":
        train, test = (open_labeled(data / name / f"{part}.parquet") for part in ("train", "test"))
        return train, limited(test, MAX_TEST)
    whole = open_labeled(data / name / "test.parquet")
    target = np.array([item.class_index for item in whole])
    order = np.random.default_rng(0).permutation(len(target))
    pool = np.concatenate([order[target[order] == index][:CIFAR10_POOL] for index in range(10)])
    rest = np.setdiff1d(order, pool)
    return _chosen(whole, np.sort(pool)), limited(_chosen(whole, rest), MAX_TEST)


def _chosen(images: LabeledImages, places: npt.NDArray[np.int64]) -> LabeledImages:
    """Return the pictures at these places."""
    wanted = set(places.tolist())

    def read() -> Iterator[LabeledImage]:
        return (item for place, item in enumerate(images) if place in wanted)

    return LabeledImages(class_names=images.class_names, n_images=len(wanted), read=read)


def embed(
    classifier: Classifier,
    images: LabeledImages,
    *,
    change: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]] | None = None,
) -> Embedded:
    """Return what a classifier sees in pictures, each changed first where `change` is given."""
    spec = spec_before_crop(classifier.metadata.images)
    parts: list[tuple[Floats, Floats]] = []
    target: list[int] = []
    for batch in _batches(images):
        pixels = [decode(item.source, spec=spec, name=item.shown_path) for item in batch]
        if change is not None:
            pixels = [change(image) for image in pixels]
        parts.append(classifier.run_pixels(np.stack(pixels)))
        target += [item.class_index for item in batch]
    logits, embedding = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Embedded(embedding, logits, np.array(target, np.int64))


def _batches(images: LabeledImages) -> Iterator[Sequence[LabeledImage]]:
    """Yield the pictures in batches."""
    each = iter(images)
    while batch := list(itertools.islice(each, BATCH_SIZE)):
        yield batch


def corruptions() -> Iterator[tuple[str, int, np.random.Generator]]:
    """Yield each kind of corruption, its severity, and what makes a picture corrupted alike in every run."""
    for place, kind in enumerate(FIVE_CORRUPTIONS):
        yield kind, SEVERITY, np.random.default_rng((place, SEVERITY))


def embed_corrupted(
    classifier: Classifier, images: LabeledImages, cache: Path, name: str
) -> dict[str, "Embedded"]:
    """Return the test part under each corruption."""
    found = {}
    for kind, severity, rng in corruptions():
        found[kind] = stored(
            cache / f"{name}-own-{kind}.npz",
            partial(
                embed,
                classifier,
                images,
                change=lambda pixels, kind=kind, severity=severity, rng=rng: corrupt(
                    pixels, kind, severity, rng=rng
                ),
            ),
        )
    return found


def stored(path: Path, make: Callable[[], Embedded]) -> Embedded:
    """Return what an earlier run stored, or make and store it."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part.npz")
        values: dict[str, Any] = make()._asdict()
        np.savez(unfinished, **values)
        unfinished.replace(path)
    with np.load(path, allow_pickle=False) as arrays:
        return Embedded(*(arrays[key] for key in Embedded._fields))
