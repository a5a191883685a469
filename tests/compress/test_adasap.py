"""AdaSAP on a classifier file: a physically smaller file of the same classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="retraining needs PyTorch: pip install 'hyperclip[train]'")
pytest.importorskip("torch_pruning", reason="needs torch-pruning: pip install 'hyperclip[train]'")
pytest.importorskip("onnxscript", reason="the test exports: pip install 'hyperclip[train]'")

import torch

from hyperclip.compress import CompressionData, compress
from hyperclip.compress.adasap import AdaSAPConfig
from hyperclip.errors import InputError
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.specialize import load
from tiny_encoder import make_model, write_model_folder

pytestmark = pytest.mark.torch
NAMES = ("cat", "dog", "fox")
QUICK = AdaSAPConfig(n_steps=12, batch_size=8, radius=0.1)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return write_model_folder(make_model(), tmp_path_factory.mktemp("micro"))


@pytest.fixture(scope="module")
def classifier(model_folder: Path) -> Classifier:
    return load(model_folder).specialize(NAMES)


def make_data(n: int = 24, *, labels: bool = False) -> CompressionData:
    rng = np.random.default_rng(0)
    colors = rng.integers(0, 256, (3, 1, 1, 3))
    target = np.arange(n) % 3
    noise = rng.integers(-60, 60, (n, 64, 64, 3))
    images = tuple(np.clip(colors[target] + noise, 0, 255).astype(np.uint8))
    if not labels:
        return CompressionData(images=images)
    return CompressionData(images=images, target=target, class_names=("Fox", "dog", "cat"))


def agreement(one: Classifier, other: Classifier) -> float:
    """Mean cosine between the centered embeddings of two classifiers."""
    first, second = (c.embed(list(make_data().images)) for c in (one, other))
    center = first.mean(axis=0)
    first, second = first - center, second - center
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return float(((first * second).sum(axis=1) / lengths).mean())


@pytest.mark.parametrize("importance", ["magnitude", "taylor", "latency"])
def test_channels_are_gone_and_the_file_is_a_classifier(
    classifier: Classifier, tmp_path: Path, importance: str
) -> None:
    before = classifier.to_bytes()
    config = AdaSAPConfig(n_steps=12, batch_size=8, radius=0.1, importance=importance)
    steps: list[tuple[int, int, str]] = []

    smaller, report = compress(classifier, make_data(), config, on_progress=lambda *told: steps.append(told))

    assert classifier.to_bytes() == before
    assert len(smaller.to_bytes()) < 0.8 * len(before)
    smaller.save(tmp_path / "small.onnx")
    again = Classifier.load(tmp_path / "small.onnx")
    assert again.classes_.tolist() == list(NAMES)
    assert again.decision_function(list(make_data().images)).shape == (24, 3)
    assert again.embed(list(make_data().images)).shape == classifier.embed(list(make_data().images)).shape
    assert "Pruned: 50%" in again.metadata.licence.origin
    assert steps[-1] == (12, 12, "steps")
    rows = [layer for layer in report.layers if layer.kind == "Conv"]
    assert sum(layer.shape_after[0] for layer in rows) < 0.65 * sum(layer.shape_before[0] for layer in rows)
    assert sum(layer.macs_after for layer in report.layers) < 0.7 * sum(
        layer.macs_before for layer in report.layers
    )
    assert report.layers[0].shape_after[1] == 3
    assert report.layers[-1].shape_after[0] == report.layers[-1].shape_before[0]
    assert report.settings["importance"] == importance


def test_the_same_config_gives_the_same_file(classifier: Classifier) -> None:
    first, second = (compress(classifier, make_data(), QUICK)[0].to_bytes() for _ in range(2))
    assert first == second


def test_training_brings_the_embedding_back(classifier: Classifier) -> None:
    brief, long = (
        compress(classifier, make_data(), AdaSAPConfig(n_steps=n, batch_size=12, radius=0.05))[0]
        for n in (5, 80)
    )
    assert agreement(classifier, long) > max(0.5, agreement(classifier, brief) + 0.05)


def test_labels_are_met_by_name(classifier: Classifier) -> None:
    smaller, report = compress(classifier, make_data(labels=True), QUICK)
    unlabeled, _ = compress(classifier, make_data(), QUICK)
    assert smaller.to_bytes() != unlabeled.to_bytes()
    assert "with labels" in smaller.metadata.licence.origin
    assert "without labels" in unlabeled.metadata.licence.origin
    assert report.n_calibration_images == 24
    wrong = CompressionData(images=make_data().images, target=np.zeros(24, np.int64), class_names=("teapot",))
    with pytest.raises(InputError, match="'teapot'"):
        compress(classifier, wrong, QUICK)


def test_too_few_pictures_are_refused(classifier: Classifier) -> None:
    with pytest.raises(InputError, match="There are 7 pictures"):
        compress(classifier, make_data(7), QUICK)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": 0.0}, "channels is 0.0"),
        ({"channels": 1.0}, "channels is 1.0"),
        ({"n_steps": 0}, "n_steps"),
        ({"batch_size": 1}, "batch_size"),
        ({"n_contexts": 0}, "n_contexts is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
    ],
)
def test_wrong_settings_are_named(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        AdaSAPConfig(**settings)


def test_a_loss_that_explodes_says_so(classifier: Classifier) -> None:
    with pytest.raises(InputError, match="expected a finite number"):
        compress(classifier, make_data(), AdaSAPConfig(n_steps=30, batch_size=8, radius=1e30))
