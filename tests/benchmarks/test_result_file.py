"""One JSON file a measurement."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.result_file import REPOSITORY, read_newest, write_result

from benchmarks import result_file


def write(folder: Path, metrics: dict[str, Any], **options: Any) -> dict[str, Any]:
    path = write_result(folder, metrics, config={"seed": 0}, n_threads=1, **options)
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def store(folder: Path, name: str, date: str, part: str, metrics: dict[str, Any]) -> None:
    content = {"date": date, "part": part, "metrics": metrics}
    (folder / name).write_text(json.dumps(content), encoding="utf-8")


def test_a_result_says_how_and_where_it_was_made(tmp_path: Path) -> None:
    content = write(tmp_path / "results", {"latency_ms": 1.5})

    assert content["metrics"] == {"latency_ms": 1.5}
    assert content["config"] == {"seed": 0}
    assert content["n_threads"] == 1
    assert set(content["software"]) >= {"python", "numpy", "onnxruntime"}
    assert content["hardware"]["n_cores"] >= 1
    assert content["command"]
    assert content["date"]
    assert content["commit"]


def test_a_result_names_no_folder_of_the_machine(tmp_path: Path) -> None:
    content = write(tmp_path, {})

    del content["command"]  # is what was typed
    assert str(REPOSITORY) not in json.dumps(content)
    assert str(Path.home()) not in json.dumps(content["hardware"])


def test_file_names_hold_date_commit_and_part(tmp_path: Path) -> None:
    one = write_result(tmp_path, {}, config={}, n_threads=None)
    other = write_result(tmp_path, {}, config={}, n_threads=None, part="arms")

    assert other.name == f"{one.stem}-arms.json"
    assert one.stem[:4].isdigit()


def test_arrays_and_values_that_are_no_numbers_become_plain_json(tmp_path: Path) -> None:
    content = write(tmp_path, {"recall": np.array([0.5, np.nan]), "n": np.int64(3), "share": 1 / 3})

    assert content["metrics"] == {"recall": [0.5, None], "n": 3, "share": 0.333333}


def test_the_newest_file_of_every_part_counts(tmp_path: Path) -> None:
    store(tmp_path, "2026-01-01-a-model.json", "2026-01-01T00:00:00", "model", {"bundled": 1})
    store(tmp_path, "2026-01-02-b-model.json", "2026-01-02T00:00:00", "model", {"bundled": 2})
    store(tmp_path, "2026-01-01-a-arms.json", "2026-01-01T00:00:00", "arms", {"arms": 3})

    newest = read_newest(tmp_path)

    assert newest is not None
    assert newest["metrics"] == {"bundled": 2, "arms": 3}
    assert newest["file_names"] == ["2026-01-01-a-arms.json", "2026-01-02-b-model.json"]


def test_of_two_files_of_one_day_the_later_counts(tmp_path: Path) -> None:
    store(tmp_path, "2026-01-01-f.json", "2026-01-01T08:00:00", "", {"x": 1})
    store(tmp_path, "2026-01-01-a.json", "2026-01-01T09:00:00", "", {"x": 2})

    newest = read_newest(tmp_path)

    assert newest is not None
    assert newest["metrics"] == {"x": 2}


def test_no_results_give_none(tmp_path: Path) -> None:
    assert read_newest(tmp_path / "missing") is None


def test_without_git_the_commit_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr(result_file.subprocess, "run", fail)

    assert write(tmp_path, {})["commit"] == "unknown"
