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
            If the folder is not a cache, or its arrays have other sizes than it declares.
        """
        try:
            about = json.loads((folder / "cache.json").read_text(encoding="utf-8"))
            n, size = int(about["n_images"]), int(about["size_px"])
            class_names = tuple(str(name) for name in about["class_names"])
            labels = np.load(folder / "labels.npy", mmap_mode="r", allow_pickle=False)
            version = int(about["format_version"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{folder} is not an image cache ({type(error).__name__}); expected a folder with cache.json "
                "and labels.npy; make it with `python -m hyperclip.data.prepare`."
            ) from error
        if version != _FORMAT_VERSION:
            raise InputError(
                f"The cache {folder} has format {version}; expected {_FORMAT_VERSION}; delete the folder and "
                "build it again."
            )
        path = folder / "images.u8"
        is_whole = path.is_file() and n > 0 and size > 0 and path.stat().st_size == n * size * size * 3
        if not is_whole or labels.shape != (n,) or labels.dtype != np.int64:
            raise InputError(
                f"The cache {folder} does not hold {n} pictures of {size} px with a label each; expected "
                "what its cache.json says; delete the folder and build it again."
            )
        images = np.memmap(path, dtype=np.uint8, mode="r", shape=(n, size, size, 3))
        return cls(images, np.array(labels), class_names, folder)


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

    Raises
    ------
    InputError
        If the folder's parent is missing, the folder holds something else or pictures cut another way,
        or no picture can be read. Nothing is left behind then.
    """
    if (folder / "cache.json").is_file():
        return _open_finished(folder, spec)
    if not folder.parent.is_dir() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise InputError(
            f"The cache {folder} cannot be made there; expected a new or empty folder in a folder that "
            "exists; choose another path."
        )
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    try:
        _decode_into(unfinished, records, spec=spec, class_names=class_names, on_progress=on_progress)
        os.replace(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return ImageCache.open(folder)


def _open_finished(folder: Path, spec: ImageSpec) -> ImageCache:
    """Open a cache that is there, if it was made the same way."""
    cache = ImageCache.open(folder)
    made = json.loads((folder / "cache.json").read_text(encoding="utf-8")).get("spec")
    if made != json.loads(json.dumps(asdict(spec))):
        raise InputError(
            f"The cache {folder} was made with {made}; expected {asdict(spec)}; delete the folder or choose "
            "another."
        )
    return cache


def _decode_into(
    folder: Path,
    records: Iterable[tuple[Any, int]],
    *,
    spec: ImageSpec,
    class_names: Iterable[str],
    on_progress: Callable[[int], None] | None,
) -> None:
    """Write the files of a cache; ``cache.json`` comes last."""
    labels: list[int] = []
    unreadable: list[str] = []
    with (folder / "images.u8").open("wb") as file:
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
    if not labels:
        first = unreadable[0] if unreadable else "there are none"
        raise InputError(
            f"None of {len(unreadable)} pictures can be read ({first}); expected some; check the source."
        )
    np.save(folder / "labels.npy", np.asarray(labels, dtype=np.int64))
    about = {
        "format_version": _FORMAT_VERSION,
        "n_images": len(labels),
        "size_px": spec.size_px,
        "class_names": list(class_names),
        "spec": asdict(spec),
        "unreadable": unreadable,
    }
    (folder / "cache.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
