"""The labeled sets that are measured. No picture of them serves training."""

import dataclasses
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

from hyperclip.runtime.labeled import LabeledImage, LabeledImages, merge_equal_names
from hyperclip.runtime.sources import open_labeled

__all__ = ["SETS", "joined", "limited", "open_set", "with_coarse_names"]

# Name: the files below the data folder, what they show, and how they relate to training.
SETS = {
    "caltech101": ("caltech101/test.parquet", "objects, sharp", "never trained on"),
    "caltech101-all": (
        "caltech101/train.parquet caltech101/test.parquet",
        "both splits together",
        "never trained on",
    ),
    "tiny-imagenet": ("tiny-imagenet/val.parquet", "200 things at 64 px", "its train split was trained on"),
    "cifar10": ("cifar10/test.parquet", "10 things at 32 px", "never trained on"),
    "flowers": ("flowers/test.parquet", "species", "never trained on"),
    "textures": ("textures/test.parquet", "textures", "never trained on"),
    "waste": ("waste/test.parquet", "kinds of waste", "never trained on"),
    "groceries": ("groceries/test.parquet", "fruit, vegetables, cartons", "never trained on"),
    "groceries-coarse": ("groceries/test.parquet", "the same, coarse names", "never trained on"),
}


def open_set(data: Path, name: str, *, limit: int | None = None) -> LabeledImages:
    """Open one of `SETS`.

    Parameters
    ----------
    data : Path
        Folder of the data sets.
    name : str
        A key of `SETS`.
    limit : int, optional
        Only so many pictures, spread evenly over the set.
    """
    paths = [data / file for file in SETS[name][0].split()]
    images = joined([open_labeled(path) for path in paths])
    if name == "groceries-coarse":
        rows = json.loads((paths[0].parent / "classes.json").read_text(encoding="utf-8"))
        coarse = {row["name"]: row["coarse"] for row in rows}
        images = with_coarse_names(images, [coarse[fine] for fine in images.class_names])
    return images if limit is None else limited(images, limit)


def joined(parts: list[LabeledImages]) -> LabeledImages:
    """Return the pictures of several splits with the same classes, one split after another."""
    if any(part.class_names != parts[0].class_names for part in parts):
        raise ValueError("The splits name different classes; expected the same in the same order.")

    def read() -> Iterator[LabeledImage]:
        return itertools.chain.from_iterable(parts)

    return dataclasses.replace(parts[0], n_images=sum(map(len, parts)), read=read)


def with_coarse_names(images: LabeledImages, coarse: list[str]) -> LabeledImages:
    """Return the same pictures under coarser names, one given for each class; equal ones are one class."""
    merged = merge_equal_names(coarse, where="The coarse names")

    def read() -> Iterator[LabeledImage]:
        for item in images:
            yield item._replace(class_index=merged.index_of[item.class_index])

    return LabeledImages(class_names=merged.names, n_images=len(images), read=read)


def limited(images: LabeledImages, n_images: int) -> LabeledImages:
    """Return every so-manieth picture, at most `n_images` of them."""
    step = max(1, len(images) // max(1, n_images))
    n_kept = min(n_images, len(range(0, len(images), step)))

    def read() -> Iterator[LabeledImage]:
        return itertools.islice(iter(images), 0, n_kept * step, step)

    return LabeledImages(class_names=images.class_names, n_images=n_kept, read=read)
