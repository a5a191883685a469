"""Prepare training pictures: decode them once, and label them softly with an untouched trunk.

``python -m hyperclip.data.prepare DATA -o CACHE`` makes, from the folders of `DATA`, the caches
``tiny-imagenet`` (64 px, labels in ImageNet's order), ``imagenet-one-each`` (224 px) and ``flickr8k``
(128 px, no labels), and beside the photographs ``soft.npy``: the 1,000 logits of the untouched
EfficientNet-Lite0 at 224 px. Only training files are read.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import torch
from torch.nn import functional

from hyperclip.bundle.manifest import ImageSpec
from hyperclip.data.augment import normalize_images
from hyperclip.data.cache import ImageCache, build_cache
from hyperclip.data.wordnet import read_classes
from hyperclip.errors import HyperclipError, InputError
from hyperclip.models import ImageEncoder, ImageEncoderConfig

__all__ = ["prepare", "soft_labels"]

_MEAN = _STD = (0.5, 0.5, 0.5)
_SETS = {"imagenet-one-each": 224, "flickr8k": 128, "tiny-imagenet": 64}
_BATCH_SIZE = 32
_SOFTLY_LABELED = ("imagenet-one-each", "flickr8k")  # the trunk is weak on 64 px, where labels are known


def _spec(size_px: int) -> ImageSpec:
    return ImageSpec(
        size_px=size_px, resize="crop", crop_ratio=1.0, interpolation="bicubic", mean=_MEAN, std=_STD
    )


def _records(folder: Path, to_index: Callable[[int], int]) -> Iterator[tuple[bytes, int]]:
    for path in sorted(folder.glob("train*.parquet")):
        file = pq.ParquetFile(path)
        has_label = "label" in file.schema_arrow.names
        for batch in file.iter_batches(
            batch_size=500, columns=["image", "label"] if has_label else ["image"]
        ):
            for row in batch.to_pylist():
                yield row["image"]["bytes"], to_index(row["label"]) if has_label else -1


def prepare(
    data: Path, out: Path, *, on_progress: Callable[[str, int], None] | None = None
) -> list[ImageCache]:
    """Build all caches and their soft labels; finished parts are kept.

    Parameters
    ----------
    data : Path
        Holds ``tiny-imagenet/``, ``imagenet-one-each/`` and ``flickr8k/``.
    out : Path
        Parent of the caches; made where missing.
    on_progress : callable, optional
        Called with what is being done and how many pictures are done.

    Raises
    ------
    InputError
        If a class list is missing, or a set has no pictures that can be read.
    """
    out.mkdir(parents=True, exist_ok=True)
    imagenet = read_classes(data / "imagenet-one-each" / "classes.json")
    index_of = {row["wnid"]: index for index, row in enumerate(imagenet)}
    tiny = read_classes(data / "tiny-imagenet" / "classes.json")
    strange = [row["wnid"] for row in tiny if row["wnid"] not in index_of]
    if strange:
        raise InputError(
            f"{data / 'tiny-imagenet'} has the classes {', '.join(strange[:5])}; expected such as are in "
            "imagenet-one-each/classes.json; get both data sets again."
        )
    tiny_to_imagenet = {index: index_of[row["wnid"]] for index, row in enumerate(tiny)}
    caches = []
    for name, size_px in _SETS.items():

        def report(done: int, name: str = name) -> None:
            if on_progress is not None:
                on_progress(name, done)

        cache = build_cache(
            _records(data / name, tiny_to_imagenet.__getitem__ if name == "tiny-imagenet" else int),
            out / name,
            spec=_spec(size_px),
            class_names=[row["name"] for row in imagenet],
            on_progress=report,
        )
        caches.append(cache)
        if name in _SOFTLY_LABELED and not (cache.folder / "soft.npy").is_file():
            logits = soft_labels(cache, on_progress=report)
            temporary = cache.folder / "soft.tmp.npy"
            np.save(temporary, logits)
            temporary.replace(cache.folder / "soft.npy")
    return caches


@torch.inference_mode()
def soft_labels(
    cache: ImageCache,
    *,
    size_px: int = 224,
    encoder: ImageEncoder | None = None,
    batch_size: int = _BATCH_SIZE,
    on_progress: Callable[[int], None] | None = None,
) -> npt.NDArray[np.float16]:
    """The logits of an untouched, trained trunk on every picture of a cache.

    Parameters
    ----------
    cache : ImageCache
    size_px : int
        Side at which the trunk sees the pictures.
    encoder : ImageEncoder, optional
        The trunk; EfficientNet-Lite0 where left out.
    batch_size : int
        Pictures a forward pass.
    on_progress : callable, optional
        Called with the number of pictures done so far.

    Returns
    -------
    ndarray of shape (N, 1000), float16
    """
    if encoder is None:
        encoder = ImageEncoder(ImageEncoderConfig(init="package"))
    encoder = encoder.eval().to(memory_format=torch.channels_last)
    rows: list[npt.NDArray[Any]] = []
    for start in range(0, len(cache), batch_size):
        pixels = torch.from_numpy(np.array(cache.images[start : start + batch_size]))
        images = pixels.permute(0, 3, 1, 2).float() / 255
        if images.shape[-1] != size_px:
            images = functional.interpolate(images, size=(size_px, size_px), mode="bicubic", antialias=True)
        images = normalize_images(images.clamp(0, 1), _MEAN, _STD).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = encoder(images)
        rows.append(logits.float().numpy().astype(np.float16))
        if on_progress is not None:
            on_progress(start + len(pixels))
    return np.concatenate(rows) if rows else np.zeros((0, 1000), np.float16)


def main(arguments: list[str] | None = None) -> None:
    """Command line of `prepare`."""
    parser = argparse.ArgumentParser(prog="python -m hyperclip.data.prepare", description=prepare.__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    options = parser.parse_args(arguments)

    def report(name: str, done: int) -> None:
        if done % (16 * _BATCH_SIZE) == 0:
            print(name, done, file=sys.stderr, flush=True)

    try:
        caches = prepare(options.data, options.out, on_progress=report)
    except HyperclipError as error:
        sys.exit(str(error))
    for cache in caches:
        print(f"{cache.folder}: {len(cache)} pictures of {cache.size_px} px", file=sys.stderr)


if __name__ == "__main__":
    main()
