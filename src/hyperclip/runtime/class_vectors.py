"""What the text encoder was taught for each sense, in a few bits a number, unpacked where it is asked for.

A vector's numbers along the main directions of all vectors are stored as whole numbers of one common step.
Only directions count, so the step itself is not stored: what comes back is brought to unit length. The
rows lie in blocks, each compressed for itself and by columns (numbers along one direction are alike,
which compresses better), so that a few names unpack a few blocks.
"""

import zlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hyperclip.runtime.half_bytes import join_halves, split_halves
from hyperclip.runtime.inflate import damaged, inflate

__all__ = ["CLASS_DIM_MAX", "TEXT_DIM_MAX", "ClassVectors", "pack_class_vectors"]

CLASS_DIM_MAX = 192
TEXT_DIM_MAX = 4_096
BLOCK_ROWS = 512


@dataclass(frozen=True, kw_only=True)
class ClassVectors:
    """One vector a sense, still packed.

    Parameters
    ----------
    n_senses : int
        How many rows there are.
    packed : bytes
        The blocks, one after the other.
    block_sizes : ndarray of shape (n_blocks,), uint32
        Bytes of each block.
    basis : ndarray of shape (class_dim, text_dim), float16
        Brings the stored numbers back to the space of the text encoder. `class_dim` is even, in [2, 192].
    """

    n_senses: int
    packed: bytes = field(repr=False)
    block_sizes: NDArray[np.uint32]
    basis: NDArray[np.float16] = field(repr=False)
    _blocks: dict[int, NDArray[np.uint8]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def class_dim(self) -> int:
        """How many numbers are stored for a sense."""
        return int(self.basis.shape[0])

    @property
    def text_dim(self) -> int:
        """Length of the vectors that come back."""
        return int(self.basis.shape[1])

    @cached_property
    def _wide_basis(self) -> NDArray[np.float32]:
        return self.basis.astype(np.float32)

    def of(self, sense: int) -> NDArray[np.float32] | None:
        """Return the vector of one sense; the same bits in whatever company it is asked for.

        Parameters
        ----------
        sense : int
            Row, in [0, n_senses).

        Returns
        -------
        ndarray of shape (text_dim,), float32, unit length, or None
            None where the sense has no vector.

        Raises
        ------
        BundleError
            When its block does not unpack to the size that it must have.
        """
        block, row = divmod(sense, BLOCK_ROWS)
        values = split_halves(self._block(block)[row : row + 1])[0]
        vector = values @ self._wide_basis
        length = float(np.linalg.norm(vector))
        return (vector / np.float32(length)).astype(np.float32) if length > 0 else None

    def check(self) -> None:
        """Refuse sizes and numbers that do not belong together; raises `BundleError`."""
        if not np.isfinite(self.basis).all():
            raise damaged("its class basis has values that are not finite", "numbers")
        if len(self.block_sizes) != -(-self.n_senses // BLOCK_ROWS):
            raise damaged(f"it has {len(self.block_sizes)} blocks of class vectors", "one for 512 senses")
        if self.block_sizes.sum(dtype=np.int64) != len(self.packed):
            raise damaged("its blocks of class vectors have other sizes than announced", "their sum")

    def _block(self, block: int) -> NDArray[np.uint8]:
        """Return a block's rows, two numbers a byte, shape (n_rows, class_dim / 2), and keep them."""
        if block not in self._blocks:
            stop = int(self.block_sizes[: block + 1].sum(dtype=np.int64))
            start = stop - int(self.block_sizes[block])
            n_rows, width = min(BLOCK_ROWS, self.n_senses - block * BLOCK_ROWS), self.class_dim // 2
            raw = inflate(self.packed[start:stop], n_rows * width, "class_vectors")
            columns = np.frombuffer(raw, np.uint8).reshape(width, n_rows)
            self._blocks[block] = np.ascontiguousarray(columns.T)
        return self._blocks[block]


def pack_class_vectors(values: NDArray[np.int8], basis: NDArray[np.float16]) -> ClassVectors:
    """Pack vectors for a glossary.

    Parameters
    ----------
    values : ndarray of shape (n_senses, class_dim), int8, from -8 to 7
        A row of zeros stands for a sense without a vector.
    basis : ndarray of shape (class_dim, text_dim), float16

    Returns
    -------
    ClassVectors
    """
    rows = join_halves(values)
    blocks = [
        zlib.compress(np.ascontiguousarray(rows[start : start + BLOCK_ROWS].T).tobytes(), 9)
        for start in range(0, len(rows), BLOCK_ROWS)
    ]
    return ClassVectors(
        n_senses=len(values),
        packed=b"".join(blocks),
        block_sizes=np.array([len(block) for block in blocks], np.uint32),
        basis=basis,
    )
