"""``hyperclip specialize``: what is written, what is said, what is refused."""

import json
from pathlib import Path

import pytest

from command_line import assert_one_sentence
from hyperclip.cli.specialize import default_file_name, split_descriptions
from hyperclip.errors import InputError
from hyperclip.runtime.classifier import Classifier


def test_json_is_one_object_on_the_last_line(run, model_folder: Path, tmp_path: Path) -> None:
    outcome = run("specialize", " Cat", "cup of coffee", "--model", model_folder, "-o", "pets.onnx", "--json")
    assert outcome.code == 0
    assert outcome.stdout.count("\n") == 1
    value = json.loads(outcome.stdout)
    assert value["path"] == "pets.onnx"
    assert [sorted(entry) for entry in value["classes"]] == [["meaning", "name", "wnid"]] * 2
    assert [entry["name"] for entry in value["classes"]] == [" Cat", "cup of coffee"]
    assert 0 < value["milliseconds"] < 60_000
    assert Classifier.load(tmp_path / "pets.onnx").classes_.tolist() == [" Cat", "cup of coffee"]


def test_the_table_shows_meanings_and_how_to_overrule_them(run, model_folder: Path) -> None:
    outcome = run(
        "specialize", "mouse", "cat", "--model", model_folder, "--describe", "mouse=a computer mouse"
    )
    assert outcome.code == 0
    lines = outcome.stdout.splitlines()
    assert lines[0].split("  ")[0] == "name"
    assert "a computer mouse" in lines[1]
    assert "(your words)" in lines[1]
    assert lines[2].endswith('--describe "cat=..."')
    assert lines[-1].startswith("Wrote mouse-cat-2-classes.onnx (2 classes, ")
    assert "specializing" in lines[-1]


def test_options_reach_the_classifier(run, model_folder: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("sofa | couch = a long seat\nchair\n", encoding="utf-8")
    outcome = run(
        *("specialize", "--names", names, "--model", model_folder, "-o", "seats.onnx", "--image-size", 16),
        *("--template", "a {}.", "--template", "{}", "--describe", "Chair=one seat"),
    )
    assert outcome.code == 0
    metadata = Classifier.load(tmp_path / "seats.onnx").metadata
    assert metadata.class_names == ("sofa", "chair")
    assert metadata.phrasings == (("couch",), ())
    assert [meaning.text for meaning in metadata.meanings] == ["a long seat", "one seat"]
    assert metadata.templates == ("a {}.", "{}")
    assert metadata.images.size_px == 16


def test_a_described_name_on_the_command_line_wins_over_the_file(
    run, model_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "names.txt").write_text("bat = an animal\nball\n")
    run(
        "specialize",
        "--names",
        "names.txt",
        "--describe",
        "bat=a club",
        "--model",
        model_folder,
        "-o",
        "a.onnx",
    )
    assert Classifier.load(tmp_path / "a.onnx").metadata.meanings[0].text == "a club"


def test_names_that_the_tokenizer_cannot_read_are_warned_about(run, model_folder: Path) -> None:
    outcome = run("specialize", "cat", "猫", "🚀", "--model", model_folder, "--json")
    assert outcome.code == 0
    assert "Warning: The tokenizer cannot read '猫', '🚀'" in outcome.stderr
    assert [entry["name"] for entry in json.loads(outcome.stdout)["classes"]] == ["cat", "猫", "🚀"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["cat", " CAT "], ("'cat'", "equal")),
        (["cat", ""], ("blank",)),
        (["x" * 2000], ("2000 characters",)),
        (["a\nb"], ("control character",)),
        (["cat", "-o", "nowhere/a.onnx"], ("no folder 'nowhere'",)),
        (["cat", "-o", "."], ("is a folder",)),
        (["cat", "--image-size", "17"], ("17", "16, 32")),
        (["cat", "--template", "a photo"], ("template", "{}")),
        (["cat", "--describe", "dog=a pet"], ("--describe", "names no class")),
        (["cat", "--describe", "cat"], ("NAME=TEXT",)),
        (["cat", "--describe", "cat= "], ("NAME=TEXT",)),
        (["cat", "--describe", "cat=x", "--describe", "Cat=y"], ("two meanings",)),
        (["--names", "missing.txt"], ("missing.txt", "No such file")),
    ],
)
def test_what_cannot_be_used_is_one_sentence_and_no_file(
    run, model_folder: Path, tmp_path: Path, arguments: list[str], words: tuple[str, ...]
) -> None:
    outcome = run("specialize", *arguments, "--model", model_folder)
    assert_one_sentence(outcome, *words)
    assert outcome.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_model_is_one_sentence(run) -> None:
    assert_one_sentence(
        run("specialize", "cat", "--model", "no-such-model"), "no-such-model", "hyperclip list"
    )


def test_a_damaged_model_is_one_sentence(run, model_folder: Path, tmp_path: Path) -> None:
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(model_folder, broken)
    (broken / "encoder.onnx").write_bytes((broken / "encoder.onnx").read_bytes()[:-1] + b"x")
    assert_one_sentence(run("specialize", "cat", "--model", broken), "encoder.onnx", "SHA-256")


def test_without_a_path_only_a_classifier_is_replaced(run, model_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "cat-1-class.onnx"
    path.write_bytes(b"my notes")
    assert_one_sentence(run("specialize", "cat", "--model", model_folder), "cat-1-class.onnx", "-o")
    assert path.read_bytes() == b"my notes"

    path.unlink()
    assert run("specialize", "cat", "--model", model_folder).code == 0
    again = run("specialize", "cat", "--model", model_folder)
    assert again.code == 0
    assert "Replacing the classifier cat-1-class.onnx" in again.stderr


def test_a_long_list_is_cut_in_the_table_only(run, model_folder: Path) -> None:
    names = [f"thing {index}" for index in range(60)]
    outcome = run("specialize", *names, "--model", model_folder, "-o", "many.onnx")
    assert "... and 10 more: hyperclip inspect many.onnx" in outcome.stdout
    outcome = run("specialize", *names, "--model", model_folder, "-o", "many.onnx", "--json")
    assert len(json.loads(outcome.stdout)["classes"]) == 60


@pytest.mark.parametrize(
    ("names", "file_name"),
    [
        (["cat"], "cat-1-class.onnx"),
        (["Cat", "cup of coffee", "x"], "cat-cup-of-coffee-3-classes.onnx"),
        (["🚀", "../../etc"], "etc-2-classes.onnx"),
        (["猫", "犬"], "猫-犬-2-classes.onnx"),
        (["🚀"], "1-class.onnx"),
        (["a" * 1999, "b"], f"{'a' * 24}-b-2-classes.onnx"),
    ],
)
def test_file_names_are_short_and_safe(names: list[str], file_name: str) -> None:
    assert default_file_name(names) == file_name


def test_a_name_with_an_equals_sign_can_be_described() -> None:
    described = split_descriptions(["a=b=the first", "a=the second"], ["a=b", "a"])
    assert described == {"a=b": "the first", "a": "the second"}
    with pytest.raises(InputError, match="names no class"):
        split_descriptions(["=text"], ["a"])
