"""Every command takes a model that shares files of another one."""

import json
from pathlib import Path

import pytest

from command_line import assert_one_sentence
from hyperclip.zoo import find
from tiny_bundle import write_pair


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A zoo of ``tiny`` and ``micro``, which shares its files."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    write_pair(folder)
    monkeypatch.setattr(find, "ZOO_FOLDER", folder)
    return folder


def test_list_says_what_is_needed_besides(run, zoo: Path) -> None:
    micro, tiny = json.loads(run("list", "--json").stdout)["models"]
    assert (micro["name"], micro["shares"]) == ("micro", "tiny")
    assert (tiny["name"], tiny["shares"]) == ("tiny", None)
    assert micro["size_bytes"] < tiny["size_bytes"]
    assert " + files of tiny" in run("list").stdout


def test_inspect_says_which_files_are_shared_and_from_where(run, zoo: Path) -> None:
    value = json.loads(run("inspect", "micro", "--json").stdout)
    assert set(value["shares"]["files"]) == {"specializer.onnx", "tokenizer.json"}
    assert value["shares"]["bundle"] == "tiny"
    assert value["shared_folder"] == str(zoo / "tiny")
    assert set(value["files"]) == {"README.md", "encoder.onnx"}
    plain = run("inspect", "micro").stdout
    assert f"files of tiny in {zoo / 'tiny'}" in plain
    (line,) = (line for line in plain.splitlines() if line.startswith("specializer.onnx"))
    assert line.split()[-1] == "tiny"
    assert json.loads(run("inspect", "tiny", "--json").stdout)["shared_folder"] is None


def test_specialize_predict_and_evaluate_work(run, zoo: Path, photos: Path, labeled: Path) -> None:
    assert run("specialize", "cat", "dog", "--model", "micro", "-o", "pets.onnx").code == 0
    assert run("predict", "pets.onnx", "photos").code == 0
    assert run("evaluate", "pets.onnx", "data").code == 0
    assert run("evaluate", "micro", "data").code == 0


def test_without_the_other_model_there_is_one_sentence(run, zoo: Path, tmp_path: Path) -> None:
    (zoo / "tiny").rename(tmp_path / "away")
    for command in (("inspect", "micro"), ("specialize", "cat", "dog", "--model", "micro", "-o", "x.onnx")):
        assert_one_sentence(run(*command), "'micro'", "'tiny'", "put that model's folder beside")
