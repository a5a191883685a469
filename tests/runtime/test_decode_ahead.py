"""Pictures come decoded, in order, and only a little ahead."""

from pathlib import Path

import numpy as np
from PIL import Image

from hyperclip.errors import InputError
from hyperclip.runtime.decode_ahead import decode_batches
from hyperclip.runtime.preprocess import decode
from tiny_bundle import Pictures, make_manifest

SPEC = make_manifest().images


def test_batches_keep_the_order_and_the_pixels(pictures: Pictures, tmp_path: Path) -> None:
    paths = [tmp_path / f"{index}.png" for index in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture).save(path)
    batches = list(decode_batches(iter(paths), spec=SPEC, batch_size=2))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    items = [item for batch in batches for item in batch]
    assert [path for path, _ in items] == paths
    for (_, pixels), picture in zip(items, pictures, strict=True):
        assert isinstance(pixels, np.ndarray)
        np.testing.assert_array_equal(pixels, decode(picture, spec=SPEC))


def test_a_bad_picture_is_handed_on_with_its_place(pictures: Pictures) -> None:
    gray = np.zeros((4, 4), np.uint8)
    (batch,) = decode_batches(iter([pictures[0], gray, b"x"]), spec=SPEC, batch_size=10)
    errors = [item for _, item in batch if isinstance(item, InputError)]
    assert len(errors) == 2
    assert "Image 1" in str(errors[0])
    assert "Image 2" in str(errors[1])


def test_one_lazily_opened_image_may_stand_in_the_list_many_times(pictures: Pictures, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(pictures[0]).save(path)
    with Image.open(path) as image:
        batches = list(decode_batches(iter([image] * 20), spec=SPEC, batch_size=8))
    expected = decode(path, spec=SPEC)
    for batch in batches:
        for _, pixels in batch:
            assert isinstance(pixels, np.ndarray)
            np.testing.assert_array_equal(pixels, expected)


def test_nothing_in_gives_nothing_out() -> None:
    assert list(decode_batches(iter([]), spec=SPEC, batch_size=4)) == []
