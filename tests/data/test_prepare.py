"""The pictures of the bundled model: decoded once, in ImageNet's order, with soft labels beside them."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="soft labels need PyTorch: pip install 'hyperclip[train]'")
pytest.importorskip("pyarrow", reason="data sets come as Parquet")

import pyarrow
import pyarrow.parquet
import torch

from hyperclip.data import prepare as module
from hyperclip.data.cache import ImageCache
from hyperclip.data.prepare import main, prepare, soft_labels
from hyperclip.errors import InputError
from hyperclip.models import ImageEncoder, ImageEncoderConfig

pytestmark = pytest.mark.torch


def write_set(folder: Path, labels: list[int] | None, *, n: int = 3) -> None:
    """Write random pictures as a data set of the Hugging Face convention."""
    folder.mkdir(parents=True)
    images = []
    for seed in range(n):
        buffer = io.BytesIO()
        pixels = np.random.default_rng(seed).integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(buffer, "PNG")
        images.append({"bytes": buffer.getvalue(), "path": None})
    columns: dict[str, object] = {"image": images}
    if labels is not None:
        columns["label"] = labels
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "train.parquet")
    pyarrow.parquet.write_table(pyarrow.table({"image": images[:1]}), folder / "test.parquet")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three tiny data sets; the labels of the small one are in another order."""
    folder = tmp_path / "data"
    write_set(folder / "imagenet-one-each", [2, 0, 1])
    write_set(folder / "tiny-imagenet", [0, 1, 1])
    write_set(folder / "flickr8k", None)
    classes = [{"wnid": f"n{i}", "name": f"class {i}"} for i in range(3)]
    (folder / "imagenet-one-each" / "classes.json").write_text(json.dumps(classes))
    (folder / "tiny-imagenet" / "classes.json").write_text(json.dumps([classes[2], classes[0]]))
    return folder


@pytest.fixture
def softly_labeled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Put zeros in the trunk's place; returns the caches that it was asked about."""
    asked: list[str] = []

    def label(cache: ImageCache, **options: object) -> np.ndarray:
        asked.append(cache.folder.name)
        return np.zeros((len(cache), 3), np.float16)

    monkeypatch.setattr(module, "soft_labels", label)
    return asked


def test_caches_hold_training_pictures_with_labels_in_one_order(
    data: Path, tmp_path: Path, softly_labeled: list[str]
) -> None:
    caches = {cache.folder.name: cache for cache in prepare(data, tmp_path / "caches")}

    assert {name: (len(cache), cache.size_px) for name, cache in caches.items()} == {
        "imagenet-one-each": (3, 224), "flickr8k": (3, 128), "tiny-imagenet": (3, 64),
    }  # fmt: skip
    assert caches["imagenet-one-each"].labels.tolist() == [2, 0, 1]
    assert caches["tiny-imagenet"].labels.tolist() == [2, 0, 0]
    assert caches["flickr8k"].labels.tolist() == [-1, -1, -1]
    assert softly_labeled == ["imagenet-one-each", "flickr8k"]


def test_finished_parts_are_kept(data: Path, tmp_path: Path, softly_labeled: list[str]) -> None:
    prepare(data, tmp_path / "caches")
    (tmp_path / "caches" / "flickr8k" / "soft.npy").unlink()

    prepare(data, tmp_path / "caches")

    assert softly_labeled == ["imagenet-one-each", "flickr8k", "flickr8k"]


def test_classes_that_imagenet_lacks_are_refused(data: Path, tmp_path: Path) -> None:
    (data / "tiny-imagenet" / "classes.json").write_text(json.dumps([{"wnid": "n9", "name": "stranger"}]))

    with pytest.raises(InputError, match="has the classes n9"):
        prepare(data, tmp_path / "caches")


def test_missing_data_end_the_command_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"classes\.json cannot be read"):
        main([str(tmp_path), "-o", str(tmp_path / "caches")])


def test_soft_labels_are_the_trunks_logits(data: Path, tmp_path: Path, softly_labeled: list[str]) -> None:
    cache = prepare(data, tmp_path / "caches")[2]
    torch.manual_seed(0)
    encoder = ImageEncoder(ImageEncoderConfig(name="mobilenetv4_conv_small_050", embedding_dim=5)).eval()
    done: list[int] = []

    logits = soft_labels(cache, size_px=64, encoder=encoder, batch_size=2, on_progress=done.append)

    assert done == [2, 3]
    assert (logits.shape, logits.dtype) == ((3, 5), np.float16)
    with torch.no_grad():
        images = torch.from_numpy(np.array(cache.images)).permute(0, 3, 1, 2) / 127.5 - 1
        expected = encoder(images)
    # The trunk runs in bfloat16, which has three digits.
    np.testing.assert_allclose(logits, expected, atol=0.05 * float(expected.abs().max()))
