"""What the README shows works: its Python and its commands are run as they stand."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import save_pictures

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
MAX_LINES = 150
BUNDLED = ROOT / "src" / "hyperclip" / "zoo" / "small" / "model.json"

needs_bundled_model = pytest.mark.skipif(not BUNDLED.exists(), reason="the model `small` is not bundled yet")


def blocks(language: str) -> list[str]:
    """Return the README's fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the README speaks of, as the current one."""
    save_pictures(tmp_path, ["photo.png"])
    shutil.move(tmp_path / "photo.png", tmp_path / "photo.jpg")
    save_pictures(tmp_path / "photos", ["1.png", "2.png"])
    for name in ("cat", "dog"):
        save_pictures(tmp_path / "labeled" / name, ["1.png"])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_readme_is_short_and_its_links_inside_the_repository_lead_somewhere() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("https://") or (ROOT / target).exists(), target


@needs_bundled_model
@pytest.mark.parametrize("code", blocks("python"))
def test_python_examples_run(folder: Path, code: str) -> None:
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})


@needs_bundled_model
def test_commands_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hyperclip.cli.main import build_app

    lines = [line for block in blocks("bash") for line in block.splitlines() if line.startswith("hyperclip ")]
    assert len(lines) >= 5
    for line in lines:
        with pytest.raises(SystemExit) as ended:
            build_app()(shlex.split(line)[1:], prog_name="hyperclip")
        assert ended.value.code in (None, 0), line
    assert (folder / "sheet.png").exists()


@needs_bundled_model
@pytest.mark.slow
def test_the_demo_ends_with_its_score(tmp_path: Path) -> None:
    pytest.importorskip("skimage")
    pytest.importorskip("sklearn")
    (tmp_path / "examples").mkdir()
    script = shutil.copy(ROOT / "examples" / "demo.py", tmp_path / "examples")  # it draws beside its folder
    match = re.fullmatch(r"([0-6]) of 6 right", run_script(script, folder=tmp_path).splitlines()[-1])
    assert match is not None
    assert int(match[1]) >= 5
    assert (tmp_path / "demo-output" / "contact-sheet.png").exists()


@needs_bundled_model
@pytest.mark.parametrize("arguments", [("quickstart.py", "photo.jpg"), ("from_arrays.py",)])
def test_the_other_examples_run(folder: Path, arguments: tuple[str, ...]) -> None:
    script, *others = arguments
    assert run_script(ROOT / "examples" / script, *others, folder=folder)


def run_script(*arguments: str | Path, folder: Path) -> str:
    """Run a script in a folder and return what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    result = subprocess.run(
        [sys.executable, *arguments], check=True, capture_output=True, text=True, cwd=folder, env=environment
    )
    return result.stdout


def test_examples_are_short() -> None:
    for path in (ROOT / "examples").glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 60, path.name
