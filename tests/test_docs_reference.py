"""The reference says what the code does: generated parts are fresh, and no key of a format is forgotten."""

import dataclasses
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
REMEDY = "run `python docs/generate.py`"


def load_generator() -> ModuleType:
    """Import ``docs/generate.py``, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = load_generator()
GENERATED = [
    (path, match["name"])
    for path in GENERATOR.pages()
    for match in GENERATOR.BLOCK.finditer(path.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize(("path", "name"), GENERATED, ids=lambda value: getattr(value, "stem", value))
def test_generated_parts_are_what_the_code_says(path: Path, name: str) -> None:
    if name.startswith("recipe/"):
        pytest.importorskip("torch")
        pytest.importorskip("timm")
    text = path.read_text(encoding="utf-8")
    (block,) = (match for match in GENERATOR.BLOCK.finditer(text) if match["name"] == name)

    assert GENERATOR.filled(block[0]) == block[0], REMEDY


def test_every_command_and_every_section_is_in_the_reference() -> None:
    names = {name for _, name in GENERATED}
    assert {f"help/{command}" for command in ("hyperclip", *GENERATOR.command_names())} <= names
    pytest.importorskip("torch")
    pytest.importorskip("timm")
    assert {f"recipe/{section}" for section in GENERATOR.recipe_sections()} <= names


def test_every_key_of_model_json_is_in_its_specification() -> None:
    from hyperclip.bundle import (
        FileEntry,
        GeneratedParameter,
        HeadSpec,
        ImageSpec,
        Manifest,
        Shares,
        TextSpec,
    )

    text = (DOCS / "reference" / "bundle-format.md").read_text(encoding="utf-8")
    for cls in (Manifest, ImageSpec, TextSpec, HeadSpec, GeneratedParameter, Shares):
        for field in dataclasses.fields(cls):
            assert f"`{field.name}`" in text, (cls.__name__, field.name)
    for field in dataclasses.fields(FileEntry):
        assert f'"{field.name}"' in text


def test_every_metadata_key_is_in_the_specification_of_classifier_files() -> None:
    from hyperclip.runtime.metadata import Metadata

    text = (DOCS / "reference" / "classifier-file.md").read_text(encoding="utf-8")
    written = {field.name for field in dataclasses.fields(Metadata)} - {"temperature"}
    documented = set(re.findall(r"^\| `hyperclip\.(\w+)`", text, re.M))
    assert documented == written | {"format_version", "calibration"}


def test_what_is_said_about_senses_is_what_the_bundled_glossary_chooses() -> None:
    path = ROOT / "src" / "hyperclip" / "zoo" / "small" / "glossary.bin"
    if not path.exists():
        pytest.skip("the model `small` is not bundled yet")
    from hyperclip.runtime.glossary import Glossary

    glossary = Glossary.read(path.read_bytes())
    rows = re.findall(
        r"^\| \*\*(.+?)\*\*, (.+?) \| (.+?) \|$", (DOCS / "concepts" / "meanings.md").read_text("utf-8"), re.M
    )
    assert len(rows) >= 6
    for name, others, expected in rows:
        meaning = glossary.choose([name, *others.split(", ")])[0]
        assert meaning is not None
        assert meaning.text == expected, name


def test_the_meaning_weighs_as_much_as_the_concepts_say() -> None:
    from hyperclip.runtime.texts import MEANING_WEIGHT

    assert MEANING_WEIGHT == 2
    assert "twice" in (DOCS / "concepts" / "meanings.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    for module in ("sphinx", "myst_parser", "furo", "torch", "timm"):
        pytest.importorskip(module)
    source = shutil.copytree(DOCS, tmp_path / "clone" / "docs", ignore=shutil.ignore_patterns("_build"))
    (tmp_path / "clone" / "src").symlink_to(ROOT / "src")
    options = ["-W", "--keep-going", "-q", "-b", "html"]
    result = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, str(source), str(tmp_path / "html")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
