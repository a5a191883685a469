"""Rewritten models are valid: fingerprints, checksums, shared files, workshop weights left behind."""

from pathlib import Path

import onnx
import pytest

from hyperclip.bundle import write_bundle
from hyperclip.bundle.read import read_bundle
from hyperclip.compress.rewrite import rewritten_bundle, rewritten_classifier, save_bundle
from hyperclip.errors import InputError
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.specialize import load
from tiny_bundle import make_encoder, make_files, make_manifest, write_pair


def test_a_classifier_says_what_was_done_and_is_intact(tmp_path: Path) -> None:
    write_bundle(tmp_path / "tiny", make_manifest(), make_files())
    dense = load(tmp_path / "tiny").specialize(["a", "b"])
    again = rewritten_classifier(dense, onnx.ModelProto.FromString(dense.to_bytes()), change="Changed.")
    again.save(tmp_path / "again.onnx")
    loaded = Classifier.load(tmp_path / "again.onnx")
    assert loaded.metadata.licence.origin == f"{dense.metadata.licence.origin} Changed."
    assert loaded.metadata.class_names == dense.metadata.class_names
    assert loaded.metadata.temperature == dense.metadata.temperature
    assert "Changed" not in dense.metadata.licence.origin


def test_a_saved_bundle_verifies_and_leaves_dense_weights_behind(tmp_path: Path) -> None:
    files = {**make_files(), "weights.safetensors": b"dense", "recipe.toml": b"seed = 1\n"}
    write_bundle(tmp_path / "tiny", make_manifest(), files)
    bundle = read_bundle(tmp_path / "tiny")
    changed = rewritten_bundle(bundle, {"encoder.onnx": make_encoder(seed=4)}, change="Changed.")
    save_bundle(changed, tmp_path / "thin")
    again = read_bundle(tmp_path / "thin")
    assert again.fingerprint == changed.fingerprint != bundle.fingerprint
    assert again.read("recipe.toml") == b"seed = 1\n"
    assert again.files["encoder.onnx"] == make_encoder(seed=4)
    assert again.manifest.origin.endswith("Changed.")
    assert not (tmp_path / "thin" / "weights.safetensors").exists()


def test_a_changed_file_that_was_shared_becomes_the_models_own(tmp_path: Path) -> None:
    write_pair(tmp_path)
    micro = read_bundle(tmp_path / "micro")
    specializer = micro.files["specializer.onnx"]
    changed = rewritten_bundle(micro, {"specializer.onnx": specializer}, change="Changed.")
    assert changed.manifest.shares is not None
    assert set(changed.manifest.shares.files) == {"tokenizer.json"}
    save_bundle(changed, tmp_path / "thin")
    again = read_bundle(tmp_path / "thin")
    assert "specializer.onnx" in again.manifest.files
    assert again.files["tokenizer.json"] == micro.files["tokenizer.json"]


def test_a_folder_of_other_things_is_not_replaced(tmp_path: Path) -> None:
    write_bundle(tmp_path / "tiny", make_manifest(), make_files())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear diary")
    with pytest.raises(InputError, match="not part of a model"):
        save_bundle(read_bundle(tmp_path / "tiny"), tmp_path / "mine")
    assert (tmp_path / "mine" / "diary.txt").read_text() == "dear diary"
