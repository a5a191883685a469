"""Class names to a classifier: what must hold for any bundle."""

import dataclasses
import logging
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import numpy_helper

from hyperclip.bundle import write_bundle
from hyperclip.errors import BundleError, InputError
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.specialize import Model, load
from tiny_bundle import DIM, Pictures, make_files, make_manifest

NAMES = ["cat", "dog", "cup of coffee", "rocket", "zebra"]


@pytest.fixture
def model(tiny_folder: Path) -> Model:
    """The tiny model, for each kind of head."""
    return load(tiny_folder, n_threads=1)


def weights(classifier: Classifier) -> dict[str, npt.NDArray[np.generic]]:
    """Return every constant of a classifier file."""
    model = onnx.ModelProto.FromString(classifier.to_bytes())
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def op_types(data: bytes) -> list[str]:
    """Return the operators of a model."""
    return [node.op_type for node in onnx.ModelProto.FromString(data).graph.node]


def test_reordering_names_reorders_columns_and_leaves_the_encoder(model: Model, pictures: Pictures) -> None:
    order = [3, 0, 4, 1, 2]
    one = model.specialize(NAMES, descriptions={"cat": "a pet"})
    two = model.specialize([NAMES[index] for index in order], descriptions={"cat": "a pet"})
    head = ("head/weight", "head/linear", "head/bias")
    for name, values in weights(one).items():
        if name in head:
            np.testing.assert_array_equal(weights(two)[name], values[order])
        else:
            np.testing.assert_array_equal(weights(two)[name], values)
    np.testing.assert_allclose(
        two.decision_function(pictures), one.decision_function(pictures)[:, order], rtol=1e-5, atol=1e-6
    )


def test_the_same_names_give_the_same_bytes(tiny_folder: Path) -> None:
    one, two = (load(tiny_folder).specialize(NAMES).to_bytes() for _ in range(2))
    assert one == two


def test_other_names_give_another_encoder(model: Model) -> None:
    one, two = weights(model.specialize(NAMES)), weights(model.specialize(NAMES[:2]))
    assert np.abs(one["depthwise.weight"] - two["depthwise.weight"]).max() > 1e-3


def test_the_encoder_has_exactly_the_nodes_of_the_folded_plain_one(model: Model) -> None:
    plain = op_types(model.specialize(NAMES, context="neutral").to_bytes())
    own = op_types(model.specialize(NAMES).to_bytes())
    assert own == plain
    first_conv, last = own.index("Conv"), own.index("Gemm")
    assert own[first_conv : last + 1] == [
        "Conv", "Relu", "Conv", "Add", "GlobalAveragePool", "Flatten", "Gemm",
    ]  # fmt: skip
    assert Counter(own)["Cast"] == 1  # of the pixels: no weight is cast any more


def test_neutral_context_leaves_the_neutral_parameters(model: Model) -> None:
    neutral = weights(model.specialize(NAMES, context="neutral"))
    again = weights(model.specialize(["sun", "moon"], context="neutral"))
    np.testing.assert_array_equal(neutral["stem.weight32"], again["stem.weight32"])
    np.testing.assert_array_equal(
        neutral["head/weight"], weights(model.specialize(NAMES))["head/weight"]
    )  # the head is always of the own names
    encoder = onnx.ModelProto.FromString(make_files()["encoder.onnx"])
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in encoder.graph.initializer}
    expected = stored["stem.weight"].astype(np.float32) * stored["norm1.scale"][:, None]
    np.testing.assert_allclose(neutral["stem.weight32"], expected, rtol=1e-6)


def test_another_context_gives_the_other_encoder_with_the_own_head(model: Model) -> None:
    other = ["sun", "moon", "star"]
    swapped = weights(model.specialize(NAMES, context=other))
    theirs, own = weights(model.specialize(other)), weights(model.specialize(NAMES))
    for name, values in swapped.items():
        np.testing.assert_array_equal(values, own[name] if name.startswith("head/") else theirs[name])


def test_own_names_as_context_are_own_context(model: Model) -> None:
    assert model.specialize(NAMES, context=NAMES).to_bytes() == model.specialize(NAMES).to_bytes()


@pytest.mark.parametrize("context", ["swapped", "", [], ["cat", "Cat"], 3])
def test_an_unusable_context_is_one_sentence(model: Model, context: object) -> None:
    with pytest.raises(InputError):
        model.specialize(NAMES, context=context)  # type: ignore[arg-type]


def test_one_class_works(model: Model, pictures: Pictures) -> None:
    assert set(model.specialize(["cat"]).predict(pictures)) == {"cat"}


def test_five_thousand_names_work(model: Model, pictures: Pictures) -> None:
    names = [f"thing number {number}" for number in range(5000)]
    classifier = model.specialize(names, descriptions={name: "a thing" for name in names})
    assert classifier.predict_proba(pictures[:1]).shape == (1, 5000)


def test_emoji_and_foreign_names_succeed_with_a_warning(
    model: Model, caplog: pytest.LogCaptureFixture, pictures: Pictures
) -> None:
    names = ["cat", "👩‍🚀", "猫", "café"]
    with caplog.at_level(logging.WARNING):
        classifier = model.specialize(names)
    assert list(classifier.classes_) == names
    assert "👩‍🚀" in caplog.text
    assert "café" not in caplog.text
    assert classifier.predict_proba(pictures).shape == (len(pictures), 4)
    assert model.unreadable(names) == ["👩‍🚀", "猫"]


def test_a_text_that_is_cut_is_said(model: Model, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        model.specialize(["cat"], descriptions={"cat": "an animal with " + "very " * 30 + "long ears"})
    assert "Only the first 12 tokens" in caplog.text


def test_the_file_tells_what_went_in(model: Model) -> None:
    classifier = model.specialize(
        [" Sofa", "cat"],
        templates=["a {}"],
        descriptions={"cat": "a pet"},
        phrasings={"sofa": ["couch"]},
        image_size_px=16,
    )
    metadata = classifier.metadata
    assert metadata.class_names == (" Sofa", "cat")
    assert metadata.phrasings == (("couch",), ())
    assert metadata.templates == ("a {}",)
    assert [meaning.source for meaning in metadata.meanings] == ["none", "user"]
    assert metadata.images.size_px == 16
    assert metadata.temperature == 0.5
    assert metadata.threshold is None
    assert metadata.model.fingerprint == model.fingerprint
    assert metadata.licence.commercial_use == "A toy for tests, not worth selling."
    assert metadata.producer == "hyperclip 0.1.0"


def test_phrasings_templates_and_meanings_change_the_head(model: Model) -> None:
    plain = model.specialize(["sofa", "cat"])
    for change in (
        {"templates": ["see the {}"]},
        {"descriptions": {"sofa": "a seat"}},
        {"phrasings": {"sofa": ["couch"]}},
    ):
        other = model.specialize(["sofa", "cat"], **change)  # type: ignore[arg-type]
        assert np.abs(weights(other)["head/weight"][0] - weights(plain)["head/weight"][0]).max() > 1e-4


def test_image_size_is_one_of_the_model(model: Model, pictures: Pictures) -> None:
    assert model.specialize(NAMES, image_size_px=16).predict(pictures).shape == (len(pictures),)
    for size_px in (15, 0, -16, 10**9, "16"):
        with pytest.raises(InputError, match="expected one of 16, 32"):
            model.specialize(NAMES, image_size_px=size_px)  # type: ignore[arg-type]


def test_a_bundle_that_generates_nothing_is_a_plain_clip(tmp_path: Path, pictures: Pictures) -> None:
    files = make_files()
    specializer = onnx.ModelProto.FromString(files["specializer.onnx"])
    for tensor in specializer.graph.initializer:
        if tensor.name == "start":
            tensor.CopyFrom(numpy_helper.from_array(np.zeros(0, np.float32), "start"))
        if tensor.name == "spread":
            tensor.CopyFrom(numpy_helper.from_array(np.zeros((12, 0), np.float32), "spread"))
    specializer.graph.output[2].type.tensor_type.shape.dim[0].dim_value = 0
    files["specializer.onnx"] = specializer.SerializeToString()
    write_bundle(tmp_path / "plain", dataclasses.replace(make_manifest(), generated=()), files)
    classifier = load(tmp_path / "plain").specialize(NAMES)
    assert classifier.predict_proba(pictures).shape == (len(pictures), len(NAMES))


def test_generated_values_and_vectors_can_be_looked_at(model: Model) -> None:
    generated = model.generate(model.texts(NAMES))
    assert generated.head.shape == (len(NAMES), model.manifest.head.width)
    assert generated.parameters.shape == model.neutral_parameters.shape == (model.manifest.n_generated,)
    assert model.embed_text(["cat", "dog"]).shape == (2, model.manifest.head.text_dim)
    with pytest.raises(InputError):
        model.embed_text("cat")


def test_a_manifest_that_does_not_fit_its_models_is_refused(tmp_path: Path) -> None:
    manifest = make_manifest()
    wide = dataclasses.replace(manifest, head=dataclasses.replace(manifest.head, dim=DIM + 1))
    write_bundle(tmp_path / "wide", wide, make_files())
    with pytest.raises(BundleError, match="embeddings of 10 numbers; expected 11"):
        load(tmp_path / "wide")
    renamed = (dataclasses.replace(manifest.generated[0], name="norm9.scale"), *manifest.generated[1:])
    write_bundle(tmp_path / "renamed", dataclasses.replace(manifest, generated=renamed), make_files())
    with pytest.raises(BundleError, match=r"norm9\.scale"):
        load(tmp_path / "renamed")


def test_any_damaged_file_of_the_bundle_stops_loading(tiny_folder: Path) -> None:
    for name in ("encoder.onnx", "specializer.onnx", "tokenizer.json", "model.json", "README.md"):
        path = tiny_folder / name
        data = path.read_bytes()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 4]))
        with pytest.raises(BundleError):
            load(tiny_folder)
        path.write_bytes(data)


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(InputError, match="no model 'smal'"):
        load("smal")
