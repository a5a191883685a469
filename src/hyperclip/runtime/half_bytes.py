"""Whole numbers from -8 to 7, two in a byte: how vectors are stored in ``glossary.bin``."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["join_halves", "split_halves"]


def split_halves(packed: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return vectors of whole numbers from -8 to 7, of shape (n, dim), from bytes of shape (n, dim / 2)."""
    values = np.empty((len(packed), packed.shape[1] * 2), np.float32)
    values[:, 0::2] = packed & 15
    values[:, 1::2] = packed >> 4
    return values - np.float32(8)


def join_halves(values: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Return bytes of shape (n, dim / 2) from whole numbers from -8 to 7 of shape (n, dim)."""
    shifted = (values + 8).astype(np.uint8)
    packed: NDArray[np.uint8] = shifted[:, 0::2] | (shifted[:, 1::2] << np.uint8(4))
    return packed
