"""A model that shares another one's text side makes classifiers like any other."""

from pathlib import Path

import numpy as np
import pytest

import hyperclip.runtime.specializer as module
from hyperclip.bundle import read_bundle
from hyperclip.errors import BundleError
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.specialize import load
from tiny_bundle import DIM, Pictures, write_pair

NAMES = ["cat", "dog", "cup of coffee"]


@pytest.fixture
def models(tmp_path: Path, head_kind: str) -> Path:
    """A folder with ``tiny``, and ``micro`` that shares its text side, for each kind of head."""
    write_pair(tmp_path, kind=head_kind)
    return tmp_path


def test_heads_are_those_of_the_other_model_and_pictures_go_through_its_own(
    models: Path, pictures: Pictures
) -> None:
    tiny, micro = load(models / "tiny"), load(models / "micro")
    theirs, own = tiny.generate(tiny.texts(NAMES)), micro.generate(micro.texts(NAMES))
    np.testing.assert_array_equal(own.head, theirs.head)
    np.testing.assert_array_equal(own.bias, theirs.bias)
    assert own.parameters.shape == (0,)
    one, other = micro.specialize(NAMES), tiny.specialize(NAMES, context="neutral")
    assert one.embed(pictures).shape == (len(pictures), DIM)
    assert np.abs(one.embed(pictures) - other.embed(pictures)).max() > 0.01


def test_what_is_generated_for_the_other_encoder_is_not_computed(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = []
    part_between = module.part_between
    monkeypatch.setattr(
        module,
        "part_between",
        lambda model, inputs, outputs: (
            wanted.append([value.name for value in outputs]) or part_between(model, inputs, outputs)
        ),
    )
    load(models / "micro")
    assert wanted == [["row_text"], ["head", "bias"]]
    wanted.clear()
    load(models / "tiny")
    assert wanted == [["row_text"], ["head", "bias", "generated"]]


def test_the_file_stands_alone_and_says_which_model_made_it(models: Path, pictures: Pictures) -> None:
    classifier = load(models / "micro").specialize(NAMES)
    assert classifier.metadata.model.name == "micro"
    assert classifier.metadata.model.fingerprint == read_bundle(models / "micro").fingerprint
    assert classifier.metadata.temperature == 0.7
    classifier.save(models / "pets.onnx")
    again = Classifier.load(models / "pets.onnx")
    np.testing.assert_array_equal(again.predict_proba(pictures), classifier.predict_proba(pictures))


def test_a_damaged_file_of_the_other_model_stops_loading(models: Path) -> None:
    path = models / "tiny" / "specializer.onnx"
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 4]))
    with pytest.raises(BundleError, match=r"'micro' shares specializer\.onnx of the model 'tiny'"):
        load(models / "micro")
