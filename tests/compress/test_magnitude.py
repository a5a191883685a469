"""Magnitude as a method: it needs no data, and inputs do not count."""

import numpy as np
import pytest

from hyperclip.compress.contract import CompressionData
from hyperclip.compress.magnitude import MagnitudeConfig, compress, magnitude_score
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.specialize import load
from tiny_bundle import make_files, make_manifest


@pytest.fixture
def classifier(tmp_path) -> Classifier:
    from hyperclip.bundle import write_bundle

    write_bundle(tmp_path / "tiny", make_manifest(), make_files())
    return load(tmp_path / "tiny").specialize(["cat", "dog"])


def zeros(classifier: Classifier) -> np.ndarray:
    import onnx

    tensors = onnx.ModelProto.FromString(classifier.to_bytes()).graph.initializer
    (weight,) = (onnx.numpy_helper.to_array(t) for t in tensors if t.name == "projection.weight32")
    return weight == 0


def test_norms_do_not_count() -> None:
    weight = np.array([[2.0, -3.0]])
    assert magnitude_score(weight, np.array([[0.0, 9.0]])).tolist() == [[2.0, 3.0]]


def test_data_change_the_repair_but_not_the_mask(classifier: Classifier, pictures: list[np.ndarray]) -> None:
    config = MagnitudeConfig(sparsity=0.5)
    bare, report = compress(classifier, CompressionData(), config)
    repaired, _ = compress(classifier, CompressionData(images=tuple(pictures)), config)
    assert isinstance(bare, Classifier)
    assert isinstance(repaired, Classifier)
    np.testing.assert_array_equal(zeros(bare), zeros(repaired))
    assert bare.to_bytes() != repaired.to_bytes()
    assert any("not repaired" in note for note in report.notes)


def test_the_repair_brings_the_mean_embedding_back(
    classifier: Classifier, pictures: list[np.ndarray]
) -> None:
    dense = classifier.embed(pictures)
    distance = {}
    for repair in ("none", "moments"):
        config = MagnitudeConfig(sparsity=0.5, repair=repair)
        pruned, _ = compress(classifier, CompressionData(images=tuple(pictures)), config)
        assert isinstance(pruned, Classifier)
        found = pruned.embed(pictures)
        distance[repair] = np.abs(found.mean(axis=0) - dense.mean(axis=0)).max()
    assert distance["moments"] < 1e-5 < distance["none"]
