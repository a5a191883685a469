"""``hyperclip inspect``: what files and models say about themselves, and that they are verified."""

import json
from pathlib import Path

import pytest

from command_line import assert_one_sentence


def test_a_classifier_file_tells_classes_terms_and_origin(run, classifier_file: Path) -> None:
    outcome = run("inspect", "pets.onnx", "--json")
    assert outcome.code == 0
    value = json.loads(outcome.stdout)
    assert value["kind"] == "classifier"
    assert [entry["name"] for entry in value["classes"]] == ["cat", "dog", "猫 [red]"]
    assert value["licence"]["commercial_use"] == "A toy for tests, not worth selling."
    assert value["calibration"] == {"temperature": 0.5}
    assert value["threshold"] is None
    assert value["images"]["size_px"] == 32
    assert len(value["fingerprint"]) == len(value["model"]["fingerprint"]) == 64
    assert value["size_bytes"] == classifier_file.stat().st_size


def test_plain_output_says_whether_commercial_use_is_allowed(run, classifier_file: Path) -> None:
    outcome = run("inspect", "pets.onnx")
    assert outcome.code == 0
    assert "commercial use  A toy for tests, not worth selling.\n" in outcome.stdout
    assert "\n猫 [red]  -        none    -        -\n" in outcome.stdout


def test_a_model_folder_tells_sizes_and_terms(run, model_folder: Path) -> None:
    outcome = run("inspect", model_folder, "--json")
    value = json.loads(outcome.stdout)
    assert (value["kind"], value["name"], value["n_generated"]) == ("model", "tiny", 32)
    assert value["images"]["sizes_px"] == [16, 32]
    assert value["size_bytes"] == sum(entry["size_bytes"] for entry in value["files"].values())
    plain = run("inspect", model_folder).stdout
    assert "image size      32 px (of 16, 32)\n" in plain
    assert "commercial use  A toy for tests, not worth selling.\n" in plain


@pytest.mark.parametrize("target", ["gone.onnx", "no-such-model", "photos"])
def test_what_is_neither_is_one_sentence(run, photos: Path, target: str) -> None:
    assert_one_sentence(run("inspect", target), target)


def test_a_changed_classifier_is_refused(run, classifier_file: Path) -> None:
    data = classifier_file.read_bytes()
    classifier_file.write_bytes(data.replace(b'["cat", "dog"', b'["cat", "fox"'))
    assert classifier_file.read_bytes() != data
    assert_one_sentence(run("inspect", "pets.onnx"), "pets.onnx", "fingerprint")
