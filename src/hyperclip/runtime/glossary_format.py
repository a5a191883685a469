"""The file ``glossary.bin``: word senses as tables of numbers, read with distrust and written here.

Layout: 8 bytes of magic, the CRC-32 of everything after it (4 bytes), the length of the header
(4 bytes, little endian), the header as JSON, then the sections one after the other, each compressed
with zlib. The header gives every section its item type, its number of items and its compressed size;
a reader therefore knows what it will hold before it unpacks anything.

A file whose magic ends in 2 also has class vectors (`hyperclip.runtime.class_vectors`): three more
sections, and their lengths in the header. Files with and without them are both read.
"""

import json
import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperclip.errors import BundleError
from hyperclip.runtime.class_vectors import ClassVectors
from hyperclip.runtime.glossary_header import (
    CLASS_SECTIONS,
    FILE_MAX_BYTES,
    HEADER_MAX_BYTES,
    ITEM_TYPES,
    SECTIONS,
    UNPACKED_LATER,
    read_header,
)
from hyperclip.runtime.half_bytes import join_halves
from hyperclip.runtime.inflate import ADVICE, damaged, inflate

__all__ = ["BASIC", "EMPTY", "FOOD", "LEARNT", "PERSON", "PLANT", "VAGUE", "GlossaryTables", "pack_glossary",
           "unpack_glossary"]  # fmt: skip

# Bits of GlossaryTables.flags.
PERSON, PLANT, FOOD = 1, 2, 4
VAGUE = 8  # too general to tell anybody anything: "whole", "instrumentality"
BASIC = 16  # what everybody would say: "bird", "tool"
EMPTY = 32  # says nothing at all: "entity", "object"
LEARNT = 64  # the image encoder was shown pictures of it

UNSHOWN = 128  # added to a rank: the word finds the sense, but is not shown to people (Latin names)

MAGIC = b"HCGLOSS1"
MAGIC_WITH_CLASSES = b"HCGLOSS2"  # the same, and after it the sections of class vectors


@dataclass(frozen=True, kw_only=True)
class GlossaryTables:
    """Senses of words, one row a sense.

    Parameters
    ----------
    lemmas : tuple of str
        Words, each once, in the order in which `lemma_ids` count.
    wnids : ndarray of shape (n_senses,), uint32, ascending
        WordNet id of each sense without its ``n``.
    flags : ndarray of shape (n_senses,), uint8
        Bits `PERSON`, `PLANT`, `FOOD`, `VAGUE`, `BASIC`, `EMPTY`, `LEARNT`.
    lemma_counts : ndarray of shape (n_senses,), uint8
        How many words each sense has.
    lemma_ids : ndarray of shape (n_pairs,), uint32
        The words of all senses, one sense after the other, the most used word first.
    ranks : ndarray of shape (n_pairs,), uint8, in [1, 127]
        How common the sense is for the word, 1 the commonest; plus 128 where the word is not shown.
    parent_counts : ndarray of shape (n_senses,), uint8
        How many parents each sense has.
    parents : ndarray of shape (n_parents,), uint32
        Rows of what each sense is a kind of, one sense after the other.
    packed_vectors : bytes
        Meaning vectors, compressed as in the file; see `vectors`.
    dim : int
        Length of a meaning vector, even, in [2, 128].
    class_vectors : ClassVectors, optional
        What the text encoder was taught for each sense.
    """

    lemmas: tuple[str, ...]
    wnids: NDArray[np.uint32]
    flags: NDArray[np.uint8]
    lemma_counts: NDArray[np.uint8]
    lemma_ids: NDArray[np.uint32]
    ranks: NDArray[np.uint8]
    parent_counts: NDArray[np.uint8]
    parents: NDArray[np.uint32]
    packed_vectors: bytes = field(repr=False)
    dim: int
    class_vectors: ClassVectors | None = None

    def vectors(self) -> NDArray[np.uint8]:
        """Return the meaning vectors as they are stored: two numbers a byte.

        Returns
        -------
        ndarray of shape (n_senses, dim / 2), uint8
            Low half: the even numbers, high half: the odd ones, each plus 8; see `split_halves`.

        Raises
        ------
        BundleError
            When they do not unpack to the announced size.
        """
        raw = inflate(self.packed_vectors, len(self.wnids) * self.dim // 2, "vectors")
        return np.frombuffer(raw, np.uint8).reshape(len(self.wnids), self.dim // 2)


def pack_vectors(values: NDArray[np.int8]) -> bytes:
    """Return vectors of shape (n, dim) with whole numbers from -8 to 7 as `GlossaryTables` keep them."""
    return zlib.compress(join_halves(values).tobytes(), 9)


def pack_glossary(tables: GlossaryTables) -> bytes:
    """Return the bytes of a glossary file; equal tables give equal bytes.

    Parameters
    ----------
    tables : GlossaryTables
        Checked as `unpack_glossary` checks them.

    Returns
    -------
    bytes

    Raises
    ------
    BundleError
        When the tables do not belong together.
    """
    _check(tables)
    text = "\n".join(tables.lemmas).encode()
    items: dict[str, NDArray[Any]] = {
        "lemmas": np.frombuffer(text, np.uint8),
        # Differences of neighbors are small numbers, which compress well.
        "wnids": np.diff(tables.wnids.astype(np.int64), prepend=0).astype(np.uint32),
        "flags": tables.flags,
        "lemma_counts": tables.lemma_counts,
        "lemma_ids": tables.lemma_ids,
        "ranks": tables.ranks,
        "parent_counts": tables.parent_counts,
        "parents": tables.parents,
    }
    packed = {"vectors": tables.packed_vectors}
    n_items = {"vectors": len(tables.wnids) * tables.dim // 2}
    header: dict[str, object] = {"dim": tables.dim}
    names: tuple[str, ...] = SECTIONS
    classes = tables.class_vectors
    if classes is not None:
        items["class_block_sizes"] = classes.block_sizes
        items["class_basis"] = np.ascontiguousarray(classes.basis, np.float16).view(np.uint16).ravel()
        packed["class_vectors"] = classes.packed
        n_items["class_vectors"] = classes.n_senses * classes.class_dim // 2
        header |= {"class_dim": classes.class_dim, "text_dim": classes.text_dim}
        names = SECTIONS + CLASS_SECTIONS
    item_types = dict.fromkeys(packed, "|u1")
    for name, values in items.items():
        item_types[name] = _smallest_type(values) if name != "class_basis" else "<u2"
        packed[name] = zlib.compress(values.astype(item_types[name]).tobytes(), 9)
        n_items[name] = int(values.size)
    header["sections"] = {name: [item_types[name], n_items[name], len(packed[name])] for name in names}
    raw = json.dumps(header, separators=(",", ":")).encode()
    rest = struct.pack("<I", len(raw)) + raw + b"".join(packed[name] for name in names)
    magic = MAGIC if classes is None else MAGIC_WITH_CLASSES
    return magic + struct.pack("<I", zlib.crc32(rest)) + rest


def _smallest_type(values: NDArray[Any]) -> str:
    """Return the first of `ITEM_TYPES` that holds all values."""
    return next(t for t in ITEM_TYPES if not values.size or values.max() <= np.iinfo(t).max)


def unpack_glossary(data: bytes) -> GlossaryTables:
    """Return the tables of a glossary file.

    Parameters
    ----------
    data : bytes
        The file, at most 32 MiB.

    Returns
    -------
    GlossaryTables
        Every number is in range; the vectors are still compressed.

    Raises
    ------
    BundleError
        When the file is not a glossary, damaged, or announces more than it may hold.
    """
    has_classes = data[: len(MAGIC)] == MAGIC_WITH_CLASSES
    if len(data) > FILE_MAX_BYTES or not (has_classes or data[: len(MAGIC)] == MAGIC) or len(data) < 16:
        raise BundleError(
            f"glossary.bin has {len(data):,} bytes and starts with {data[:8]!r}; expected at most "
            f"{FILE_MAX_BYTES:,} bytes that start with {MAGIC!r} or {MAGIC_WITH_CLASSES!r}; {ADVICE}."
        )
    checksum, header_size = struct.unpack_from("<II", data, 8)
    if zlib.crc32(memoryview(data)[12:]) != checksum:
        raise damaged("its checksum is wrong", "the bytes that were written")
    if header_size > min(HEADER_MAX_BYTES, len(data) - 16):
        raise damaged(f"its header has {header_size:,} bytes", f"at most {HEADER_MAX_BYTES:,}")
    dims, sections = read_header(data[16 : 16 + header_size], has_classes=has_classes)
    dim = dims["dim"]
    if 16 + header_size + sum(stored for _, _, stored in sections.values()) != len(data):
        raise damaged(f"it has {len(data):,} bytes", "as many as its sections announce")
    arrays: dict[str, NDArray[Any]] = {}
    position = 16 + header_size
    packed: dict[str, bytes] = {}
    for name, (item_type, n_items, stored) in sections.items():
        packed[name] = data[position : position + stored]
        position += stored
        if name not in UNPACKED_LATER:
            raw = inflate(packed[name], n_items * np.dtype(item_type).itemsize, name)
            arrays[name] = np.frombuffer(raw, item_type)
    try:
        text = arrays["lemmas"].astype(np.uint8).tobytes().decode()
    except UnicodeDecodeError as error:
        raise damaged("its words are not UTF-8", "readable words") from error
    wnids = np.cumsum(arrays["wnids"].astype(np.int64))
    n_senses = len(wnids)
    if n_senses and wnids[-1] >= 2**32:
        raise damaged("its ids are too large", "8 digits")
    if sections["vectors"][:2] != ("|u1", n_senses * dim // 2):
        raise damaged(f"its vectors have {sections['vectors'][1]:,} bytes", f"{n_senses * dim // 2:,}")
    classes = None
    if has_classes:
        n_bytes = n_senses * dims["class_dim"] // 2
        if sections["class_vectors"][:2] != ("|u1", n_bytes):
            raise damaged(f"its class vectors have {sections['class_vectors'][1]:,} bytes", f"{n_bytes:,}")
        basis = arrays["class_basis"].astype(np.uint16).view(np.float16)
        classes = ClassVectors(
            n_senses=n_senses,
            packed=packed["class_vectors"],
            block_sizes=arrays["class_block_sizes"].astype(np.uint32),
            basis=basis.reshape(dims["class_dim"], dims["text_dim"]),
        )
    tables = GlossaryTables(
        lemmas=tuple(text.split("\n")) if text else (),
        wnids=wnids.astype(np.uint32),
        flags=arrays["flags"].astype(np.uint8),
        lemma_counts=arrays["lemma_counts"].astype(np.uint8),
        lemma_ids=arrays["lemma_ids"].astype(np.uint32),
        ranks=arrays["ranks"].astype(np.uint8),
        parent_counts=arrays["parent_counts"].astype(np.uint8),
        parents=arrays["parents"].astype(np.uint32),
        packed_vectors=packed["vectors"],
        dim=dim,
        class_vectors=classes,
    )
    _check(tables)
    return tables


def _check(tables: GlossaryTables) -> None:
    """Refuse tables whose numbers do not belong together."""
    n = len(tables.wnids)
    ranks = tables.ranks & (UNSHOWN - 1)
    if not len(tables.flags) == len(tables.lemma_counts) == len(tables.parent_counts) == n:
        raise damaged("its tables differ in length", "one row a sense")
    if n and (np.diff(tables.wnids.astype(np.int64)) <= 0).any():
        raise damaged("its ids are not in order", "ascending ids")
    if not len(tables.lemma_ids) == len(tables.ranks) == tables.lemma_counts.sum(dtype=np.int64):
        raise damaged("its words and senses differ in number", "one rank a word and sense")
    if len(tables.parents) != tables.parent_counts.sum(dtype=np.int64):
        raise damaged("its parents differ in number", "as many as announced")
    if n and tables.lemma_counts.min() < 1:
        raise damaged("a sense has no word", "at least one word a sense")
    if ranks.size and ranks.min() < 1:
        raise damaged("a rank is 0", "ranks from 1")
    if tables.lemma_ids.size and tables.lemma_ids.max() >= len(tables.lemmas):
        raise damaged("a sense points to a word that is not there", f"{len(tables.lemmas):,} words")
    if tables.parents.size and tables.parents.max() >= n:
        raise damaged("a sense points to a parent that is not there", f"{n:,} senses")
    if tables.class_vectors is not None:
        if tables.class_vectors.n_senses != n:
            raise damaged("its class vectors differ in number", "one a sense")
        tables.class_vectors.check()
