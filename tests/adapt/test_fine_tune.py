"""Training a classifier file: its module computes the same, and what it learns folds back exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install 'hyperclip[train]'")
pytest.importorskip("torch_pruning", reason="needs torch-pruning: pip install 'hyperclip[train]'")

import torch

from hyperclip.adapt.fine_tune import Lesson, Rates, TunableClassifier, train, views
from hyperclip.errors import InputError
from hyperclip.runtime.adaptation import Adaptation
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.model_file import parse_model
from hyperclip.runtime.replace_head import replace_head
from hyperclip.runtime.replace_numbers import replace_numbers
from tiny_contrasts import make_classifier, make_pixels

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.torch
ADAPTATION = Adaptation(
    method="test", parameters=(), features="centered_unit", zero_shot_scale=0.5, n_images=(1, 1), source="x"
)
RATES = Rates(channels=0.03, head=0.2)


@pytest.fixture(scope="module", params=["linear", "mixture_plus_linear", "adapted"])
def classifier(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """Of each kind of head."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")
    if request.param != "adapted":
        return make_classifier(folder, kind=request.param)
    rng = np.random.default_rng(0)
    return replace_head(
        make_classifier(folder, kind="mixture_plus_linear"),
        weight=rng.normal(size=(2, 10)).astype(np.float32),
        bias=rng.normal(size=2).astype(np.float32),
        adaptation=ADAPTATION,
        temperature=1.0,
    )


def make_lesson(n: int = 6) -> Lesson:
    pixels, target = make_pixels(n, seed=0)
    return Lesson(pixels=pixels, target=target, weights=np.ones(len(target)), temperature=1.0)


def as_module(classifier: Classifier, pixels: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        found: np.ndarray = TunableClassifier(classifier)(
            views(pixels, classifier.metadata.images, None)
        ).numpy()
    return found


def test_the_module_computes_what_the_file_computes(classifier: Classifier) -> None:
    pixels, _ = make_pixels(3, seed=1)
    np.testing.assert_allclose(as_module(classifier, pixels), classifier.run_pixels(pixels)[0], atol=1e-4)


def test_what_was_learnt_folds_into_the_file(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[TunableClassifier] = []
    plain = TunableClassifier.__init__

    def remember(self: TunableClassifier, given: Classifier) -> None:
        plain(self, given)
        made.append(self)

    monkeypatch.setattr(TunableClassifier, "__init__", remember)
    numbers = train(classifier, make_lesson(), RATES, n_steps=10)
    assert numbers is not None
    assert len(numbers.channels) == 2
    assert all(np.abs(change.scale).max() > 0.01 for change in numbers.channels)
    folded = replace_numbers(classifier, numbers.constants(1.0), adaptation=ADAPTATION, temperature=None)
    pixels, _ = make_pixels(3, seed=1)
    with torch.no_grad():
        unfolded = made[0](views(pixels, classifier.metadata.images, None)).numpy()
    np.testing.assert_allclose(folded.run_pixels(pixels)[0], unfolded, atol=1e-4)
    assert np.abs(unfolded - classifier.run_pixels(pixels)[0]).max() > 0.05


def test_the_file_keeps_its_nodes_and_its_bytes(classifier: Classifier) -> None:
    numbers = train(classifier, make_lesson(), RATES, n_steps=2)
    assert numbers is not None
    folded = replace_numbers(classifier, numbers.constants(1.0), adaptation=ADAPTATION, temperature=None)
    before, after = (parse_model(one.to_bytes(), where="x").graph for one in (classifier, folded))
    assert list(before.node) == list(after.node)
    assert before.ByteSize() == after.ByteSize()
    assert [(t.name, t.dims, t.data_type) for t in before.initializer] == [
        (t.name, t.dims, t.data_type) for t in after.initializer
    ]


def test_one_seed_gives_one_result_and_another_gives_another(classifier: Classifier) -> None:
    first, again, other = (
        train(classifier, make_lesson(), RATES, n_steps=4, seed=seed) for seed in (0, 0, 1)
    )
    assert first is not None
    assert again is not None
    assert other is not None
    for one, same in zip(first.channels, again.channels, strict=True):
        np.testing.assert_array_equal(one.scale, same.scale)
        np.testing.assert_array_equal(one.shift, same.shift)
    assert any(
        (one.scale != two.scale).any() for one, two in zip(first.channels, other.channels, strict=True)
    )


def test_a_loss_that_explodes_gives_nothing(classifier: Classifier) -> None:
    assert train(classifier, make_lesson(), Rates(channels=1e20, head=1e20), n_steps=20) is None


def test_views_are_whole_pixels_moved_and_mirrored(classifier: Classifier) -> None:
    pixels, _ = make_pixels(4, seed=2)
    images = classifier.metadata.images
    plain = views(pixels, images, None).numpy()
    moved = views(pixels, images, np.random.default_rng(0)).numpy()
    assert moved.shape == plain.shape
    assert (moved != plain).any()
    for before, after in zip(plain, moved, strict=True):
        known = np.unique(before.round(3))
        assert np.isin(after.round(3), known).mean() > 0.99


def test_a_larger_picture_is_cut_as_the_file_cuts_it(tmp_path: Path) -> None:
    classifier = make_classifier(tmp_path, crop_ratio=0.8)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (3, 40, 40, 3), dtype=np.uint8)
    np.testing.assert_allclose(as_module(classifier, pixels), classifier.run_pixels(pixels)[0], atol=1e-3)


def test_an_operator_that_cannot_be_trained_is_named(tmp_path: Path) -> None:
    classifier = make_classifier(tmp_path)
    model = parse_model(classifier.to_bytes(), where="x")
    next(node for node in model.graph.node if node.op_type == "Relu").op_type = "Selu"
    strange = Classifier(model.SerializeToString(), verify=False)
    with pytest.raises(InputError, match=r"cannot be trained .*Selu.*expected a convolutional encoder"):
        TunableClassifier(strange)
