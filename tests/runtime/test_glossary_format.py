"""The glossary's file: what was written is read, and anything else is refused in one sentence."""

import contextlib
import dataclasses
import json
import random
import zlib

import numpy as np
import pytest

from hyperclip.errors import BundleError
from hyperclip.runtime.glossary_format import (
    GlossaryTables,
    pack_glossary,
    unpack_glossary,
)
from hyperclip.runtime.half_bytes import join_halves, split_halves
from tiny_glossary import DIM, make_glossary, make_tables, with_checksum


def rewrite_header(data: bytes, **changes: object) -> bytes:
    """Return a file with another header and a fitting checksum."""
    size = int.from_bytes(data[12:16], "little")
    header = {**json.loads(data[16 : 16 + size]), **changes}
    raw = json.dumps(header).encode()
    return with_checksum(data[:12] + len(raw).to_bytes(4, "little") + raw + data[16 + size :])


def sections_of(data: bytes) -> dict[str, list[object]]:
    size = int.from_bytes(data[12:16], "little")
    return dict(json.loads(data[16 : 16 + size])["sections"])


def test_what_was_written_is_read() -> None:
    tables = make_tables()
    read = unpack_glossary(pack_glossary(tables))
    for field in dataclasses.fields(GlossaryTables):
        assert np.array_equal(getattr(read, field.name), getattr(tables, field.name)), field.name
    assert read.vectors().shape == (len(tables.wnids), DIM // 2)


def test_reading_and_writing_again_gives_equal_bytes() -> None:
    data = make_glossary()
    assert pack_glossary(unpack_glossary(data)) == data


def test_vectors_survive_packing() -> None:
    values = np.random.default_rng(0).integers(-8, 8, (50, DIM)).astype(np.int8)
    assert np.array_equal(split_halves(join_halves(values)), values.astype(np.float32))


def test_any_corrupt_byte_is_refused() -> None:
    data = make_glossary()
    rng = random.Random(1)
    for _ in range(400):
        at = rng.randrange(len(data))
        damaged = data[:at] + bytes([data[at] ^ rng.randint(1, 255)]) + data[at + 1 :]
        with pytest.raises(BundleError):
            unpack_glossary(damaged)


def test_any_truncation_is_refused() -> None:
    data = make_glossary()
    for size in [*range(0, 40), *range(40, len(data), 37)]:
        with pytest.raises(BundleError):
            unpack_glossary(data[:size])
    with pytest.raises(BundleError):
        unpack_glossary(data + b"\0")


def test_corrupt_bytes_under_a_fitting_checksum_raise_nothing_else() -> None:
    data = make_glossary()
    rng = random.Random(2)
    for _ in range(400):
        at = rng.randrange(12, len(data))
        damaged = with_checksum(data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :])
        with contextlib.suppress(BundleError):
            unpack_glossary(damaged).vectors()


def test_the_error_is_one_sentence_with_a_remedy() -> None:
    with pytest.raises(BundleError) as caught:
        unpack_glossary(b"PK")
    message = str(caught.value)
    assert message.startswith("glossary.bin has 2 bytes")
    assert "expected" in message
    assert message.endswith("install hyperclip or the model again.")


@pytest.mark.parametrize(
    "changes",
    [
        {"dim": 10**9},
        {"dim": 7},
        {"dim": True},
        {"dim": "8"},
        {"sections": []},
        {"sections": {}},
        {"more": 1},
    ],
)
def test_other_headers_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(BundleError):
        unpack_glossary(rewrite_header(make_glossary(), **changes))


@pytest.mark.parametrize(
    "entry", [["|u1", 10**12, 10], ["|u1", -1, 10], ["|O", 3, 10], ["<u4", 3], ["|u1", 3.5, 10], 7]
)
def test_announced_sizes_are_checked_before_anything_is_unpacked(entry: object) -> None:
    data = make_glossary()
    with pytest.raises(BundleError):
        unpack_glossary(rewrite_header(data, sections={**sections_of(data), "ranks": entry}))


def test_a_section_that_unpacks_to_more_than_announced_is_refused() -> None:
    tables = make_tables()
    bomb = dataclasses.replace(tables, packed_vectors=zlib.compress(bytes(5_000_000), 9))
    with pytest.raises(BundleError, match="another size"):
        unpack_glossary(pack_glossary(bomb)).vectors()


def change(values: np.ndarray, at: int, to: int) -> np.ndarray:
    changed = values.copy()
    changed[at] = to
    return changed


@pytest.mark.parametrize(
    ("field", "at", "to"),
    [
        ("lemma_ids", 3, 10_000),
        ("parents", 3, 10_000),
        ("ranks", 0, 0),
        ("lemma_counts", 0, 0),
        ("lemma_counts", 0, 9),
        ("parent_counts", 2, 7),
        ("wnids", 5, 1),
    ],
)
def test_numbers_that_do_not_belong_together_are_refused(field: str, at: int, to: int) -> None:
    tables = make_tables()
    wrong = dataclasses.replace(tables, **{field: change(getattr(tables, field), at, to)})
    with pytest.raises(BundleError):
        pack_glossary(wrong)


def test_a_circle_of_kinds_ends() -> None:
    from hyperclip.runtime.glossary import Glossary

    tables = make_tables()
    circle = dataclasses.replace(
        tables,
        parent_counts=np.ones(len(tables.wnids), np.uint8),
        parents=np.roll(np.arange(len(tables.wnids), dtype=np.uint32), 1),
    )
    assert Glossary.read(pack_glossary(circle)).choose(["mouse", "cat"])[0] is not None
