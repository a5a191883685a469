"""SLR-FT: better than its start where channels can help, its very start where they cannot."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="adapting needs scikit-learn: pip install 'hyperclip[adapt]'")

from hyperclip.adapt import adapt_classifier, slr_ft
from hyperclip.adapt.pictures import EmbeddedPictures
from hyperclip.adapt.slr_ft import SLRFTConfig
from hyperclip.errors import InputError, MissingExtraError
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.model_file import parse_model
from tiny_contrasts import make_classifier, make_pixels

RATES = {"channel_rate": 0.03, "head_rate": 0.2}
torch_only = pytest.mark.torch


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    return make_classifier(tmp_path_factory.mktemp("models"))


@pytest.fixture
def needs_torch() -> None:
    torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install 'hyperclip[train]'")
    pytest.importorskip("torch_pruning", reason="needs torch-pruning: pip install 'hyperclip[train]'")
    torch.set_num_threads(1)


def make_pictures(classifier: Classifier, n: int, *, seed: int) -> EmbeddedPictures:
    pixels, target = make_pixels(n, seed=seed)
    return EmbeddedPictures(embeddings=classifier.run_pixels(pixels)[1], target=target, pixels=pixels)


def accuracy(classifier: Classifier, pictures: EmbeddedPictures) -> float:
    assert pictures.pixels is not None
    answers = classifier.run_pixels(pictures.pixels)[0].argmax(axis=1)
    return float((answers == pictures.target).mean())


@torch_only
@pytest.mark.usefixtures("needs_torch")
def test_channels_show_what_the_encoder_hid(classifier: Classifier) -> None:
    pictures, test = make_pictures(classifier, 8, seed=0), make_pictures(classifier, 100, seed=99)
    before = adapt_classifier(classifier, pictures, method="slr_avd").classifier
    tuned = adapt_classifier(classifier, pictures, method="slr_ft", **RATES)
    assert tuned.note == ""
    assert accuracy(tuned.classifier, test) > accuracy(before, test) + 0.2
    adaptation = tuned.classifier.metadata.adaptation
    assert adaptation is not None
    assert adaptation.method == "slr_ft"
    assert dict(adaptation.parameters)["trained_share"] > 0
    assert adaptation.reasons is None
    assert tuned.gain is not None
    assert tuned.gain.n == 8  # two of four parts


@torch_only
@pytest.mark.usefixtures("needs_torch")
def test_the_file_has_the_nodes_and_bytes_of_slr_avd(classifier: Classifier, tmp_path: Path) -> None:
    pictures = make_pictures(classifier, 8, seed=0)
    tuned = adapt_classifier(classifier, pictures, method="slr_ft", **RATES).classifier
    tuned.save(tmp_path / "tuned.onnx")
    sparse = adapt_classifier(classifier, pictures, method="slr_avd").classifier
    graphs = [
        parse_model(one.to_bytes(), where="x").graph
        for one in (sparse, Classifier.load(tmp_path / "tuned.onnx"))
    ]
    assert list(graphs[0].node) == list(graphs[1].node)
    assert graphs[0].ByteSize() == graphs[1].ByteSize()


@torch_only
@pytest.mark.usefixtures("needs_torch")
def test_a_share_of_nothing_is_the_sparse_head_to_the_bit(classifier: Classifier) -> None:
    pictures, test = make_pictures(classifier, 4, seed=0), make_pictures(classifier, 5, seed=99)
    assert test.pixels is not None
    sparse = adapt_classifier(classifier, pictures, method="slr_avd")
    tuned = adapt_classifier(classifier, pictures, method="slr_ft", shares=(0.0,), max_steps=30)
    for one, other in zip(
        sparse.classifier.run_pixels(test.pixels), tuned.classifier.run_pixels(test.pixels), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert tuned.classifier.metadata.temperature == sparse.classifier.metadata.temperature
    assert tuned.gain == sparse.gain
    assert "the head of slr_avd is given back as it was" in tuned.note


@torch_only
@pytest.mark.usefixtures("needs_torch")
def test_a_loss_that_explodes_gives_the_sparse_head_back(classifier: Classifier) -> None:
    pictures, test = make_pictures(classifier, 4, seed=0), make_pictures(classifier, 5, seed=99)
    sparse = adapt_classifier(classifier, pictures, method="slr_avd").classifier
    tuned = adapt_classifier(classifier, pictures, method="slr_ft", channel_rate=1e20)
    assert "The loss did not stay finite" in tuned.note
    assert test.pixels is not None
    np.testing.assert_array_equal(
        tuned.classifier.run_pixels(test.pixels)[0], sparse.run_pixels(test.pixels)[0]
    )


@torch_only
@pytest.mark.usefixtures("needs_torch")
def test_one_picture_of_each_class_gets_the_documented_share(classifier: Classifier) -> None:
    pictures = make_pictures(classifier, 1, seed=0)
    tuned = adapt_classifier(classifier, pictures, method="slr_ft")
    assert tuned.gain is None
    adaptation = tuned.classifier.metadata.adaptation
    assert adaptation is not None
    assert dict(adaptation.parameters)["trained_share"] == 0.5


@torch_only
@pytest.mark.usefixtures("needs_torch")
def test_the_same_seed_gives_the_same_file(classifier: Classifier) -> None:
    pictures = make_pictures(classifier, 2, seed=0)
    one, same, other = (
        adapt_classifier(classifier, pictures, method="slr_ft", shares=(1.0,), seed=seed, **RATES).classifier
        for seed in (0, 0, 1)
    )
    assert one.to_bytes() == same.to_bytes()
    assert one.to_bytes() != other.to_bytes()


@torch_only
@pytest.mark.usefixtures("needs_torch")
@pytest.mark.parametrize(("n", "n_total"), [(1, 30), (2, 90), (12, 90)])
def test_every_step_is_told_and_as_many_parts_are_held_out_as_time_allows(
    classifier: Classifier, n: int, n_total: int
) -> None:
    steps: list[tuple[int, int]] = []
    adapt_classifier(
        classifier, make_pictures(classifier, n, seed=0), method="slr_ft",
        on_steps=lambda *told: steps.append(told), n_epochs=20, max_steps=60 if n < 12 else 45,
        shares=(1.0,), **RATES,
    )  # fmt: skip
    assert [done for done, _ in steps] == list(range(1, len(steps) + 1))
    assert {total for _, total in steps} == {n_total}


def test_pictures_without_pixels_are_refused(classifier: Classifier) -> None:
    pictures = dataclasses.replace(make_pictures(classifier, 2, seed=0), pixels=None)
    with pytest.raises(InputError, match="without pixels; expected them for slr_ft"):
        adapt_classifier(classifier, pictures, method="slr_ft")


def test_a_missing_pytorch_is_one_sentence(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "hyperclip.adapt.fine_tune", raising=False)
    monkeypatch.delattr("hyperclip.adapt.fine_tune", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"needs torch, .*pip install 'hyperclip\[train\]'"):
        slr_ft.trainer()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shares": ()}, "shares is"),
        ({"shares": (1.5,)}, "each from 0 to 1"),
        ({"n_epochs": 0}, "n_epochs, min_steps and max_steps are 0"),
        ({"max_steps": 10}, "the last no less than the second"),
        ({"channel_rate": 0.0}, "learning rates are 0.0"),
        ({"head_rate": float("nan")}, "learning rates are .* nan"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_wrong_settings_are_named(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        SLRFTConfig(**settings)


def test_a_parameter_that_it_does_not_have_is_refused(classifier: Classifier) -> None:
    with pytest.raises(InputError, match="The method slr_ft has no parameter 'strength'"):
        adapt_classifier(classifier, make_pictures(classifier, 1, seed=0), method="slr_ft", strength=1)
