"""A model folder is read whole and unchanged, or not at all."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hyperclip.bundle import Manifest, read_bundle, write_bundle
from hyperclip.errors import BundleError
from tiny_bundle import make_files, make_manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder with every kind of file."""
    files = {**make_files(), "weights.safetensors": bytes(range(256)) * 20}
    write_bundle(tmp_path / "tiny", make_manifest(), files)
    return tmp_path / "tiny"


def test_read_gives_back_what_was_written(folder: Path) -> None:
    bundle = read_bundle(folder)
    assert bundle.files["encoder.onnx"] == make_files()["encoder.onnx"]
    assert bundle.read("weights.safetensors") == bytes(range(256)) * 20
    assert "weights.safetensors" not in bundle.files  # the shop does not keep what it does not need
    assert bundle.fingerprint == bundle.manifest.fingerprint


def test_any_corrupted_byte_is_noticed(folder: Path) -> None:
    rng = np.random.default_rng(3)
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        places = rng.integers(0, len(data), 15) if len(data) > 15 else range(len(data))
        for place in places:
            bit = 1 << int(rng.integers(0, 8))
            path.write_bytes(data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :])
            with pytest.raises(BundleError):
                read_bundle(folder)
        path.write_bytes(data)
    read_bundle(folder)


def test_every_byte_of_the_manifest_counts(folder: Path) -> None:
    data = (folder / "model.json").read_bytes()
    for place in range(len(data)):
        with pytest.raises(BundleError):
            Manifest.from_json(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"x", lambda data: b""])
def test_another_size_is_noticed_before_reading(folder: Path, change: Callable[[bytes], bytes]) -> None:
    for name in ("encoder.onnx", "weights.safetensors"):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(change(data))
        with pytest.raises(BundleError, match=r"bytes; expected \d+ as its model\.json says"):
            read_bundle(folder)
        (folder / name).write_bytes(data)


@pytest.mark.parametrize("name", ["model.json", "encoder.onnx", "README.md", "weights.safetensors"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BundleError, match=name):
        read_bundle(folder)


def test_a_folder_or_pipe_in_place_of_a_file_is_refused(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.json").mkdir()
    with pytest.raises(BundleError, match="is a folder"):
        read_bundle(folder)
    (folder / "tokenizer.json").rmdir()
    os.mkfifo(folder / "tokenizer.json")
    with pytest.raises(BundleError, match="no regular file"):
        read_bundle(folder)


def test_a_manifest_of_enormous_size_is_not_read(folder: Path) -> None:
    with (folder / "model.json").open("r+b") as file:
        file.truncate(2**40)  # sparse: a terabyte that takes no disk
    with pytest.raises(BundleError, match="expected at most"):
        read_bundle(folder)


def test_files_that_are_not_listed_are_ignored(folder: Path) -> None:
    (folder / ".DS_Store").write_bytes(b"x")
    assert ".DS_Store" not in read_bundle(folder).manifest.files


def test_read_names_an_unknown_file(folder: Path) -> None:
    with pytest.raises(BundleError, match="no file 'secret'"):
        read_bundle(folder).read("secret")


@pytest.mark.parametrize("path", ["missing", "x" * 5000, "nul\0nul"])
def test_a_path_that_leads_nowhere_is_one_sentence(tmp_path: Path, path: str) -> None:
    with pytest.raises(BundleError) as caught:
        read_bundle(tmp_path / path)
    assert len(str(caught.value).encode()) < 1500
