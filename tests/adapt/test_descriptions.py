"""Descriptions from files, language models and the glossary: cleaned, capped, and never believed."""

import json
import logging
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="adapting needs scikit-learn: pip install 'hyperclip[adapt]'")

from hyperclip.adapt.descriptions import (
    clean_descriptions,
    describe_with,
    descriptions_from_glossary,
    find_descriptions,
    names_a_class,
    read_descriptions,
)
from hyperclip.adapt.random_phrases import random_phrases
from hyperclip.errors import InputError
from hyperclip.runtime.specialize import load


def test_a_file_is_read_by_name_whatever_the_case(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "d.json"
    path.write_text(json.dumps({"Cat": ["- whiskers", "whiskers", "cat", ""], "lion": ["a mane"]}))
    with caplog.at_level(logging.WARNING, logger="hyperclip"):
        found = read_descriptions(path, ["cat", "dog"])
    assert found == {"cat": ("whiskers",)}
    assert "1 classes have no descriptions, such as 'dog'." in caplog.text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[1]", "something else than descriptions"),
        ('{"cat": "whiskers"}', "something else than descriptions"),
        ('{"cat": [1]}', "something else than descriptions"),
        ('{"lion": ["a mane"]}', "describes none of the 2 classes"),
        ("{", "cannot be read"),
    ],
)
def test_other_files_are_refused_in_a_sentence(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "d.json"
    path.write_text(content)
    with pytest.raises(InputError, match=words):
        read_descriptions(path, ["cat", "dog"])


def test_the_bundled_descriptions_say_what_is_seen_and_name_no_class() -> None:
    path = find_descriptions("everyday")
    value = json.loads(path.read_text(encoding="utf-8"))
    assert 20 <= len(value) <= 40
    assert {"cat", "cup of coffee", "rocket", "astronaut"} <= set(value)
    assert list(value) == sorted(value)
    for name, phrases in value.items():
        assert 4 <= len(phrases) <= 6
        assert read_descriptions(path, [name]) == {name: tuple(phrases)}  # nothing has to be cleaned
        assert not [phrase for phrase in phrases if names_a_class(phrase, list(value))]


def test_a_file_wins_over_a_bundled_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_descriptions("everyday").is_absolute()
    Path("everyday").write_text("{}")
    assert find_descriptions("everyday") == Path("everyday")


@pytest.mark.parametrize("name", ["everydya", "a/b.json", "x" * 5000, "\0", ""])
def test_descriptions_that_are_nowhere_are_named_in_a_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"expected a JSON file, or the name .*everyday"):
        find_descriptions(name)


def test_a_language_model_is_any_callable() -> None:
    asked = []

    def model(prompt: str) -> str:
        asked.append(prompt)
        return "1. pointed ears.\n* whiskers\n\n- Whiskers\n\x1b[2Jfur"

    found = describe_with(model, ["cat"])
    assert found == {"cat": ("pointed ears", "whiskers", "[2Jfur")}
    assert "photograph of a cat" in asked[0]


def test_an_answer_that_is_no_text_is_refused() -> None:
    with pytest.raises(InputError, match="gave a NoneType for 'cat'; expected text"):
        describe_with(lambda prompt: None, ["cat"])  # type: ignore[arg-type,return-value]


def test_what_is_too_long_or_too_much_is_dropped() -> None:
    found = clean_descriptions({"cat": ["x" * 500, *(f"phrase {n}" for n in range(300))]}, ["cat"])
    assert len(found["cat"]) == 100
    assert max(map(len, found["cat"])) < 20


def test_a_model_without_a_glossary_describes_nothing(tiny_folder: Path) -> None:
    assert descriptions_from_glossary(load(tiny_folder), ["cat", "dog"]) == {}


@pytest.mark.parametrize(
    ("text", "is_name"),
    [("a cat's face", True), ("cattle", False), ("A CAT", True), ("sea cow", True), ("cowboy", False)],
)
def test_a_text_that_holds_a_class_is_marked(text: str, is_name: bool) -> None:
    assert names_a_class(text, ["cat", "sea cow", "cow"]) is is_name


def test_random_phrases_are_as_many_and_as_long_and_all_different() -> None:
    phrases = ["four legs", "a long tail with rings", "fur"] * 40
    drawn = random_phrases(phrases, seed=3)
    assert [len(text.split()) for text in drawn] == [len(text.split()) for text in phrases]
    assert len(set(drawn)) == len(drawn)
    assert drawn == random_phrases(phrases, seed=3)
    assert drawn != random_phrases(phrases, seed=4)
