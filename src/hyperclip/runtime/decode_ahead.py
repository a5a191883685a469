"""Decode pictures in threads, a batch ahead of whoever consumes them, in order and in bounded memory."""

import itertools
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from hyperclip.bundle.manifest import ImageSpec
from hyperclip.errors import InputError
from hyperclip.runtime.preprocess import decode, spec_before_crop
from hyperclip.runtime.session import default_n_threads

if TYPE_CHECKING:
    from hyperclip.runtime.preprocess import ImageSource

__all__ = ["Decoded", "decode_batches"]

Decoded = npt.NDArray[np.uint8] | InputError


def decode_batches(
    images: "Iterator[ImageSource]", *, spec: ImageSpec, batch_size: int
) -> "Iterator[list[tuple[ImageSource, Decoded]]]":
    """Yield batches of pictures with their pixels, or with what is wrong with them.

    Parameters
    ----------
    images : iterator
        Anything that `decode` takes; asked for at most two batches ahead.
    spec : ImageSpec
        What the classifier file does to pictures. They come as large as it needs them to crop by itself.
    batch_size : int
        Pictures in a batch; the last one may have fewer.

    Yields
    ------
    list of (image, ndarray of shape (side, side, 3), uint8, or InputError)
        In the order of the images.
    """
    numbered = enumerate(images)
    whole = spec_before_crop(spec)
    with ThreadPoolExecutor(max_workers=default_n_threads()) as pool:

        def start(n_images: int) -> "list[tuple[ImageSource, Future[Decoded]]]":
            """Begin to decode the next pictures."""
            return [
                (image, _start(pool, image, index, whole))
                for index, image in itertools.islice(numbered, n_images)
            ]

        ahead = deque(start(2 * batch_size))
        while ahead:
            batch = [ahead.popleft() for _ in range(min(batch_size, len(ahead)))]
            ahead.extend(start(len(batch)))
            yield [(image, future.result()) for image, future in batch]


def _start(pool: ThreadPoolExecutor, image: "ImageSource", index: int, spec: ImageSpec) -> "Future[Decoded]":
    """Decode files in a thread, and pictures in memory at once: one object may stand in the list twice."""
    if isinstance(image, str | bytes | os.PathLike):
        return pool.submit(_decode, image, index, spec)
    future: Future[Decoded] = Future()
    future.set_result(_decode(image, index, spec))
    return future


def _decode(image: "ImageSource", index: int, spec: ImageSpec) -> Decoded:
    """Return the pixels of a picture, or the error that says why there are none."""
    name = f"Image {index}" if isinstance(image, bytes | np.ndarray | Image.Image) else None
    try:
        return decode(image, spec=spec, name=name)
    except InputError as error:
        return error
