"""Another head behind the same encoder: what the file then computes, says and refuses."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from hyperclip.errors import InputError
from hyperclip.runtime.adaptation import Adaptation
from hyperclip.runtime.classifier import Classifier, softmax
from hyperclip.runtime.head_features import head_features
from hyperclip.runtime.head_part import HeadPart
from hyperclip.runtime.replace_head import replace_head
from hyperclip.runtime.specialize import load
from tiny_bundle import DIM, Pictures

NAMES = ["cat", "dog", "rocket"]


@pytest.fixture
def classifier(tiny_folder: Path) -> Classifier:
    """A tiny classifier, for each kind of head."""
    return load(tiny_folder, n_threads=1).specialize(NAMES)


def about(*, features: str = "raw", scale: float = 0.0) -> Adaptation:
    """Return what a file says about a head."""
    return Adaptation(
        method="test",
        parameters=(("weight", 0.5),),
        features=features,
        zero_shot_scale=scale,
        n_images=(1, 2, 3),
        source="0" * 64,
    )


def fitted(*, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return random weights and biases."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(3, DIM)).astype(np.float32), rng.normal(size=3).astype(np.float32)


@pytest.mark.parametrize("scale", [0.0, 1.0, 0.3])
@pytest.mark.parametrize("features", ["raw", "unit", "centered_unit"])
def test_the_new_logits_are_what_was_asked_for(
    classifier: Classifier, pictures: Pictures, features: str, scale: float
) -> None:
    weight, bias = fitted()
    before, embedding = classifier.decision_function(pictures), classifier.embed(pictures)
    changed = replace_head(
        classifier,
        weight=weight,
        bias=bias,
        adaptation=about(features=features, scale=scale),
        temperature=2.0,
    )
    expected = scale * before + head_features(embedding, features) @ weight.T + bias
    np.testing.assert_allclose(changed.decision_function(pictures), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(changed.embed(pictures), embedding)
    np.testing.assert_allclose(changed.predict_proba(pictures), softmax(expected / 2), rtol=1e-3, atol=1e-6)


def test_the_file_is_an_ordinary_one_that_survives_the_disk(
    classifier: Classifier, pictures: Pictures, tmp_path: Path
) -> None:
    weight, bias = fitted()
    adaptation = about(features="unit", scale=0.5)
    changed = replace_head(classifier, weight=weight, bias=bias, adaptation=adaptation, temperature=2.0)
    changed.save(tmp_path / "better.onnx")
    onnx.checker.check_model(onnx.load(tmp_path / "better.onnx"), full_check=True)
    again = Classifier.load(tmp_path / "better.onnx")  # verifies the fingerprint
    np.testing.assert_array_equal(again.decision_function(pictures), changed.decision_function(pictures))
    assert again.metadata.adaptation == adaptation
    assert again.metadata.head.kind == "adapted"
    assert again.metadata.temperature == 2.0
    assert again.classes_.tolist() == NAMES


def test_the_input_is_not_touched(classifier: Classifier) -> None:
    before = classifier.to_bytes()
    weight, bias = fitted()
    replace_head(classifier, weight=weight, bias=bias, adaptation=about(scale=1.0), temperature=None)
    assert classifier.to_bytes() == before


def test_nothing_but_the_former_head_changes_no_bit_of_the_logits(
    classifier: Classifier, pictures: Pictures
) -> None:
    weight, bias = np.zeros((3, DIM), np.float32), np.zeros(3, np.float32)
    same = replace_head(classifier, weight=weight, bias=bias, adaptation=about(scale=1.0), temperature=None)
    np.testing.assert_array_equal(same.decision_function(pictures), classifier.decision_function(pictures))
    assert same.metadata.head.kind == classifier.metadata.head.kind


def test_a_head_can_be_replaced_again(classifier: Classifier, pictures: Pictures) -> None:
    once = replace_head(
        classifier,
        weight=fitted()[0],
        bias=fitted()[1],
        adaptation=about(features="unit", scale=0.5),
        temperature=None,
    )
    weight, bias = fitted(seed=1)
    twice = replace_head(
        once,
        weight=weight,
        bias=bias,
        adaptation=about(features="centered_unit", scale=0.5),
        temperature=None,
    )
    expected = 0.5 * once.decision_function(pictures)
    expected = expected + head_features(once.embed(pictures), "centered_unit") @ weight.T + bias
    np.testing.assert_allclose(twice.decision_function(pictures), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("head_kind", ["linear"], indirect=True)
def test_two_matrices_become_one(classifier: Classifier) -> None:
    weight, bias = fitted()
    changed = replace_head(
        classifier, weight=weight, bias=bias, adaptation=about(scale=1.0), temperature=None
    )
    assert changed.metadata.head.kind == "linear"
    count = [len(onnx.load_from_string(file.to_bytes()).graph.node) for file in (classifier, changed)]
    assert count[0] == count[1]


def test_what_the_former_head_alone_read_is_gone(classifier: Classifier) -> None:
    weight, bias = fitted()
    changed = replace_head(classifier, weight=weight, bias=bias, adaptation=about(), temperature=None)
    graph = onnx.load_from_string(changed.to_bytes()).graph
    assert not [tensor.name for tensor in graph.initializer if tensor.name.startswith("head/")]
    assert changed.metadata.head.kind == "linear"


def test_a_head_of_another_classifier_is_refused(classifier: Classifier) -> None:
    weight, bias = fitted()
    with pytest.raises(InputError, match=r"shapes \(2, 10\) and \(2,\); expected \(3, 10\)"):
        replace_head(classifier, weight=weight[:2], bias=bias[:2], adaptation=about(), temperature=None)


def test_numbers_that_are_not_finite_are_refused(classifier: Classifier) -> None:
    weight, bias = fitted()
    weight[0, 0] = np.inf
    with pytest.raises(InputError, match="not finite; expected numbers; adapt again"):
        replace_head(classifier, weight=weight, bias=bias, adaptation=about(), temperature=None)


def test_the_head_by_itself_gives_the_logits_of_the_file(classifier: Classifier, pictures: Pictures) -> None:
    part = HeadPart(classifier)
    np.testing.assert_allclose(
        part.logits(classifier.embed(pictures)), classifier.decision_function(pictures), rtol=1e-5, atol=1e-5
    )
    assert part.class_names == tuple(NAMES)
    assert part.temperature == 0.5
