"""``hyperclip list``: the bundled models."""

import json
import shutil
from pathlib import Path

import pytest

from hyperclip.zoo import find


def test_models_are_listed_with_sizes_and_terms(
    run, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(model_folder, tmp_path / "zoo" / "tiny")
    monkeypatch.setattr(find, "ZOO_FOLDER", tmp_path / "zoo")
    (model,) = json.loads(run("list", "--json").stdout)["models"]
    assert (model["name"], model["image_sizes_px"]) == ("tiny", [16, 32])
    assert model["commercial_use"] == "A toy for tests, not worth selling."
    plain = run("list").stdout.splitlines()
    assert plain[0].startswith("model  version  image sizes (px)")
    assert plain[1].startswith("tiny   0.0.1    16, 32")


def test_an_installation_without_models_says_so(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "ZOO_FOLDER", tmp_path / "zoo")
    assert json.loads(run("list", "--json").stdout) == {"models": []}
    outcome = run("list")
    assert (outcome.code, outcome.stdout) == (0, "")
    assert "--model" in outcome.stderr
