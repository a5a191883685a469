"""``hyperclip evaluate``: figures, names that must meet, merged names, unreadable pictures."""

import json
import sys
from pathlib import Path

import pytest

from command_line import assert_one_sentence, save_pictures
from hyperclip.evaluate.metrics import wilson_interval
from hyperclip.runtime.classifier import Classifier


def test_a_model_is_specialized_to_the_names_of_the_data_set(run, model_folder: Path, labeled: Path) -> None:
    outcome = run("evaluate", model_folder, labeled, "--json", "--image-size", 16)
    assert outcome.code == 0
    value = json.loads(outcome.stdout)
    assert value["n"] == 4
    assert [(entry["name"], entry["n"]) for entry in value["classes"]] == [("cat", 1), ("Dog", 3)]
    assert value["image_size_px"] == 16
    assert value["acc5"] == 1
    n_correct = round(value["acc1"] * 4)
    assert value["acc1"] == n_correct / 4
    assert value["confidence_interval"] == list(wilson_interval(n_correct, 4))
    recalls = [entry["recall"] for entry in value["classes"]]
    assert value["mean_per_class_recall"] == pytest.approx(sum(recalls) / 2)
    assert value["acc1"] == pytest.approx((recalls[0] + 3 * recalls[1]) / 4)


def test_a_classifier_meets_the_data_by_name_not_by_index(run, classifier_file: Path, labeled: Path) -> None:
    outcome = run("evaluate", "pets.onnx", labeled, "--json")
    assert outcome.code == 0
    value = json.loads(outcome.stdout)
    dogs = Classifier.load(classifier_file).predict(sorted((labeled / "Dog").iterdir()))
    recall = {entry["name"]: entry["recall"] for entry in value["classes"]}
    assert recall["dog"] == pytest.approx((dogs == "dog").mean())
    assert recall["猫 [red]"] is None
    assert "1 classes have no pictures and serve as distractors: 猫 [red]." in outcome.stderr


def test_names_that_do_not_meet_are_listed(run, classifier_file: Path, labeled: Path) -> None:
    save_pictures(labeled / "rocket", ["1.png"])
    outcome = run("evaluate", "pets.onnx", labeled, "--json")
    assert_one_sentence_after_first(outcome.stderr)
    assert outcome.code == 1
    assert outcome.stdout == ""
    assert "lacks 1 of the data set's 3 names: 'rocket'" in outcome.stderr


def assert_one_sentence_after_first(stderr: str) -> None:
    """Check that what was said is short."""
    assert stderr.count("\n") <= 2
    assert len(stderr.encode()) < 1500


def test_equal_names_are_merged_and_said(run, model_folder: Path, labeled: Path) -> None:
    save_pictures(labeled / "CAT", ["9.png"])
    outcome = run("evaluate", model_folder, labeled, "--json")
    value = json.loads(outcome.stdout)
    assert "Equal names were made one class: " in outcome.stderr
    assert [name.casefold() for name in value["merged"]] == ["cat"]
    assert sorted(entry["n"] for entry in value["classes"]) == [2, 3]


def test_unreadable_pictures_are_left_out_and_listed(run, model_folder: Path, labeled: Path) -> None:
    (labeled / "cat" / "bad.png").write_bytes(b"junk")
    outcome = run("evaluate", model_folder, labeled, "--json")
    assert outcome.code == 1
    value = json.loads(outcome.stdout)
    assert value["n"] == 4
    assert value["unreadable"] == ["cat/bad.png"]
    assert "bad.png" in outcome.stderr


def test_only_unreadable_pictures_is_an_error(run, model_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "cat"
    folder.mkdir(parents=True)
    (folder / "1.png").write_bytes(b"junk")
    assert_one_sentence(run("evaluate", model_folder, tmp_path / "data"), "None of the 1 pictures", "1.png")


def test_plain_output_names_the_figures(run, model_folder: Path, labeled: Path) -> None:
    outcome = run("evaluate", model_folder, labeled)
    assert outcome.code == 0
    lines = outcome.stdout.splitlines()
    assert lines[0] == "4 pictures, 2 classes"
    assert lines[1].startswith("top-1 accuracy")
    assert "95 % interval" in lines[1]
    assert lines[3].startswith("mean per-class recall")


def test_another_size_than_the_classifiers_is_refused(run, classifier_file: Path, labeled: Path) -> None:
    assert run("evaluate", "pets.onnx", labeled, "--image-size", 32).code == 0
    outcome = run("evaluate", "pets.onnx", labeled, "--image-size", 16)
    assert outcome.code == 1
    assert "made for 32 px" in outcome.stderr


def test_a_picture_that_cannot_be_written_is_refused_before_the_work(
    run, model_folder: Path, labeled: Path
) -> None:
    outcome = run("evaluate", model_folder, labeled, "--confusion", "nowhere/a.png")
    assert_one_sentence(outcome, "nowhere")
    assert outcome.stdout == ""


@pytest.mark.parametrize(
    ("target", "data", "words"),
    [
        ("gone.onnx", "data", ("gone.onnx",)),
        ("no-such-model", "data", ("no-such-model",)),
        ("pets.onnx", "nowhere", ("nowhere",)),
    ],
)
def test_what_is_not_there_is_one_sentence(
    run, classifier_file: Path, labeled: Path, target: str, data: str, words: tuple[str, ...]
) -> None:
    assert_one_sentence(run("evaluate", target, data), *words)


def test_the_confusion_picture_is_drawn(run, model_folder: Path, labeled: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    outcome = run("evaluate", model_folder, labeled, "--json", "--confusion", "confusion.png")
    assert outcome.code == 0
    assert json.loads(outcome.stdout)["confusion"] == "confusion.png"
    assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_only_the_picture_is_left_out(
    run, model_folder: Path, labeled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("matplotlib.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    outcome = run("evaluate", model_folder, labeled, "--json", "--confusion", "confusion.png")
    assert outcome.code == 0
    assert json.loads(outcome.stdout)["confusion"] is None
    assert "confusion.png was left out: " in outcome.stderr
    assert "hyperclip[report]" in outcome.stderr
    assert not (tmp_path / "confusion.png").exists()
