"""A classifier behaves as scikit-learn's do, and refuses files that are not what they claim."""

import copy
import pickle
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from hyperclip.bundle import write_bundle
from hyperclip.errors import BundleError, InputError, NotSpecializedError
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.session import Session
from hyperclip.runtime.specialize import load
from tiny_bundle import DIM, Pictures, make_encoder, make_files, make_manifest

NAMES = ["cat", "dog", "👩‍🚀"]


@pytest.fixture
def classifier(tiny_folder: Path) -> Classifier:
    """A tiny classifier, for each kind of head."""
    return load(tiny_folder, n_threads=1).specialize(NAMES)


def test_results_have_the_promised_shapes_and_types(classifier: Classifier, pictures: Pictures) -> None:
    assert classifier.classes_.tolist() == NAMES
    assert classifier.predict(pictures).shape == (5,)
    assert set(classifier.predict(pictures)) <= set(NAMES)
    for result, width in (
        (classifier.predict_proba(pictures), 3),
        (classifier.decision_function(pictures), 3),
        (classifier.embed(pictures), DIM),
    ):
        assert result.shape == (5, width)
        assert result.dtype == np.float32


def test_probabilities_are_the_softmax_at_the_temperature(classifier: Classifier, pictures: Pictures) -> None:
    logits = classifier.decision_function(pictures).astype(np.float64)
    expected = np.exp(logits / 0.5)
    expected /= expected.sum(axis=1, keepdims=True)
    probabilities = classifier.predict_proba(pictures)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-5)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-6)
    np.testing.assert_array_equal(classifier.predict(pictures), classifier.classes_[logits.argmax(axis=1)])


def test_one_picture_alone_equals_its_row_in_a_batch(classifier: Classifier, pictures: Pictures) -> None:
    many = pictures * 8  # more than one internal batch
    together = classifier.decision_function(many)
    alone = np.concatenate([classifier.decision_function(picture) for picture in pictures])
    np.testing.assert_allclose(together[:5], alone, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(together[-5:], alone, rtol=1e-5, atol=1e-6)


def test_every_way_to_give_a_picture_gives_the_same_answer(
    classifier: Classifier, pictures: Pictures, tmp_path: Path
) -> None:
    picture = pictures[0]
    path = tmp_path / "a.png"
    Image.fromarray(picture).save(path)
    stream = BytesIO()
    Image.fromarray(picture).save(stream, "png")

    def one_by_one() -> Iterator[object]:
        yield path

    expected = classifier.decision_function(picture)
    assert expected.shape == (1, 3)
    for images in (
        path, str(path), stream.getvalue(), Image.fromarray(picture), picture[None], [picture], (str(path),),
        one_by_one(), np.array([str(path)], dtype=object), {path: 1}.keys(),
    ):  # fmt: skip
        np.testing.assert_array_equal(classifier.decision_function(images), expected)


def test_no_pictures_give_no_rows(classifier: Classifier) -> None:
    assert classifier.predict([]).shape == (0,)
    assert classifier.predict_proba([]).shape == (0, 3)
    assert classifier.embed(np.zeros((0, 8, 8, 3), np.uint8)).shape == (0, DIM)


@pytest.mark.parametrize(
    "images",
    [
        3,
        None,
        [3],
        np.zeros((5, 5), np.uint8),
        np.zeros((5, 5, 3), np.float32),
        ["missing.png"],
        "missing.png",
        b"x",
    ],
    ids=["int", "none", "ints", "gray", "float", "missing", "missing alone", "bytes"],
)
def test_what_is_no_picture_is_one_sentence(classifier: Classifier, images: object) -> None:
    with pytest.raises(InputError) as caught:
        classifier.predict(images)  # type: ignore[arg-type]
    assert len(str(caught.value).encode()) < 1500


def test_saved_and_loaded_again_is_identical(
    classifier: Classifier, pictures: Pictures, tmp_path: Path
) -> None:
    classifier.save(tmp_path / "pets.onnx")
    again = Classifier.load(tmp_path / "pets.onnx")
    assert again.to_bytes() == classifier.to_bytes() == (tmp_path / "pets.onnx").read_bytes()
    assert again.metadata == classifier.metadata
    np.testing.assert_array_equal(again.predict_proba(pictures), classifier.predict_proba(pictures))
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["pets.onnx"]


def test_copies_and_pickles_work_like_the_original(classifier: Classifier, pictures: Pictures) -> None:
    expected = classifier.predict_proba(pictures)
    for twin in (copy.deepcopy(classifier), pickle.loads(pickle.dumps(classifier))):
        np.testing.assert_array_equal(twin.predict_proba(pictures), expected)


def test_the_file_alone_gives_the_same_answer_within_a_level(
    classifier: Classifier, pictures: Pictures
) -> None:
    """A caller in another language resizes in the file, Python with Pillow: a level apart at most."""
    session = Session(classifier.to_bytes(), where="file")
    for picture in pictures:
        (logits,) = session.run(["logits"], {"images": picture[None]})
        np.testing.assert_allclose(logits, classifier.decision_function(picture), atol=0.05)


def test_a_crop_is_cut_out_once(tmp_path: Path) -> None:
    """The file crops by itself; pictures that were decoded for it must still have their margins."""
    write_bundle(tmp_path / "tiny", make_manifest(crop_ratio=0.5), make_files())
    classifier = load(tmp_path / "tiny").specialize(NAMES)
    rows, columns = np.indices((120, 200))
    picture = np.stack([rows * 2, columns, rows + columns], axis=-1).astype(np.uint8)
    (expected,) = Session(classifier.to_bytes(), where="file").run(["embedding"], {"images": picture[None]})
    np.testing.assert_allclose(classifier.embed(picture), expected, atol=0.02)
    again = classifier.embed(picture[30:90, 70:130])  # the square that is left after one crop
    assert np.abs(again - expected).max() > 0.02


def test_a_classifier_without_classes_says_so() -> None:
    empty = Classifier()
    assert repr(empty) == "Classifier(no classes)"
    for ask in (
        lambda: empty.classes_,
        lambda: empty.metadata,
        lambda: empty.predict([]),
        lambda: empty.embed([]),
        lambda: empty.to_bytes(),
        lambda: empty.save("x.onnx"),
    ):
        with pytest.raises(NotSpecializedError, match="no class names yet"):
            ask()
    with pytest.raises(AttributeError):
        empty.predict([])


def test_repr_is_short(tiny_folder: Path, classifier: Classifier) -> None:
    assert repr(classifier) == "Classifier(3 classes: 'cat', 'dog', '👩‍🚀')"
    many = load(tiny_folder).specialize([f"{'x' * 500} {number}" for number in range(50)])
    assert len(repr(many)) < 300


def test_save_wants_a_folder_that_is_there(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no folder"):
        classifier.save(tmp_path / "none" / "pets.onnx")
    with pytest.raises(InputError, match="is a folder"):
        classifier.save(tmp_path)


def test_any_changed_byte_is_noticed(classifier: Classifier, tmp_path: Path) -> None:
    data = classifier.to_bytes()
    rng = np.random.default_rng(4)
    for place in rng.integers(0, len(data), 200):
        path = tmp_path / "x.onnx"
        path.write_bytes(
            data[:place] + bytes([data[place] ^ (1 << int(rng.integers(8)))]) + data[place + 1 :]
        )
        with pytest.raises(BundleError) as caught:
            Classifier.load(path)
        assert len(str(caught.value).encode()) < 1500


def test_any_truncation_is_noticed(classifier: Classifier, tmp_path: Path) -> None:
    data = classifier.to_bytes()
    for length in np.random.default_rng(5).integers(0, len(data), 100):
        path = tmp_path / "x.onnx"
        path.write_bytes(data[:length])
        with pytest.raises(BundleError) as caught:
            Classifier.load(path)
        assert "\n" not in str(caught.value)


def test_a_file_that_another_program_changed_can_still_be_opened(
    classifier: Classifier, pictures: Pictures
) -> None:
    model = onnx.ModelProto.FromString(classifier.to_bytes())
    model.producer_name = "optimizer"
    with pytest.raises(BundleError, match="fingerprint differs"):
        Classifier(model.SerializeToString())
    changed = Classifier(model.SerializeToString(), verify=False)
    np.testing.assert_array_equal(changed.predict(pictures), classifier.predict(pictures))


@pytest.mark.parametrize(
    "data", [b"", b"x", b"\x00" * 1000, b"PK\x03\x04" + b"x" * 100, b"<html>" * 50, make_encoder()]
)
def test_what_is_no_classifier_is_one_sentence(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(data)
    with pytest.raises(BundleError) as caught:
        Classifier.load(path)
    assert len(str(caught.value).encode()) < 1500


def test_a_folder_or_a_missing_path_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is a folder"):
        Classifier.load(tmp_path)
    with pytest.raises(BundleError, match="cannot be opened"):
        Classifier.load(tmp_path / "none.onnx")


def test_a_file_whose_head_does_not_fit_its_names_is_refused(
    classifier: Classifier, pictures: Pictures
) -> None:
    model = onnx.ModelProto.FromString(classifier.to_bytes())
    for entry in model.metadata_props:
        if entry.key in ("hyperclip.class_names", "hyperclip.meanings", "hyperclip.phrasings"):
            entry.value = {"class_names": '["a"]', "phrasings": "[[]]"}.get(
                entry.key.removeprefix("hyperclip."), '[{"text": null, "wnid": null, "source": "none"}]'
            )
    with pytest.raises(BundleError, match=r"expected \(5, 1\)"):
        Classifier(model.SerializeToString(), verify=False).predict(pictures)


def test_sigmoid_probabilities_stand_alone(classifier: Classifier) -> None:
    model = onnx.ModelProto.FromString(classifier.to_bytes())
    for entry in model.metadata_props:
        entry.value = entry.value.replace('"softmax"', '"sigmoid"')
    sigmoid = Classifier(model.SerializeToString(), verify=False)
    logits = np.array([[-1000.0, 0.0, 1.0]], np.float32)
    expected = 1 / (1 + np.exp(-logits[:, 1:].astype(np.float64) / 0.5))
    np.testing.assert_allclose(sigmoid.probabilities(logits)[:, 1:], expected, rtol=1e-6)
    assert sigmoid.probabilities(logits)[0, 0] == 0.0
