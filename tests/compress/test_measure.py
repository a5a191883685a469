"""Figures of two models on the same pictures."""

from pathlib import Path

import numpy as np
import pytest

from hyperclip.bundle import write_bundle
from hyperclip.bundle.read import read_bundle
from hyperclip.compress.contract import CompressionData, compress
from hyperclip.compress.data import Pictures
from hyperclip.compress.magnitude import MagnitudeConfig
from hyperclip.compress.measure import compare
from hyperclip.compress.timing import alternating_times
from hyperclip.errors import InputError
from hyperclip.evaluate.corruptions import corrupt
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.specialize import load
from tiny_bundle import make_files, make_manifest

RNG = np.random.default_rng(0)
IMAGES = tuple(RNG.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(20))


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Classifier, Classifier]:
    write_bundle(tmp_path / "tiny", make_manifest(), make_files())
    dense = load(tmp_path / "tiny").specialize(["a", "b", "c"])
    thin, _ = compress(dense, CompressionData(), MagnitudeConfig(sparsity=0.75))
    assert isinstance(thin, Classifier)
    return dense, thin


def test_accuracy_and_agreement_are_those_of_the_classifiers(pair: tuple[Classifier, Classifier]) -> None:
    target = RNG.integers(0, 3, 20)
    names = ("c", "a", "b")  # another order than the classifier's
    pictures = Pictures(images=IMAGES, target=target, class_names=names)
    found = compare(*pair, pictures, corruptions=("fog",), n_corrupted=5, rng=np.random.default_rng(1))
    answers = [classifier.predict(IMAGES) for classifier in pair]
    truth = np.array(names)[target]
    assert found.before.accuracy == pytest.approx((answers[0] == truth).mean())
    assert found.after.accuracy == pytest.approx((answers[1] == truth).mean())
    assert found.agreement == pytest.approx((answers[0] == answers[1]).mean())
    assert found.n_images == 20
    assert found.n_corrupted == 5
    assert found.has_labels


def test_corrupted_accuracy_is_that_of_the_same_corrupted_pictures(
    pair: tuple[Classifier, Classifier],
) -> None:
    pictures = Pictures(images=IMAGES)
    found = compare(
        *pair, pictures, corruptions=("contrast",), n_corrupted=None, severity=5, rng=np.random.default_rng(1)
    )
    rng = np.random.default_rng(1)
    rng.permutation(20)
    seeds = rng.integers(0, 2**32, 20)
    spoiled = [
        corrupt(image, "contrast", 5, rng=np.random.default_rng(int(seed)))
        for image, seed in zip(IMAGES, seeds, strict=True)
    ]
    same = (pair[0].predict(spoiled) == pair[1].predict(spoiled)).mean()
    assert found.after.corrupted["contrast"] == pytest.approx(same)
    assert found.before.corrupted["contrast"] == 1
    assert found.before.accuracy is None
    assert not found.has_labels


def test_without_pictures_size_and_time_are_measured(pair: tuple[Classifier, Classifier]) -> None:
    found = compare(*pair, None, corruptions=(), n_corrupted=None, rng=np.random.default_rng(0))
    assert found.agreement is None
    assert found.before.mean_corrupted is None
    assert found.before.size_bytes == len(pair[0].to_bytes())
    assert found.after.n_nonzero < found.before.n_nonzero
    assert found.latency.before_ms > 0


def test_a_bundle_is_specialized_to_the_names_of_the_pictures(tmp_path: Path) -> None:
    write_bundle(tmp_path / "tiny", make_manifest(), make_files())
    bundle = read_bundle(tmp_path / "tiny")
    pictures = Pictures(images=IMAGES, target=np.arange(20) % 2, class_names=("dog", "cat"))
    found = compare(bundle, bundle, pictures, corruptions=(), n_corrupted=None, rng=np.random.default_rng(0))
    answers = load(tmp_path / "tiny").specialize(["dog", "cat"]).predict(IMAGES)
    truth = np.array(["dog", "cat"])[np.arange(20) % 2]
    assert found.before.accuracy == found.after.accuracy == pytest.approx((answers == truth).mean())
    assert found.agreement == 1


def test_pairs_alternate_and_the_ratio_is_taken_pair_by_pair() -> None:
    calls: list[str] = []
    found = alternating_times(lambda: calls.append("a"), lambda: calls.append("b"), n_rounds=4)
    assert "".join(calls) == "ab" + "ab" + "ba" + "ab" + "ba"
    assert found.n_rounds == 4
    assert found.low <= found.ratio <= found.high
    with pytest.raises(InputError, match="n_rounds is 0"):
        alternating_times(lambda: None, lambda: None, n_rounds=0)
