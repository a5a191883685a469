"""The file ``glossary.bin``: word senses as tables of numbers, read with distrust and written here.

Layout: 8 bytes of magic, the CRC-32 of everything after it (4 bytes), the length of the header
(4 bytes, little endian), the header as JSON, then the sections one after the other, each compressed
with zlib. The header gives every section its item type, its number of items and its compressed size;
a reader therefore knows what it will hold before it unpacks anything.
"""

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperclip.errors import BundleError

__all__ = ["BASIC", "EMPTY", "FOOD", "PERSON", "PLANT", "VAGUE", "GlossaryTables", "pack_glossary",
           "unpack_glossary"]  # fmt: skip

# Bits of GlossaryTables.flags.
PERSON, PLANT, FOOD = 1, 2, 4
VAGUE = 8  # too general to tell anybody anything: "whole", "instrumentality"
BASIC = 16  # what everybody would say: "bird", "tool"
EMPTY = 32  # says nothing at all: "entity", "object"

UNSHOWN = 128  # added to a rank: the word finds the sense, but is not shown to people (Latin names)

MAGIC = b"HCGLOSS1"
HEADER_MAX_BYTES = 4_096
ITEMS_MAX = 4_000_000
FILE_MAX_BYTES = 32 * 2**20
DIM_MAX = 128
SECTIONS = (
    "lemmas", "wnids", "flags", "lemma_counts", "lemma_ids", "ranks", "parent_counts", "parents", "vectors",
)  # fmt: skip
ITEM_TYPES = ("|u1", "<u2", "<u4")
ADVICE = "install hyperclip or the model again"


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
        Bits `PERSON`, `PLANT`, `FOOD`, `VAGUE`, `BASIC`, `EMPTY`.
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
        raw = _inflate(self.packed_vectors, len(self.wnids) * self.dim // 2, "vectors")
        return np.frombuffer(raw, np.uint8).reshape(len(self.wnids), self.dim // 2)


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
    sections: dict[str, list[object]] = {}
    body = []
    for name, values in items.items():
        item_type = next(t for t in ITEM_TYPES if not values.size or values.max() <= np.iinfo(t).max)
        packed = zlib.compress(values.astype(item_type).tobytes(), 9)
        sections[name] = [item_type, int(values.size), len(packed)]
        body.append(packed)
    sections["vectors"] = ["|u1", len(tables.wnids) * tables.dim // 2, len(tables.packed_vectors)]
    body.append(tables.packed_vectors)
    header = json.dumps({"dim": tables.dim, "sections": sections}, separators=(",", ":")).encode()
    rest = struct.pack("<I", len(header)) + header + b"".join(body)
    return MAGIC + struct.pack("<I", zlib.crc32(rest)) + rest


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
    if len(data) > FILE_MAX_BYTES or data[: len(MAGIC)] != MAGIC or len(data) < 16:
        raise BundleError(
            f"glossary.bin has {len(data):,} bytes and starts with {data[:8]!r}; expected at most "
            f"{FILE_MAX_BYTES:,} bytes that start with {MAGIC!r}; {ADVICE}."
        )
    checksum, header_size = struct.unpack_from("<II", data, 8)
    if zlib.crc32(memoryview(data)[12:]) != checksum:
        raise _damaged("its checksum is wrong", "the bytes that were written")
    if header_size > min(HEADER_MAX_BYTES, len(data) - 16):
        raise _damaged(f"its header has {header_size:,} bytes", f"at most {HEADER_MAX_BYTES:,}")
    dim, sections = _read_header(data[16 : 16 + header_size])
    if 16 + header_size + sum(stored for _, _, stored in sections.values()) != len(data):
        raise _damaged(f"it has {len(data):,} bytes", "as many as its sections announce")
    arrays: dict[str, NDArray[Any]] = {}
    position = 16 + header_size
    packed_vectors = b""
    for name, (item_type, n_items, stored) in sections.items():
        packed = data[position : position + stored]
        position += stored
        if name == "vectors":
            packed_vectors = packed
        else:
            raw = _inflate(packed, n_items * np.dtype(item_type).itemsize, name)
            arrays[name] = np.frombuffer(raw, item_type)
    try:
        text = arrays["lemmas"].astype(np.uint8).tobytes().decode()
    except UnicodeDecodeError as error:
        raise _damaged("its words are not UTF-8", "readable words") from error
    wnids = np.cumsum(arrays["wnids"].astype(np.int64))
    n_senses = len(wnids)
    if n_senses and wnids[-1] >= 2**32:
        raise _damaged("its ids are too large", "8 digits")
    if sections["vectors"][:2] != ("|u1", n_senses * dim // 2):
        raise _damaged(f"its vectors have {sections['vectors'][1]:,} bytes", f"{n_senses * dim // 2:,}")
    tables = GlossaryTables(
        lemmas=tuple(text.split("\n")) if text else (),
        wnids=wnids.astype(np.uint32),
        flags=arrays["flags"].astype(np.uint8),
        lemma_counts=arrays["lemma_counts"].astype(np.uint8),
        lemma_ids=arrays["lemma_ids"].astype(np.uint32),
        ranks=arrays["ranks"].astype(np.uint8),
        parent_counts=arrays["parent_counts"].astype(np.uint8),
        parents=arrays["parents"].astype(np.uint32),
        packed_vectors=packed_vectors,
        dim=dim,
    )
    _check(tables)
    return tables


def _read_header(raw: bytes) -> tuple[int, dict[str, tuple[str, int, int]]]:
    """Return the vector length and, for each section, its item type, item count and stored size."""
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _damaged("its header is not JSON", "a JSON object") from error
    if not isinstance(header, dict) or set(header) != {"dim", "sections"}:
        raise _damaged("its header has other keys", "dim and sections")
    dim, sections = header["dim"], header["sections"]
    if type(dim) is not int or not 2 <= dim <= DIM_MAX or dim % 2:
        raise _damaged(f"its vectors have {dim!r:.20} numbers", f"an even number up to {DIM_MAX}")
    if not isinstance(sections, Mapping) or tuple(sections) != SECTIONS:
        raise _damaged("its sections have other names", ", ".join(SECTIONS))
    checked: dict[str, tuple[str, int, int]] = {}
    for name, entry in sections.items():
        if not isinstance(entry, list) or len(entry) != 3 or entry[0] not in ITEM_TYPES:
            raise _damaged(f"section {name} is not described", "item type, count and size")
        item_type, n_items, stored = entry
        if type(n_items) is not int or type(stored) is not int or min(n_items, stored) < 0:
            raise _damaged(f"section {name} has no sizes", "two whole numbers")
        if n_items > ITEMS_MAX or stored > FILE_MAX_BYTES:
            raise _damaged(f"section {name} announces {n_items!r:.20} items", f"at most {ITEMS_MAX:,}")
        checked[name] = (item_type, n_items, stored)
    if checked["lemmas"][0] != "|u1":
        raise _damaged("its words are not bytes", "bytes")
    return dim, checked


def _inflate(packed: bytes, size: int, name: str) -> bytes:
    """Decompress a section that must have `size` bytes; never unpack more than that."""
    unpacker = zlib.decompressobj()
    try:
        raw = unpacker.decompress(packed, size + 1)
    except zlib.error as error:
        raise _damaged(f"section {name} does not unpack", f"{size:,} bytes") from error
    if len(raw) != size or not unpacker.eof or unpacker.unused_data:
        raise _damaged(f"section {name} has another size than announced", f"{size:,} bytes")
    return raw


def _check(tables: GlossaryTables) -> None:
    """Refuse tables whose numbers do not belong together."""
    n = len(tables.wnids)
    ranks = tables.ranks & (UNSHOWN - 1)
    if not len(tables.flags) == len(tables.lemma_counts) == len(tables.parent_counts) == n:
        raise _damaged("its tables differ in length", "one row a sense")
    if n and (np.diff(tables.wnids.astype(np.int64)) <= 0).any():
        raise _damaged("its ids are not in order", "ascending ids")
    if not len(tables.lemma_ids) == len(tables.ranks) == tables.lemma_counts.sum(dtype=np.int64):
        raise _damaged("its words and senses differ in number", "one rank a word and sense")
    if len(tables.parents) != tables.parent_counts.sum(dtype=np.int64):
        raise _damaged("its parents differ in number", "as many as announced")
    if n and tables.lemma_counts.min() < 1:
        raise _damaged("a sense has no word", "at least one word a sense")
    if ranks.size and ranks.min() < 1:
        raise _damaged("a rank is 0", "ranks from 1")
    if tables.lemma_ids.size and tables.lemma_ids.max() >= len(tables.lemmas):
        raise _damaged("a sense points to a word that is not there", f"{len(tables.lemmas):,} words")
    if tables.parents.size and tables.parents.max() >= n:
        raise _damaged("a sense points to a parent that is not there", f"{n:,} senses")


def _damaged(found: str, expected: str) -> BundleError:
    return BundleError(f"glossary.bin is damaged: {found}; expected {expected}; {ADVICE}.")
