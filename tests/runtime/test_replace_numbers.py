"""Other numbers in the same graph: nodes, sizes and everything unnamed stay."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from hyperclip.bundle import write_bundle
from hyperclip.errors import InputError
from hyperclip.runtime.adaptation import Adaptation
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.replace_numbers import replace_numbers, stored_numbers
from hyperclip.runtime.specialize import load
from tiny_bundle import make_files, make_manifest

ADAPTATION = Adaptation(
    method="test", parameters=(), features="raw", zero_shot_scale=0.0, n_images=(1, 1), source="x"
)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    write_bundle(folder, make_manifest(), make_files())
    return load(folder).specialize(["cat", "dog"])


def test_named_constants_change_and_nothing_else_does(classifier: Classifier, tmp_path: Path) -> None:
    before = onnx.load_from_string(classifier.to_bytes()).graph
    bias = np.array([1.5, -2.5], np.float32)
    changed = replace_numbers(classifier, {"head/bias": bias}, adaptation=ADAPTATION, temperature=0.7)
    changed.save(tmp_path / "changed.onnx")
    again = Classifier.load(tmp_path / "changed.onnx")  # its fingerprint is right
    after = onnx.load_from_string(again.to_bytes()).graph
    assert list(after.node) == list(before.node)
    differing = [
        old.name for old, new in zip(before.initializer, after.initializer, strict=True) if old != new
    ]
    assert differing == ["head/bias"]
    pictures = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    added = bias - stored_numbers(classifier)["head/bias"]
    expected = classifier.run_pixels(pictures)[0] + added
    np.testing.assert_allclose(again.run_pixels(pictures)[0], expected, rtol=1e-5, atol=1e-5)
    assert again.metadata.temperature == 0.7
    assert again.metadata.adaptation == ADAPTATION
    assert classifier.metadata.adaptation is None


def test_stored_numbers_are_those_that_one_operator_reads(classifier: Classifier) -> None:
    names = set(stored_numbers(classifier))
    assert {"head/weight", "head/bias", "depthwise.weight", "depthwise.bias"} <= names
    assert "preprocess/black" not in names  # read by two operators


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"head/bias": np.zeros(3, np.float32)}, "shape .3,.; expected"),
        ({"nothing": np.zeros(2, np.float32)}, "'nothing'"),
        ({"preprocess/size": np.zeros(1, np.float32)}, "float32"),
        ({"head/bias": np.array([1, np.nan], np.float32)}, "not all finite"),
    ],
)
def test_numbers_that_do_not_fit_are_named(
    classifier: Classifier, arrays: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        replace_numbers(classifier, arrays, adaptation=ADAPTATION, temperature=None)
