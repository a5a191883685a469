"""Pictures to calibrate on are never those that judge."""

from pathlib import Path

import numpy as np
import pytest

from command_line import save_pictures
from hyperclip.compress.data import Pictures, divide, read_pictures
from hyperclip.errors import InputError


def test_class_folders_are_labeled_and_loose_pictures_are_not(tmp_path: Path) -> None:
    save_pictures(tmp_path / "a" / "cat", ["1.png", "2.png"])
    save_pictures(tmp_path / "a" / "dog", ["1.png"])
    pictures, train = read_pictures(tmp_path / "a")
    assert train is None
    assert pictures.class_names == ("cat", "dog")
    assert pictures.target is not None
    assert pictures.target.tolist() == [0, 0, 1]
    save_pictures(tmp_path / "a", ["loose.png"])
    pictures, _ = read_pictures(tmp_path / "a")
    assert len(pictures) == 4
    assert pictures.target is None


def test_a_training_part_calibrates_and_the_test_part_judges(tmp_path: Path) -> None:
    save_pictures(tmp_path / "train" / "cat", ["1.png", "2.png", "3.png"])
    save_pictures(tmp_path / "test" / "cat", ["4.png", "5.png"])
    test, train = read_pictures(tmp_path)
    assert train is not None
    calibration, judged = divide(test, train=train, n_calibration=2, rng=np.random.default_rng(0))
    assert len(calibration) == 2
    assert len(judged) == 2
    assert all("train" in str(image) for image in calibration.images)
    assert all("test" in str(image) for image in judged.images)


@pytest.mark.parametrize(("n", "n_first"), [(1, 1), (2, 1), (9, 4), (40, 8)])
def test_without_parts_at_most_half_calibrates(n: int, n_first: int) -> None:
    pictures = Pictures(images=tuple(f"{i}.png" for i in range(n)), target=np.arange(n))
    first, rest = divide(pictures, train=None, n_calibration=8, rng=np.random.default_rng(0))
    assert len(first) == n_first
    assert sorted([*first.images, *rest.images]) == sorted(pictures.images)
    assert not set(first.images) & set(rest.images)
    assert first.target is not None
    assert [f"{i}.png" for i in first.target] == list(first.images)


def test_a_folder_without_pictures_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no labeled pictures"):
        read_pictures(tmp_path)
