"""Taught vectors: what was packed comes back, row by row, and damage is refused."""

import dataclasses
import json
import zlib

import numpy as np
import pytest

from hyperclip.errors import BundleError
from hyperclip.runtime.class_vectors import BLOCK_ROWS, ClassVectors, pack_class_vectors
from hyperclip.runtime.glossary import Glossary
from hyperclip.runtime.glossary_format import GlossaryTables, pack_glossary, unpack_glossary
from tiny_glossary import make_tables, with_checksum

CLASS_DIM, TEXT_DIM = 6, 10


def make_values(n_senses: int) -> np.ndarray:
    values = np.random.default_rng(0).integers(-8, 8, (n_senses, CLASS_DIM)).astype(np.int8)
    values[0] = 0
    return values


def make_basis() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(CLASS_DIM, TEXT_DIM)).astype(np.float16)


def make_taught() -> GlossaryTables:
    """The tiny glossary with class vectors."""
    tables = make_tables()
    classes = pack_class_vectors(make_values(len(tables.wnids)), make_basis())
    return dataclasses.replace(tables, class_vectors=classes)


@pytest.mark.parametrize("n_senses", [1, BLOCK_ROWS, 2 * BLOCK_ROWS + 3])
def test_each_row_comes_back_through_the_basis_at_unit_length(n_senses: int) -> None:
    values, basis = make_values(n_senses), make_basis()
    classes = pack_class_vectors(values, basis)
    assert classes.of(0) is None
    for sense in {n_senses // 2, n_senses - 1} - {0}:
        wanted = values[sense].astype(np.float64) @ basis.astype(np.float64)
        found = classes.of(sense)
        assert found is not None
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted / np.linalg.norm(wanted), atol=1e-5)


def test_a_few_rows_unpack_a_few_blocks() -> None:
    classes = pack_class_vectors(make_values(5 * BLOCK_ROWS), make_basis())
    classes.of(1)
    classes.of(2)
    classes.of(3 * BLOCK_ROWS)
    assert sorted(classes._blocks) == [0, 3]


def test_a_file_with_class_vectors_is_read_and_written_to_equal_bytes() -> None:
    data = pack_glossary(make_taught())
    assert data[:8] == b"HCGLOSS2"
    read = unpack_glossary(data)
    assert pack_glossary(read) == data
    assert read.class_vectors is not None
    assert (read.class_vectors.class_dim, read.class_vectors.text_dim) == (CLASS_DIM, TEXT_DIM)
    assert pack_glossary(make_tables())[:8] == b"HCGLOSS1"


def test_meanings_carry_the_vector_of_their_sense() -> None:
    glossary = Glossary.read(pack_glossary(make_taught()))
    assert glossary.text_dim == TEXT_DIM
    mouse, _ = glossary.choose(["mouse", "keyboard"])
    assert mouse is not None
    assert mouse.vector is not None
    np.testing.assert_array_equal(mouse.vector, glossary.vector(mouse.wnid))
    hinted = glossary.choose(["crane (machine)", "cat"])[0]
    assert hinted is not None
    assert hinted.vector is not None
    np.testing.assert_array_equal(hinted.vector, glossary.vector("n03126707"))
    assert glossary.vector("mouse") is None
    assert glossary.vector("n99999999") is None


def test_a_glossary_without_vectors_gives_none() -> None:
    glossary = Glossary.read(pack_glossary(make_tables()))
    assert glossary.text_dim is None
    assert glossary.vector("n02121620") is None
    meaning = glossary.choose(["cat", "dog"])[0]
    assert meaning is not None
    assert meaning.vector is None


def header_of(data: bytes) -> dict[str, object]:
    header: dict[str, object] = json.loads(data[16 : 16 + int.from_bytes(data[12:16], "little")])
    return header


def with_header(data: bytes, header: dict[str, object]) -> bytes:
    size = int.from_bytes(data[12:16], "little")
    raw = json.dumps(header).encode()
    return with_checksum(data[:12] + len(raw).to_bytes(4, "little") + raw + data[16 + size :])


@pytest.mark.parametrize(
    "change",
    [
        {"class_dim": 5},
        {"class_dim": 194},
        {"class_dim": 0},
        {"class_dim": 4},
        {"class_dim": True},
        {"text_dim": 10**9},
        {"text_dim": 0},
        {"text_dim": 20},
        {"text_dim": None},
    ],
)
def test_other_lengths_are_refused(change: dict[str, object]) -> None:
    data = pack_glossary(make_taught())
    with pytest.raises(BundleError):
        unpack_glossary(with_header(data, {**header_of(data), **change}))


def test_the_magic_says_whether_there_are_class_vectors() -> None:
    for data in (pack_glossary(make_taught()), pack_glossary(make_tables())):
        other = b"HCGLOSS1" if data[:8] == b"HCGLOSS2" else b"HCGLOSS2"
        with pytest.raises(BundleError, match="other keys"):
            unpack_glossary(other + data[8:])


@pytest.mark.parametrize("entry", [["|u1", 10**9, 5], ["<u4", 3, 5], ["<u2", 3, 5]])
@pytest.mark.parametrize("section", ["class_vectors", "class_basis", "class_block_sizes"])
def test_announced_sizes_are_checked_before_anything_is_unpacked(section: str, entry: list[object]) -> None:
    data = pack_glossary(make_taught())
    header = header_of(data)
    sections = header["sections"]
    assert isinstance(sections, dict)
    with pytest.raises(BundleError):
        unpack_glossary(with_header(data, {**header, "sections": {**sections, section: entry}}))


def broken(**changes: object) -> ClassVectors:
    classes = make_taught().class_vectors
    assert classes is not None
    return dataclasses.replace(classes, **changes)  # type: ignore[arg-type]


def test_numbers_that_do_not_belong_together_are_refused() -> None:
    endless = make_basis()
    endless[0, 0] = np.inf
    for classes in (
        broken(basis=endless),
        broken(n_senses=3),
        broken(block_sizes=np.array([7], np.uint32)),
        broken(block_sizes=np.array([1, 2], np.uint32)),
    ):
        with pytest.raises(BundleError):
            pack_glossary(dataclasses.replace(make_tables(), class_vectors=classes))


def test_a_block_that_unpacks_to_more_than_it_must_is_refused() -> None:
    bomb = zlib.compress(bytes(5_000_000), 9)
    classes = broken(packed=bomb, block_sizes=np.array([len(bomb)], np.uint32))
    with pytest.raises(BundleError, match="another size"):
        classes.of(1)


def test_a_basis_of_zeros_gives_no_vector() -> None:
    assert broken(basis=np.zeros((CLASS_DIM, TEXT_DIM), np.float16)).of(1) is None
