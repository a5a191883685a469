"""``hyperclip adapt``: pictures in, an ordinary classifier file out, and one sentence for trouble."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from command_line import assert_one_sentence, save_shades
from hyperclip.adapt.methods import METHODS
from hyperclip.runtime.classifier import Classifier


@pytest.fixture
def shades(tmp_path: Path) -> Path:
    """Red, green and blue pictures, four of each."""
    for seed, (name, color) in enumerate(
        {"cat": (200, 60, 60), "dog": (60, 200, 60), "猫 [red]": (60, 60, 200)}.items()
    ):
        save_shades(tmp_path / "shades" / name, color, 4, seed=seed)
    return tmp_path / "shades"


@pytest.mark.parametrize("method", METHODS)
def test_every_method_writes_an_ordinary_classifier(
    run, classifier_file: Path, model_folder: Path, shades: Path, method: str
) -> None:
    options = ("-o", "better.onnx", "--method", method, "--model", model_folder, "--json")
    outcome = run("adapt", classifier_file, shades, *options)
    assert outcome.code == 0, outcome.stderr
    value = json.loads(outcome.stdout)
    assert value["path"] == "better.onnx"
    assert value["n_images"] == 12
    assert [entry["n_images"] for entry in value["classes"]] == [4, 4, 4]
    assert value["gain"]["n"] == 12
    low, high = value["gain"]["confidence_interval"]
    assert low < high
    better, before = Classifier.load("better.onnx"), Classifier.load(classifier_file)
    assert better.classes_.tolist() == before.classes_.tolist()
    files = sorted(shades.rglob("*.png"))
    np.testing.assert_array_equal(better.embed(files), before.embed(files))
    assert better.metadata.adaptation is not None
    assert better.metadata.adaptation.source == before.metadata.fingerprint
    if method not in ("zero_shot", "auto"):
        right = [name == path.parent.name for name, path in zip(better.predict(files), files, strict=True)]
        assert np.mean(right) > 0.9


@pytest.mark.torch
def test_slr_ft_trains_the_encoder_into_a_file_of_the_same_operators(
    run, classifier_file: Path, model_folder: Path, shades: Path
) -> None:
    pytest.importorskip("torch_pruning", reason="training needs PyTorch: pip install 'hyperclip[train]'")
    options = ("-o", "better.onnx", "--method", "slr_ft", "--model", model_folder, "--json")
    outcome = run("adapt", classifier_file, shades, *options)
    assert outcome.code == 0, outcome.stderr
    value = json.loads(outcome.stdout)
    assert value["method"] == "slr_ft"
    assert value["n_images"] == 12
    assert "trained_share" in value["parameters"]
    assert (value["parameters"]["trained_share"] == 0) == ("given back as it was" in value["note"])
    assert value["note"] in outcome.stderr
    files = sorted(shades.rglob("*.png"))
    right = Classifier.load("better.onnx").predict(files) == [path.parent.name for path in files]
    assert np.mean(right) > 0.9


def test_slr_ft_without_pytorch_is_one_sentence(
    run, classifier_file: Path, model_folder: Path, shades: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "hyperclip.adapt.fine_tune", raising=False)
    monkeypatch.delattr("hyperclip.adapt.fine_tune", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    options = ("-o", "better.onnx", "--method", "slr_ft", "--model", model_folder)
    outcome = run("adapt", classifier_file, shades, *options)
    assert_one_sentence(outcome, "slr_ft trains and needs torch", "pip install 'hyperclip[train]'")


def test_more_pictures_than_are_kept_are_refused(
    run, classifier_file: Path, model_folder: Path, shades: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch_pruning", reason="training needs PyTorch: pip install 'hyperclip[train]'")
    monkeypatch.setattr("hyperclip.adapt.pictures.MAX_PIXEL_BYTES", 3 * 32**2 * 5)
    options = ("-o", "better.onnx", "--method", "slr_ft", "--model", model_folder)
    outcome = run("adapt", classifier_file, shades, *options)
    assert outcome.code == 1
    last = outcome.stderr.splitlines()[-1]
    assert "There are 12 pictures of 32 px; expected at most 5 to train" in last


def test_a_model_is_specialized_to_the_names_of_the_folders(run, model_folder: Path, shades: Path) -> None:
    outcome = run("adapt", model_folder, shades, "-o", "better.onnx", "--method", "prototype")
    assert outcome.code == 0, outcome.stderr
    assert "12 pictures of 3 classes, 4 each" in outcome.stdout
    assert "Wrote better.onnx" in outcome.stdout
    assert set(Classifier.load("better.onnx").classes_) == {"cat", "dog", "猫 [red]"}


def test_the_result_can_be_adapted_again(run, classifier_file: Path, shades: Path) -> None:
    run("adapt", classifier_file, shades, "-o", "once.onnx", "--method", "gda")
    outcome = run("adapt", "once.onnx", shades, "-o", "twice.onnx", "--method", "wise", "--json")
    assert outcome.code == 0, outcome.stderr
    once = Classifier.load("once.onnx")
    assert Classifier.load("twice.onnx").metadata.adaptation.source == once.metadata.fingerprint


def test_a_table_serves_as_well_as_folders(run, classifier_file: Path, shades: Path) -> None:
    lines = [
        "image,label",
        *(f"shades/{path.parent.name}/{path.name},{path.parent.name}" for path in shades.rglob("*.png")),
    ]
    Path("pictures.csv").write_text("\n".join(lines), encoding="utf-8")
    outcome = run("adapt", classifier_file, "pictures.csv", "-o", "better.onnx", "--json")
    assert outcome.code == 0, outcome.stderr
    assert json.loads(outcome.stdout)["n_images"] == 12


def test_one_picture_of_each_class_gives_no_interval(run, classifier_file: Path, shades: Path) -> None:
    for path in shades.rglob("[1-9].png"):
        path.unlink()
    outcome = run("adapt", classifier_file, shades, "-o", "better.onnx", "--method", "gda", "--json")
    assert outcome.code == 0, outcome.stderr
    assert json.loads(outcome.stdout)["gain"] is None
    outcome = run("adapt", classifier_file, shades, "-o", "better.onnx", "--method", "gda")
    assert "unknown: no class has two pictures" in outcome.stdout


def test_a_damaged_picture_is_left_out_and_said(run, classifier_file: Path, shades: Path) -> None:
    (shades / "cat" / "0.png").write_bytes(b"no picture")
    outcome = run("adapt", classifier_file, shades, "-o", "better.onnx", "--json")
    assert outcome.code == 0
    value = json.loads(outcome.stdout)
    assert value["n_images"] == 11
    assert len(value["unreadable"]) == 1
    assert "Left out: " in outcome.stderr
    assert "0.png" in outcome.stderr


def test_copies_count_once_and_are_said(run, classifier_file: Path, shades: Path) -> None:
    (shades / "cat" / "again.png").write_bytes((shades / "cat" / "0.png").read_bytes())
    outcome = run("adapt", classifier_file, shades, "-o", "better.onnx", "--json")
    assert outcome.code == 0
    assert json.loads(outcome.stdout)["n_images"] == 12
    assert "1 pictures repeat others of their class and count once: cat/again.png." in outcome.stderr


def test_one_picture_in_two_classes_is_refused(run, classifier_file: Path, shades: Path) -> None:
    (shades / "dog" / "again.png").write_bytes((shades / "cat" / "0.png").read_bytes())
    outcome = run("adapt", classifier_file, shades, "-o", "better.onnx", "--method", "gda")
    assert_one_sentence(outcome, "'cat/0.png' of 'cat'", "'dog/again.png' of 'dog'", "the same picture")
    assert not Path("better.onnx").exists()


def test_a_class_without_pictures_is_named(run, classifier_file: Path, shades: Path) -> None:
    for path in (shades / "dog").iterdir():
        path.write_bytes(b"no picture")
    outcome = run("adapt", classifier_file, shades, "-o", "better.onnx")
    assert outcome.code == 1
    assert "There is no picture of 'dog' (4 could not be read); expected at least one" in outcome.stderr


def test_an_unknown_method_lists_those_that_there_are(run, classifier_file: Path, shades: Path) -> None:
    outcome = run("adapt", classifier_file, shades, "-o", "better.onnx", "--method", "magic")
    assert_one_sentence(outcome, "--method is 'magic'", "linear_probe", "choose one")


def test_the_input_is_never_written_over(run, classifier_file: Path, shades: Path) -> None:
    before = classifier_file.read_bytes()
    outcome = run("adapt", classifier_file, shades, "-o", classifier_file)
    assert_one_sentence(outcome, "is the classifier that is adapted; expected another file")
    assert classifier_file.read_bytes() == before


def test_a_missing_folder_is_said_before_the_work(run, classifier_file: Path, shades: Path) -> None:
    outcome = run("adapt", classifier_file, shades, "-o", "none/better.onnx")
    assert_one_sentence(outcome, "The folder 'none' does not exist")


def test_a_missing_extra_is_named(
    run, classifier_file: Path, shades: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("hyperclip.adapt")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    outcome = run("adapt", classifier_file, shades, "-o", "better.onnx")
    assert_one_sentence(outcome, "Adapting needs scikit-learn", "pip install 'hyperclip[adapt]'")
