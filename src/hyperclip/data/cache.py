"""Decode pictures once into a memory-mapped array that every later run reads.

A cache is a folder: ``images.u8`` (N, S, S, 3), ``labels.npy`` (N,), ``cache.json``. It is written
beside its place and renamed when it is whole, so a folder that exists is complete.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperclip.bundle.manifest import ImageSpec
from hyperclip.errors import HyperclipError, InputError
from hyperclip.runtime.preprocess import decode

__all__ = ["ImageCache", "build_cache"]

_FORMAT_VERSION = 1


@dataclass(frozen=True)
class ImageCache:
    """Decoded pictures on disk.

    Parameters
    ----------
    images : ndarray of shape (N, S, S, 3), uint8, RGB, memory-mapped
    labels : ndarray of shape (N,), int64
        Class indices; -1 where a picture has none.
    class_names : tuple of str
    folder : Path
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    folder: Path

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size_px(self) -> int:
        """S."""
        return int(self.images.shape[1])

    @classmethod
    def open(cls, folder: Path) -> "ImageCache":
        """Map a finished cache into memory.

        Raises
        ------
        InputError
            If the folder is not a cache, or its array has another size than it declares.
        """
        try:
            about = json.loads((folder / "cache.json").read_text(encoding="utf-8"))
            n, size = int(about["n_images"]), int(about["size_px"])
            class_names = tuple(str(name) for name in about["class_names"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{folder} is not an image cache ({type(error).__name__}); expected a folder with cache.json; "
                "make it with `python -m hyperclip.data.prepare`."
            ) from error
        path = folder / "images.u8"
        if not path.is_file() or path.stat().st_size != n * size * size * 3:
            raise InputError(
                f"{path} does not hold {n} pictures of {size} px; delete the folder and build it again."
            )
        images = np.memmap(path, dtype=np.uint8, mode="r", shape=(n, size, size, 3))
        labels = np.load(folder / "labels.npy", allow_pickle=False)
        return cls(images, labels, class_names, folder)


def build_cache(
    records: Iterable[tuple[Any, int]],
    folder: Path,
    *,
    spec: ImageSpec,
    class_names: Iterable[str] = (),
    on_progress: Callable[[int], None] | None = None,
) -> ImageCache:
    """Decode pictures into a cache folder; a finished one is opened as it is.

    Parameters
    ----------
    records : iterable of (image, label)
        Image as in `hyperclip.runtime.preprocess.decode`; label -1 where there is none.
    folder : Path
        Where the cache goes; its parent must exist.
    spec : ImageSpec
        Size and cut; normalization is not applied.
    class_names : iterable of str
    on_progress : callable, optional
        Called with the number of pictures done.

    Returns
    -------
    ImageCache
        Pictures that cannot be read are left out and listed in ``cache.json``.
    """
    if (folder / "cache.json").is_file():
        return ImageCache.open(folder)
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    labels: list[int] = []
    unreadable: list[str] = []
    with (unfinished / "images.u8").open("wb") as file:
        for place, (image, label) in enumerate(records):
            try:
                pixels = decode(image, spec=spec)
            except HyperclipError as error:
                unreadable.append(f"{place}: {error}")
                continue
            file.write(pixels.tobytes())
            labels.append(label)
            if on_progress is not None:
                on_progress(len(labels))
    np.save(unfinished / "labels.npy", np.asarray(labels, dtype=np.int64))
    about = {
        "format_version": _FORMAT_VERSION,
        "n_images": len(labels),
        "size_px": spec.size_px,
        "class_names": list(class_names),
        "spec": asdict(spec),
        "unreadable": unreadable,
    }
    (unfinished / "cache.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
    os.replace(unfinished, folder)
    return ImageCache.open(folder)
