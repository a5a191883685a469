"""``hyperclip predict``: order, JSON lines, bad pictures, contact sheets."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command_line import assert_one_sentence, save_pictures
from hyperclip.runtime.classifier import Classifier


def test_json_gives_one_object_a_picture_and_nothing_else(run, classifier_file: Path, photos: Path) -> None:
    outcome = run("predict", "pets.onnx", "photos", "--json", "--top", 2)
    assert (outcome.code, outcome.stderr) == (0, "")
    values = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [value["path"] for value in values] == ["photos/2.png", "photos/10.png", "photos/more/a.png"]
    probabilities = Classifier.load(classifier_file).predict_proba([photos / "2.png"])[0]
    best = np.argsort(-probabilities)[:2]
    names = ["cat", "dog", "猫 [red]"]
    assert values[0]["predictions"] == [
        {"name": names[index], "probability": pytest.approx(float(probabilities[index]))} for index in best
    ]


def test_more_classes_than_there_are_gives_all(run, classifier_file: Path, photos: Path) -> None:
    outcome = run("predict", "pets.onnx", photos / "2.png", "--json", "--top", 9)
    shares = [entry["probability"] for entry in json.loads(outcome.stdout)["predictions"]]
    assert len(shares) == 3
    assert sum(shares) == pytest.approx(1, abs=1e-5)


def test_plain_output_is_one_line_a_picture(run, classifier_file: Path, photos: Path) -> None:
    outcome = run("predict", "pets.onnx", "photos", "--top", 1)
    assert [line.split("  ")[0] for line in outcome.stdout.splitlines()] == [
        "photos/2.png",
        "photos/10.png",
        "photos/more/a.png",
    ]
    assert outcome.stdout.splitlines()[0].endswith("%")


def test_bad_pictures_in_a_folder_do_not_stop_the_others(run, classifier_file: Path, photos: Path) -> None:
    (photos / "5.jpg").write_bytes(b"no picture")
    (photos / "6.png").write_bytes((photos / "2.png").read_bytes()[:100])
    outcome = run("predict", "pets.onnx", "photos", "--json")
    assert outcome.code == 1
    assert len(outcome.stdout.splitlines()) == 3
    lines = outcome.stderr.splitlines()
    assert "photos/5.jpg" in lines[0]
    assert "photos/6.png" in lines[1]
    assert lines[2] == "2 of 5 could not be read; they are named above."


def test_a_missing_argument_does_not_stop_the_others(run, classifier_file: Path, photos: Path) -> None:
    outcome = run("predict", "pets.onnx", "gone.png", "photos/2.png", "--json")
    assert outcome.code == 1
    assert json.loads(outcome.stdout)["path"] == "photos/2.png"
    assert "gone.png" in outcome.stderr


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "is empty"), (b"x" * 50, "not a picture"), (None, "No such file")]
)
def test_one_unreadable_picture_is_one_sentence(
    run, classifier_file: Path, tmp_path: Path, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / "a.png").write_bytes(content)
    outcome = run("predict", "pets.onnx", "a.png", "--json")
    assert_one_sentence(outcome, "a.png", words)
    assert outcome.stdout == ""


def test_a_folder_without_pictures_is_one_sentence(run, classifier_file: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert_one_sentence(run("predict", "pets.onnx", "empty"), "empty", "no pictures")


@pytest.mark.parametrize(
    ("name", "content"),
    [("gone.onnx", None), ("empty.onnx", b""), ("junk.onnx", b"junk" * 99), ("a.png", "photo")],
)
def test_a_file_that_is_no_classifier_is_one_sentence(
    run, photos: Path, tmp_path: Path, name: str, content: bytes | str | None
) -> None:
    if isinstance(content, str):
        save_pictures(tmp_path, [name])
    elif content is not None:
        (tmp_path / name).write_bytes(content)
    assert_one_sentence(run("predict", name, "photos"), name)


def test_a_truncated_classifier_is_one_sentence(run, classifier_file: Path, photos: Path) -> None:
    classifier_file.write_bytes(classifier_file.read_bytes()[:-200])
    assert_one_sentence(run("predict", "pets.onnx", "photos"), "pets.onnx")


def test_the_sheet_is_drawn_and_stdout_stays_json(
    run, classifier_file: Path, photos: Path, tmp_path: Path
) -> None:
    outcome = run("predict", "pets.onnx", "photos", "--json", "--sheet", "sheet.png")
    assert outcome.code == 0
    assert [json.loads(line)["path"] for line in outcome.stdout.splitlines()]
    assert outcome.stderr == "Drew sheet.png.\n"
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG"
        assert min(sheet.size) > 300


@pytest.mark.parametrize("path", ["nowhere/sheet.png", "sheet.txt"])
def test_a_sheet_that_cannot_be_written_is_refused_before_the_work(
    run, classifier_file: Path, photos: Path, path: str
) -> None:
    outcome = run("predict", "pets.onnx", "photos", "--sheet", path)
    assert_one_sentence(outcome, path.split("/")[0])
    assert outcome.stdout == ""
