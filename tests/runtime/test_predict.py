"""Many files: in order, in batches, and bad ones never cost the others."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hyperclip.errors import InputError
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.predict import BadImage, Prediction, predict_files
from hyperclip.runtime.specialize import load


@pytest.fixture
def classifier(tiny_folder: Path) -> Classifier:
    """A tiny classifier, for each kind of head."""
    return load(tiny_folder, n_threads=1).specialize(["cat", "dog", "rocket"])


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Twelve pictures, the fourth and the last of them broken."""
    rng = np.random.default_rng(3)
    paths = [tmp_path / f"{number}.png" for number in range(12)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(path)
    paths[3].write_bytes(b"not a picture")
    paths[11].unlink()
    return paths


@pytest.mark.parametrize("batch_size", [1, 5, 100])
def test_results_keep_the_order_and_report_bad_files(
    classifier: Classifier, files: list[Path], batch_size: int
) -> None:
    results = list(predict_files(classifier, files, batch_size=batch_size))
    assert [result.path for result in results] == files
    bad = [result for result in results if isinstance(result, BadImage)]
    assert [result.path for result in bad] == [files[3], files[11]]
    assert all(str(result.path.name) in result.reason for result in bad)
    for result in results:
        if isinstance(result, Prediction):
            expected = classifier.predict_proba(result.path)[0]
            assert result.class_names[0] == classifier.predict(result.path)[0]
            np.testing.assert_allclose(result.probabilities, np.sort(expected)[::-1], rtol=1e-5)


def test_top_limits_the_classes(classifier: Classifier, files: list[Path]) -> None:
    (one,) = predict_files(classifier, files[:1], top=1)
    (all_three,) = predict_files(classifier, files[:1], top=10)
    assert isinstance(one, Prediction)
    assert isinstance(all_three, Prediction)
    assert len(one.class_names) == len(one.probabilities) == 1
    assert len(all_three.class_names) == 3
    assert type(one.class_names[0]) is str
    assert type(one.probabilities[0]) is float


def test_files_are_read_only_a_little_ahead(classifier: Classifier, files: list[Path]) -> None:
    """A folder of a million pictures must not be listed, let alone decoded, before the first answer."""
    n_asked = 0

    def endless() -> Iterator[Path]:
        nonlocal n_asked
        while True:
            n_asked += 1
            yield files[0]

    results = predict_files(classifier, endless(), batch_size=4)
    for _ in range(10):
        assert isinstance(next(results), Prediction)
    assert n_asked <= 30
    results.close()


def test_no_files_give_no_results(classifier: Classifier) -> None:
    assert list(predict_files(classifier, [])) == []


@pytest.mark.parametrize("argument", [{"top": 0}, {"batch_size": 0}, {"top": -1}])
def test_counts_must_be_positive(classifier: Classifier, argument: dict[str, int]) -> None:
    with pytest.raises(InputError, match="expected a positive number"):
        predict_files(classifier, [], **argument)
