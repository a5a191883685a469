"""What is bundled is whole, ships with the package, and stays small."""

import tomllib
from pathlib import Path

import pytest

from hyperclip.bundle import read_bundle
from hyperclip.zoo import find_bundle, names

ROOT = Path(__file__).parents[2]
MAX_BYTES = 25_000_000  # of all bundled models together


@pytest.mark.parametrize("name", names())
def test_a_bundled_model_is_whole_and_needs_bundled_ones_alone(name: str) -> None:
    bundle = read_bundle(find_bundle(name))
    assert bundle.manifest.name == name
    assert bundle.shared_folder is None or bundle.shared_folder.name in names()


@pytest.mark.parametrize("name", names())
def test_every_file_of_a_bundled_model_is_in_the_package(name: str) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["hyperclip"]
    package = ROOT / "src" / "hyperclip"
    packed = {path for pattern in patterns for path in package.glob(pattern)}
    folder = package / "zoo" / name
    files = read_bundle(folder).manifest.files
    assert {folder / file for file in (*files, "model.json")} <= packed


def test_all_bundled_models_together_stay_small() -> None:
    total = sum(
        entry.size_bytes
        for name in names()
        for entry in read_bundle(find_bundle(name)).manifest.files.values()
    )
    assert total <= MAX_BYTES
