"""The table of methods is what it says, and the contract holds for each of its rows that needs no PyTorch."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

import hyperclip.compress
from hyperclip.bundle import write_bundle
from hyperclip.bundle.read import Bundle, read_bundle
from hyperclip.compress.contract import METHODS, CompressionData, Layer, MethodReport, compress, method
from hyperclip.compress.magnitude import MagnitudeConfig
from hyperclip.compress.rewrite import save_bundle
from hyperclip.compress.wanda import WandaConfig
from hyperclip.errors import InputError
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.specialize import load
from tiny_bundle import make_files, make_manifest, write_pair

CONFIGS = (WandaConfig(sparsity=0.5), MagnitudeConfig(sparsity=0.5))


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    write_bundle(tmp_path / "tiny", make_manifest(), make_files())
    return read_bundle(tmp_path / "tiny")


@pytest.fixture
def classifier(bundle: Bundle) -> Classifier:
    return load(bundle.folder).specialize(["cat", "dog"])


@pytest.fixture
def data(pictures: list[np.ndarray]) -> CompressionData:
    return CompressionData(images=tuple(pictures), texts=("cat", "a dog", "photo of a cat"))


@pytest.mark.parametrize("name", ["wanda", "magnitude"])
def test_each_row_names_a_module_with_a_config_and_a_function(name: str) -> None:
    loaded = method(name)
    assert dataclasses.is_dataclass(loaded.config)
    assert {field.name for field in dataclasses.fields(loaded.config)} >= set(METHODS[name].options)
    assert callable(loaded.compress)


def test_every_row_has_a_file_and_a_test_file() -> None:
    for row in METHODS.values():
        stem = row.module.rpartition(".")[2]
        assert re.fullmatch(r"hyperclip\.compress\.[a-z_]+", row.module)
        source = Path(__file__).parents[2] / "src" / "hyperclip" / "compress" / f"{stem}.py"
        assert f"class {row.config}" in source.read_text(encoding="utf-8")
        assert (Path(__file__).parent / f"test_{stem}.py").exists()


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: type(config).__name__)
def test_a_classifier_gives_a_classifier_and_is_not_touched(
    classifier: Classifier, data: CompressionData, config: WandaConfig, pictures: list[np.ndarray]
) -> None:
    before, logits = classifier.to_bytes(), classifier.decision_function(pictures)
    smaller, report = compress(classifier, data, config)
    assert isinstance(smaller, Classifier)
    assert isinstance(report, MethodReport)
    assert classifier.to_bytes() == before
    np.testing.assert_array_equal(classifier.decision_function(pictures), logits)
    assert smaller.classes_.tolist() == ["cat", "dog"]
    assert smaller.metadata.fingerprint != classifier.metadata.fingerprint
    assert smaller.metadata.model == classifier.metadata.model
    assert not np.array_equal(smaller.decision_function(pictures), logits)
    assert report.n_calibration_images == 5


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: type(config).__name__)
def test_a_bundle_gives_a_bundle_and_is_not_touched(
    bundle: Bundle, data: CompressionData, config: WandaConfig
) -> None:
    before = dict(bundle.files)
    smaller, report = compress(bundle, data, config)
    assert isinstance(smaller, Bundle)
    assert dict(bundle.files) == before
    assert smaller.files["tokenizer.json"] == before["tokenizer.json"]
    assert smaller.files["encoder.onnx"] != before["encoder.onnx"]
    assert {layer.part for layer in report.layers} == {"encoder.onnx"}  # the toy's text side has no layers
    assert smaller.manifest.generated == bundle.manifest.generated
    assert report.n_calibration_texts == 3


def test_what_a_model_shares_with_another_is_left_alone(tmp_path: Path, data: CompressionData) -> None:
    write_pair(tmp_path)
    micro = read_bundle(tmp_path / "micro")
    smaller, report = compress(micro, data, CONFIGS[0])
    assert isinstance(smaller, Bundle)
    assert smaller.manifest.shares == micro.manifest.shares
    assert report.n_calibration_texts == 0
    assert any("belongs to the model tiny" in note for note in report.notes)
    save_bundle(smaller, tmp_path / "thin")
    thin = load(tmp_path / "thin").specialize(["a", "b"])
    assert thin.metadata.model.fingerprint == smaller.fingerprint
    assert smaller.files["encoder.onnx"] != micro.files["encoder.onnx"]


def test_the_same_data_give_the_same_bytes(classifier: Classifier, data: CompressionData) -> None:
    first, second = (compress(classifier, data, CONFIGS[0])[0] for _ in range(2))
    assert isinstance(first, Classifier)
    assert isinstance(second, Classifier)
    assert first.to_bytes() == second.to_bytes()


def test_other_configs_are_refused(classifier: Classifier) -> None:
    with pytest.raises(InputError, match="expected one of WandaConfig, MagnitudeConfig"):
        compress(classifier, CompressionData(), {"sparsity": 0.5})


def test_other_methods_are_refused() -> None:
    with pytest.raises(InputError, match="'shrink'; expected one of wanda, magnitude"):
        method("shrink")


def test_a_target_is_one_index_a_picture() -> None:
    with pytest.raises(InputError, match="one class index a picture"):
        CompressionData(images=("a.png", "b.png"), target=np.array([0]))


def test_sparsity_of_a_layer_is_that_of_what_is_left() -> None:
    layer = Layer(
        name="a", part="p", kind="Conv", shape_before=(4, 2, 1, 1), shape_after=(2, 2, 1, 1),
        n_nonzero_before=8, n_nonzero_after=3,
    )  # fmt: skip
    assert layer.sparsity == 0.25


def test_names_are_handed_out_when_they_are_asked_for() -> None:
    assert hyperclip.compress.METHODS is METHODS
    assert dir(hyperclip.compress) == sorted(hyperclip.compress.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        hyperclip.compress.no_such_name  # noqa: B018
