"""Shared files are found beside a model or among the bundled ones, and are exactly those it was made for."""

import dataclasses
import os
import shutil
from pathlib import Path

import pytest

from hyperclip.bundle import Shares, read_bundle, write_bundle
from hyperclip.errors import BundleError
from hyperclip.zoo import find
from tiny_bundle import make_encoder, make_files, make_manifest, write_pair


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with ``tiny``, and ``micro`` that shares its files; the zoo is empty."""
    monkeypatch.setattr(find, "ZOO_FOLDER", tmp_path / "zoo")
    folder = tmp_path / "models"
    folder.mkdir()
    write_pair(folder)
    return folder


def assert_refused(folder: Path, *words: str) -> None:
    """Check that reading fails with one short sentence that says these words."""
    with pytest.raises(BundleError) as caught:
        read_bundle(folder)
    message = str(caught.value)
    assert len(message.encode()) < 1500
    assert "\n" not in message
    for word in ("'micro'", "'tiny'", *words):
        assert word in message


def test_shared_files_are_those_of_the_other_model(models: Path) -> None:
    bundle = read_bundle(models / "micro")
    files = make_files()
    assert bundle.shared_folder == models / "tiny"
    assert bundle.files["specializer.onnx"] == files["specializer.onnx"]
    assert bundle.read("tokenizer.json") == files["tokenizer.json"]
    assert bundle.files["encoder.onnx"] == make_encoder(seed=9)
    assert bundle.read("README.md") == b"# micro\n"
    assert read_bundle(models / "tiny").shared_folder is None


def test_a_shared_file_that_the_shop_does_not_need_is_verified_and_read(models: Path) -> None:
    terms = {**make_files(), "LICENSE-words.txt": b"do as you like\n"}
    lender = write_bundle(models / "tiny", make_manifest(), terms)
    names = ("specializer.onnx", "tokenizer.json", "LICENSE-words.txt")
    shares = Shares(bundle="tiny", files={name: lender.files[name] for name in names})
    manifest = dataclasses.replace(make_manifest(), name="micro", generated=(), shares=shares)
    write_bundle(models / "micro", manifest, {"encoder.onnx": make_encoder()})
    assert read_bundle(models / "micro").read("LICENSE-words.txt") == b"do as you like\n"
    (models / "tiny" / "LICENSE-words.txt").write_bytes(b"do as we like!\n")
    assert_refused(models / "micro", "LICENSE-words.txt", "another one")


def test_the_folder_may_be_named_in_any_way(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(models / "micro")
    for folder in (".", "../micro", models / "micro"):
        assert "tokenizer.json" in read_bundle(folder).files
    monkeypatch.chdir(models)
    assert "tokenizer.json" in read_bundle("micro").files


def test_bundled_models_are_looked_at_after_the_neighbors(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "tiny", tmp_path / "zoo" / "tiny")
    assert read_bundle(models / "micro").shared_folder == models / "tiny"
    shutil.rmtree(models / "tiny")
    assert read_bundle(models / "micro").shared_folder == tmp_path / "zoo" / "tiny"


def test_a_neighbor_of_that_name_which_is_another_model_does_not_hide_the_bundled_one(
    models: Path, tmp_path: Path
) -> None:
    shutil.copytree(models / "tiny", tmp_path / "zoo" / "tiny")
    write_bundle(models / "tiny", make_manifest(kind="log_mixture"), make_files(kind="log_mixture"))
    assert read_bundle(models / "micro").shared_folder == tmp_path / "zoo" / "tiny"


def test_a_folder_in_the_working_folder_is_no_bundled_model(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (models / "tiny").rename(tmp_path / "elsewhere" / "tiny")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert_refused(models / "micro", "which is not there", "beside this one")


def test_another_model_of_that_name_is_one_sentence(models: Path) -> None:
    write_bundle(models / "tiny", make_manifest(kind="log_mixture"), make_files(kind="log_mixture"))
    assert_refused(models / "micro", "specializer.onnx", "another one", "same release")


def test_a_changed_or_missing_shared_file_is_one_sentence(models: Path) -> None:
    for name in ("specializer.onnx", "tokenizer.json"):
        path = models / "tiny" / name
        data = path.read_bytes()
        for changed in (data[:-1] + bytes([data[-1] ^ 1]), data[:-1], data + b"x", b""):
            path.write_bytes(changed)
            assert_refused(models / "micro", name, "another one or damaged")
        path.unlink()
        assert_refused(models / "micro", name, "is missing")
        os.mkfifo(path)
        assert_refused(models / "micro", name)
        path.unlink()
        path.write_bytes(data)
    read_bundle(models / "micro")


def test_a_damaged_manifest_of_the_other_model_is_one_sentence(models: Path) -> None:
    path = models / "tiny" / "model.json"
    path.write_bytes(path.read_bytes() + b" ")
    assert_refused(models / "micro", "model.json", "get 'tiny' again")


def test_a_chain_is_refused(models: Path) -> None:
    micro = read_bundle(models / "micro").manifest
    for lender, borrower in (("tiny", "micro"), ("micro", "tiny"), ("micro", "micro")):
        assert micro.shares is not None
        shares = dataclasses.replace(micro.shares, bundle=lender)
        manifest = dataclasses.replace(micro, name=borrower, shares=shares)
        write_bundle(models / borrower, manifest, {"encoder.onnx": make_encoder(), "README.md": b"x"})
    assert_refused(models / "tiny", "itself shares")
    with pytest.raises(BundleError, match="itself shares those of 'micro'"):
        read_bundle(models / "micro")
