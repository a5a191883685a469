"""Labels of a set of pictures: hard, soft, and soft only for what the set does not label."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install 'hyperclip[train]'")

from hyperclip.errors import InputError
from hyperclip.train.picture_sets import PictureSet, SetConfig

N_LEAVES = 9


@pytest.fixture
def cache(world_copy: Path) -> Path:
    """The cache of six classes, with soft labels over nine leaves: half for leaf 8, half for leaf 0."""
    folder = world_copy / "cache"
    n_images = len(np.load(folder / "labels.npy"))
    logits = np.full((n_images, N_LEAVES), -20.0, np.float16)
    logits[:, [0, 8]] = 2.0
    np.save(folder / "soft-two.npy", logits)
    return folder


def make(cache: Path, **options: object) -> PictureSet:
    config = SetConfig(cache=str(cache), share=1.0, soft_file="soft-two.npy", **options)  # type: ignore[arg-type]
    return PictureSet(config, N_LEAVES, np.arange(6), set())


def test_soft_labels_join_hard_ones(cache: Path) -> None:
    pictures = make(cache, soft_weight=0.4)
    row = int(np.flatnonzero(pictures.cache.labels == 3)[0])

    target = pictures.leaf_target(np.array([row]))[0]

    np.testing.assert_allclose(target[[0, 3, 8]], [0.2, 0.6, 0.2], atol=1e-3)


def test_what_speaks_for_another_labeled_class_counts_for_the_label(cache: Path) -> None:
    pictures = make(cache, soft_weight=0.4, soft_scope="others")
    row = int(np.flatnonzero(pictures.cache.labels == 3)[0])

    target = pictures.leaf_target(np.array([row]))[0]

    np.testing.assert_allclose(target[[0, 3, 8]], [0.0, 0.8, 0.2], atol=1e-3)
    assert target.sum() == pytest.approx(1, abs=1e-3)


def test_a_file_that_is_not_there_is_no_soft_label(cache: Path) -> None:
    (cache / "soft-two.npy").unlink()
    pictures = make(cache, soft_weight=0.4)

    target = pictures.leaf_target(np.arange(6))

    np.testing.assert_array_equal(np.sort(target, axis=1)[:, -1], 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"soft_scope": "mine"}, "soft_scope = 'mine'; expected 'all' or 'others'"),
        ({"teacher_weight": 1.5}, "teacher_weight = 1.5"),
    ],
)
def test_settings_that_cannot_be_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        SetConfig(cache="somewhere", share=1.0, **options)  # type: ignore[arg-type]
