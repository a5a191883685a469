"""Evaluating a classifier: an independent count gives the same figures, and names decide, not indices."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from command_line import save_pictures
from hyperclip.bundle import write_bundle
from hyperclip.errors import InputError
from hyperclip.evaluate.accuracy import evaluate_classifier, match_names
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.labeled import LabeledImage, LabeledImages
from hyperclip.runtime.specialize import load
from tiny_bundle import make_files, make_manifest

NAMES = ("ant", "bee", "cow", "dog", "elk", "fox", "gnu")


@pytest.fixture
def classifier(tmp_path: Path) -> Classifier:
    """A classifier of seven classes."""
    write_bundle(tmp_path / "tiny", make_manifest(), make_files())
    return load(tmp_path / "tiny").specialize(NAMES)


@pytest.fixture
def data(tmp_path: Path) -> LabeledImages:
    """Forty pictures of three classes, in another order than the classifier has them."""
    paths = [tmp_path / "photos" / f"{index}.png" for index in range(40)]
    save_pictures(tmp_path / "photos", [path.name for path in paths])

    def read() -> Iterator[LabeledImage]:
        for index, path in enumerate(paths):
            source = path if index % 2 else path.read_bytes()
            yield LabeledImage(source, index % 3, path.name)

    return LabeledImages(class_names=("Fox", "ant", "dog"), n_images=40, read=read)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_figures_equal_an_independent_count(
    classifier: Classifier, data: LabeledImages, batch_size: int
) -> None:
    done: list[int] = []
    result = evaluate_classifier(classifier, data, on_progress=done.append, batch_size=batch_size)

    logits = classifier.decision_function([item.source for item in data])
    truth = [NAMES.index(("fox", "ant", "dog")[item.class_index]) for item in data]
    ranks = [
        np.argsort(-row, kind="stable").tolist().index(index)
        for row, index in zip(logits, truth, strict=True)
    ]
    assert result.n == sum(done) == 40
    assert result.acc1 == np.mean([rank == 0 for rank in ranks])
    assert result.acc5 == np.mean([rank < 5 for rank in ranks])
    assert result.n_by_class.tolist() == [13, 0, 0, 13, 0, 14, 0]
    recalls = {
        index: np.mean([rank == 0 for rank, true in zip(ranks, truth, strict=True) if true == index])
        for index in set(truth)
    }
    assert result.mean_per_class_recall == pytest.approx(np.mean(list(recalls.values())))
    assert np.isnan(result.recall_by_class[1])
    assert result.confusion.sum(axis=1).tolist() == result.n_by_class.tolist()


def test_confidence_is_the_probability_of_the_answer(classifier: Classifier, data: LabeledImages) -> None:
    result = evaluate_classifier(classifier, data, batch_size=7)

    expected = classifier.predict_proba([item.source for item in data]).max(axis=1)
    np.testing.assert_allclose(result.confidence, expected, atol=1e-6)  # batches of other sizes
    assert 0 <= result.calibration_error <= 1


def test_unreadable_pictures_count_nowhere(classifier: Classifier) -> None:
    def read() -> Iterator[LabeledImage]:
        yield LabeledImage(b"junk", 0, "row 7")

    data = LabeledImages(class_names=("ant",), n_images=1, read=read)
    with pytest.raises(InputError, match=r"None of the 1 pictures .* 'row 7'"):
        evaluate_classifier(classifier, data)


def test_names_meet_regardless_of_case_and_space() -> None:
    assert match_names([" DOG", "cat "], ["cat", "dog", "rocket"]) == (1, 0)


def test_many_names_that_do_not_meet_stay_one_short_sentence() -> None:
    with pytest.raises(InputError) as caught:
        match_names([f"{'thing' * 50} {index}" for index in range(500)], ["cat"])
    message = str(caught.value)
    assert "lacks 500 of the data set's 500 names" in message
    assert "and 480 more" in message
    assert len(message.encode()) < 1500
