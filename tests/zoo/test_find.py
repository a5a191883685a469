"""Models are found by name or taken as folders."""

from pathlib import Path

import pytest

from hyperclip.errors import InputError
from hyperclip.zoo import find, find_bundle, names


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A zoo of two models."""
    folder = tmp_path / "zoo"
    for name in ("small", "micro"):
        (folder / name).mkdir(parents=True)
        (folder / name / "model.json").touch()
    (folder / "__pycache__").mkdir()
    monkeypatch.setattr(find, "ZOO_FOLDER", folder)
    return folder


def test_bundled_models_are_listed_by_name(zoo: Path) -> None:
    assert names() == ["micro", "small"]
    assert find_bundle("small") == zoo / "small"


def test_a_folder_is_taken_as_it_is(zoo: Path, tmp_path: Path) -> None:
    assert find_bundle(zoo / "micro") == zoo / "micro"
    assert find_bundle(str(zoo / "micro")) == zoo / "micro"


def test_a_bundled_name_wins_and_a_path_reaches_the_folder(
    zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "model.json").touch()
    monkeypatch.chdir(tmp_path)
    assert find_bundle("small") == zoo / "small"
    assert find_bundle("./small") == Path("small")
    assert find_bundle(Path("small")) == Path("small")


@pytest.mark.parametrize("name", ["smal", "", "x" * 10_000, "nul\0", "/etc", "../zoo/micr"])
def test_an_unknown_model_is_one_sentence(zoo: Path, name: str) -> None:
    with pytest.raises(InputError, match="There is no model") as caught:
        find_bundle(name)
    assert len(str(caught.value).encode()) < 1500


def test_a_near_miss_gets_a_suggestion(zoo: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'small'"):
        find_bundle("smal")
