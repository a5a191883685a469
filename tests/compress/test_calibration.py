"""Calibration data look as they do when the model is used."""

import dataclasses

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from hyperclip.bundle import write_bundle
from hyperclip.compress.calibration import picture_batches, pixel_batches, spec_for_encoder, text_batches
from hyperclip.errors import InputError
from hyperclip.runtime.specialize import load
from tiny_bundle import make_files, make_manifest


@pytest.mark.parametrize(("resize", "crop_ratio"), [("crop", 1.0), ("crop", 0.7), ("squash", 1.0)])
def test_pixels_are_those_that_the_file_makes_of_the_same_pictures(
    tmp_path, pictures: list[np.ndarray], resize: str, crop_ratio: float
) -> None:
    write_bundle(tmp_path / "tiny", make_manifest(resize=resize, crop_ratio=crop_ratio), make_files())
    classifier = load(tmp_path / "tiny").specialize(["a"])
    model = onnx.ModelProto.FromString(classifier.to_bytes())
    model.graph.output.append(onnx.ValueInfoProto(name="preprocess/pixels"))
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    spec = classifier.metadata.images
    raw = [session.run(["preprocess/pixels"], {"images": picture[None]})[0] for picture in pictures]
    expected = np.concatenate(raw)
    (found,) = pixel_batches(pictures, spec)
    assert found["images"].dtype == np.float32
    # The file resizes in float; a level of 255 is 0.02 after the normalization by these deviations.
    assert np.abs(found["images"] - expected).mean() < 0.02
    assert np.abs(found["images"] - expected).max() < 0.1


def test_pictures_of_any_size_become_squares_for_the_file(pictures: list[np.ndarray]) -> None:
    feeds = picture_batches(pictures, make_manifest().images, batch_size=2)
    assert [feed["images"].shape for feed in feeds] == [(2, 32, 32, 3), (2, 32, 32, 3), (1, 32, 32, 3)]
    assert all(feed["images"].dtype == np.uint8 for feed in feeds)


def test_texts_of_one_length_share_a_batch_and_none_is_padded() -> None:
    texts = ["cat", "dog", "cat dog", "a photo", "cat", "photo dog cat"]
    feeds = text_batches(texts, make_files()["tokenizer.json"], make_manifest())
    shapes = [feed["token_ids"].shape for feed in feeds]
    assert shapes == [(2, 3), (2, 4), (1, 5)]  # with start and end token; "cat" counts once
    for feed in feeds:
        assert (feed["mask"] == 1).all()
        assert (feed["token_ids"] != 0).all()


def test_a_bundle_serves_its_own_sizes_alone() -> None:
    images = make_manifest().images
    assert spec_for_encoder(images, None) == images
    assert spec_for_encoder(images, 16) == dataclasses.replace(images, size_px=16)
    with pytest.raises(InputError, match="image size is 20; expected one of 16, 32"):
        spec_for_encoder(images, 20)


def test_an_unreadable_picture_is_an_error() -> None:
    for batches in (picture_batches, pixel_batches):
        with pytest.raises(InputError):
            batches([b"junk"], make_manifest().images)
