"""Pictures and texts as the batches of inputs that the graphs of a model read."""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hyperclip.bundle.manifest import ImageSpec, Manifest
from hyperclip.errors import InputError
from hyperclip.runtime.decode_ahead import decode_batches
from hyperclip.runtime.preprocess import decode
from hyperclip.runtime.tokenizer import TextTokenizer

if TYPE_CHECKING:
    from hyperclip.runtime.preprocess import ImageSource

__all__ = ["picture_batches", "pixel_batches", "spec_for_encoder", "square_pixels", "text_batches"]

BATCH_SIZE = 16
TEXT_BATCH_SIZE = 256

Arrays = dict[str, npt.NDArray[np.generic]]


def picture_batches(
    images: "Sequence[ImageSource]", spec: ImageSpec, *, batch_size: int = BATCH_SIZE
) -> list[Arrays]:
    """Return pictures as a classifier file reads them: ``images`` uint8 (batch, side, side, 3).

    Raises
    ------
    InputError
        If one of them cannot be read.
    """
    feeds: list[Arrays] = []
    for batch in decode_batches(iter(images), spec=spec, batch_size=batch_size):
        pixels = []
        for _, decoded in batch:
            if isinstance(decoded, InputError):
                raise decoded
            pixels.append(decoded)
        feeds.append({"images": np.stack(pixels)})
    return feeds


def square_pixels(images: "Sequence[ImageSource]", spec: ImageSpec) -> npt.NDArray[np.uint8]:
    """Return all pictures as the encoder's squares, shape (n_images, side, side, 3), RGB, uint8."""
    return np.concatenate([np.asarray(feed["images"], np.uint8) for feed in picture_batches(images, spec)])


def spec_for_encoder(images: ImageSpec, size_px: int | None) -> ImageSpec:
    """Return a bundle's image spec for one of its sizes; raises `InputError` for others."""
    if size_px is None or size_px == images.size_px:
        return images
    if size_px not in images.sizes_px:
        raise InputError(
            f"The image size is {size_px}; expected one of {', '.join(map(str, images.sizes_px))}; "
            "choose one."
        )
    return dataclasses.replace(images, size_px=size_px)


def pixel_batches(
    images: "Sequence[ImageSource]", spec: ImageSpec, *, batch_size: int = BATCH_SIZE
) -> list[Arrays]:
    """Return pictures as a bundle's encoder reads them: ``images`` float32 (batch, 3, S, S), normalized."""
    mean, std = (np.array(values, np.float32).reshape(1, 3, 1, 1) for values in (spec.mean, spec.std))
    feeds: list[Arrays] = []
    for start in range(0, len(images), batch_size):
        squares = []
        for place, image in enumerate(images[start : start + batch_size], start):
            name = f"Picture {place}" if isinstance(image, bytes | np.ndarray) else None
            squares.append(decode(image, spec=spec, name=name))
        planes = np.stack(squares).transpose(0, 3, 1, 2).astype(np.float32) / 255
        feeds.append({"images": ((planes - mean) / std).astype(np.float32)})
    return feeds


def text_batches(texts: Sequence[str], tokenizer: bytes, manifest: Manifest) -> list[Arrays]:
    """Return texts as a bundle's text encoder reads them, equally long ones together, so without padding."""
    reader = TextTokenizer(tokenizer, manifest.text)
    by_length: dict[int, list[npt.NDArray[np.int64]]] = defaultdict(list)
    token_ids, mask = reader.encode(list(dict.fromkeys(texts)))
    for row, length in zip(token_ids, mask.sum(axis=1), strict=True):
        by_length[int(length)].append(row[:length])
    feeds: list[Arrays] = []
    for _, rows in sorted(by_length.items()):
        for start in range(0, len(rows), TEXT_BATCH_SIZE):
            ids = np.stack(rows[start : start + TEXT_BATCH_SIZE])
            feeds.append({"token_ids": ids, "mask": np.ones_like(ids)})
    return feeds
