"""Decoded pictures on disk: whole or not at all, and what is damaged is refused."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hyperclip.bundle import ImageSpec
from hyperclip.data.cache import ImageCache, build_cache
from hyperclip.errors import InputError
from hyperclip.runtime.preprocess import decode


def make_spec(size_px: int = 16) -> ImageSpec:
    return ImageSpec(
        size_px=size_px, resize="crop", crop_ratio=1.0, interpolation="bicubic",
        mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5),
    )  # fmt: skip


def png(seed: int, size: tuple[int, int] = (20, 30)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


RECORDS: list[tuple[Any, int]] = [(png(0), 1), (png(1, (16, 16)), -1), (png(2, (40, 9)), 0)]


def build(folder: Path) -> ImageCache:
    return build_cache(RECORDS, folder, spec=make_spec(), class_names=["cat", "dog"])


def test_pictures_labels_and_names_come_back(tmp_path: Path) -> None:
    seen: list[int] = []

    built = build_cache(
        RECORDS, tmp_path / "cache", spec=make_spec(), class_names=["cat", "dog"], on_progress=seen.append
    )
    opened = ImageCache.open(tmp_path / "cache")

    assert seen == [1, 2, 3]
    for cache in (built, opened):
        assert (len(cache), cache.size_px) == (3, 16)
        assert cache.labels.tolist() == [1, -1, 0]
        assert cache.labels.dtype == np.int64
        assert cache.class_names == ("cat", "dog")
        for image, (source, _) in zip(cache.images, RECORDS, strict=True):
            np.testing.assert_array_equal(image, decode(source, spec=make_spec()))
    assert isinstance(opened.images, np.memmap)
    assert not opened.images.flags.writeable


def test_pictures_that_cannot_be_read_are_left_out_and_listed(tmp_path: Path) -> None:
    records = [(b"no picture", 0), *RECORDS, (png(3)[:60], 1)]

    cache = build_cache(records, tmp_path / "cache", spec=make_spec())

    assert cache.labels.tolist() == [1, -1, 0]
    listed = json.loads((tmp_path / "cache" / "cache.json").read_text())["unreadable"]
    assert [line.partition(":")[0] for line in listed] == ["0", "4"]


def failing(error: BaseException) -> Iterator[tuple[Any, int]]:
    yield RECORDS[0]
    raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("the disk is gone")])
def test_an_interrupted_build_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        build_cache(failing(error), tmp_path / "cache", spec=make_spec())

    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_build_left_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "cache.unfinished").mkdir()
    (tmp_path / "cache.unfinished" / "images.u8").write_bytes(b"half")

    assert len(build(tmp_path / "cache")) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


@pytest.mark.parametrize("records", [[], [(b"no picture", 0)]])
def test_a_cache_without_pictures_is_refused_and_leaves_nothing(
    tmp_path: Path, records: list[tuple[Any, int]]
) -> None:
    with pytest.raises(InputError, match=f"None of {len(records)} pictures can be read"):
        build_cache(records, tmp_path / "cache", spec=make_spec())

    assert list(tmp_path.iterdir()) == []


def test_a_finished_cache_is_opened_as_it_is(tmp_path: Path) -> None:
    build(tmp_path / "cache")

    again = build_cache(failing(AssertionError()), tmp_path / "cache", spec=make_spec())

    assert len(again) == 3


def test_a_finished_cache_of_another_size_is_refused(tmp_path: Path) -> None:
    build(tmp_path / "cache")

    with pytest.raises(InputError, match="was made with"):
        build_cache(RECORDS, tmp_path / "cache", spec=make_spec(24))


@pytest.mark.parametrize("place", ["gone/cache", "full", "file"])
def test_a_cache_goes_only_where_nothing_is(tmp_path: Path, place: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    (tmp_path / "file").touch()

    with pytest.raises(InputError, match="cannot be made there"):
        build(tmp_path / place)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full"]


def change_json(folder: Path, **values: object) -> None:
    path = folder / "cache.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def cut_pictures(folder: Path) -> None:
    path = folder / "images.u8"
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (cut_pictures, "does not hold 3 pictures of 16 px"),
        (lambda folder: (folder / "images.u8").unlink(), "does not hold"),
        (lambda folder: change_json(folder, n_images=10**12), "does not hold 1000000000000 pictures"),
        (lambda folder: change_json(folder, n_images=-3, size_px=-16), "does not hold"),
        (lambda folder: change_json(folder, n_images=0), "does not hold 0 pictures"),
        (lambda folder: change_json(folder, n_images="many"), "is not an image cache"),
        (lambda folder: change_json(folder, class_names=3), "is not an image cache"),
        (lambda folder: change_json(folder, format_version=2), "has format 2; expected 1"),
        (lambda folder: np.save(folder / "labels.npy", np.zeros(2, np.int64)), "does not hold"),
        (lambda folder: np.save(folder / "labels.npy", np.zeros(3)), "does not hold"),
        (lambda folder: (folder / "labels.npy").write_bytes(b"\x93NUMPY"), "is not an image cache"),
        (lambda folder: (folder / "labels.npy").unlink(), "is not an image cache"),
        (lambda folder: (folder / "cache.json").write_text("[]"), "is not an image cache"),
        (lambda folder: (folder / "cache.json").unlink(), "is not an image cache"),
    ],
)
def test_a_damaged_cache_is_refused_in_one_sentence(tmp_path: Path, damage: Any, words: str) -> None:
    build(tmp_path / "cache")
    damage(tmp_path / "cache")

    with pytest.raises(InputError, match=words) as caught:
        ImageCache.open(tmp_path / "cache")
    assert "\n" not in str(caught.value)


def test_labels_are_never_unpickled(tmp_path: Path) -> None:
    build(tmp_path / "cache")
    np.save(tmp_path / "cache" / "labels.npy", np.array([{}, {}, {}], dtype=object), allow_pickle=True)

    with pytest.raises(InputError, match="is not an image cache"):
        ImageCache.open(tmp_path / "cache")
