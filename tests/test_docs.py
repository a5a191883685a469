"""The documentation works: its code runs as it stands, and its links lead somewhere.

Before a block of code a page may say, in a comment of its own line: ``not run: WHY``; ``needs: WHAT``
(a module to import, or ``data``, the shared data folder); ``file: NAME`` (the block is the content of a
file that later blocks use); ``recipe`` or ``about`` (the block is read by the program that it is for).
All blocks of a page run in one namespace and one folder. A ``text`` block behind commands is what they
print with the bundled model, with ``...`` for what varies.
"""

import doctest
import json
import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from command_line import save_pictures

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
BLOCK = re.compile(
    r"(?:^ *<!-- (?P<note>[^>]*?) -->\n)?^(?P<indent> *)```(?P<language>[a-z]+)\n(?P<code>.*?)^ *```$",
    re.M | re.S,
)
LINK = re.compile(r"(?<!`)\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.M)
BUNDLED = ROOT / "src" / "hyperclip" / "zoo" / "small" / "model.json"
OUTPUT_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Block:
    """One block of code of a page."""

    language: str
    code: str
    note: str
    line: int

    def note_value(self, key: str) -> str | None:
        """Return what the comment before the block says under a key."""
        name, _, value = self.note.partition(":")
        return value.strip() if name == key else None


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page in order, those inside lists moved to the left."""
    text = page.read_text(encoding="utf-8")
    for match in BLOCK.finditer(text):
        code = re.sub(f"^{match['indent']}", "", match["code"], flags=re.M)
        line = text.count("\n", 0, match.start("language")) + 1
        yield Block(match["language"], code, match["note"] or "", line)


def name_of(page: Path) -> str:
    """Return the path of a page inside the documentation."""
    return page.relative_to(DOCS).as_posix()


WITH_CODE = [page for page in PAGES if any(block.language in ("python", "bash") for block in blocks(page))]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the pictures that the pages speak of, as the current one."""
    photos = tmp_path / "work" / "photos"
    save_pictures(photos, ["1.png", "2.png"])
    for path in photos.iterdir():
        shutil.copy(path, path.with_suffix(".jpg"))
        path.unlink()
    shutil.copy(photos / "1.jpg", tmp_path / "work" / "photo.jpg")
    for seed, name in enumerate(("cat", "dog")):
        numbers = [f"{number}.png" for number in range(1, 7)]
        save_pictures(tmp_path / "work" / "labeled" / name, numbers, seed=seed)
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture(params=["toy", pytest.param("bundled", marks=pytest.mark.slow)])
def is_bundled(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Let `small` and `micro` be toys of a few kilobytes, or the models that are bundled."""
    if request.param == "bundled":
        if not BUNDLED.exists():
            pytest.skip("the model `small` is not bundled yet")
        return True
    from hyperclip.bundle import write_bundle
    from tiny_bundle import make_files, make_manifest

    manifest = make_manifest()
    sizes = (96, 128, 160, 192, 224)
    images = replace(manifest.images, size_px=224, sizes_px=sizes)
    (tmp_path / "zoo").mkdir()
    write_bundle(tmp_path / "zoo" / "small", replace(manifest, name="small", images=images), make_files())
    small_images = replace(images, size_px=80, sizes_px=(64, 80))
    write_bundle(
        tmp_path / "zoo" / "micro", replace(manifest, name="micro", images=small_images), make_files()
    )
    monkeypatch.setattr("hyperclip.zoo.find.ZOO_FOLDER", tmp_path / "zoo")
    return False


@pytest.mark.parametrize("page", WITH_CODE, ids=name_of)
def test_the_code_of_a_page_runs(
    page: Path, folder: Path, is_bundled: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    namespace: dict[str, Any] = {"__name__": "docs"}
    printed: str | None = None
    for block in blocks(page):
        where = f"{name_of(page)}, line {block.line}"
        before, printed = printed, None
        file_name = block.note_value("file")
        if file_name:
            (folder / file_name).write_text(block.code, encoding="utf-8")
        elif block.note_value("not run") or is_left_out(block, folder):
            continue
        elif block.language == "python":
            exec(compile("\n" * block.line + block.code, str(page), "exec"), namespace)
        elif block.language == "bash":
            printed = run_commands(block.code, capsys, where=where)
        elif block.language == "text" and before is not None and is_bundled:
            is_like = doctest.OutputChecker().check_output(block.code, before, OUTPUT_FLAGS)
            assert is_like, f"{where}: expected\n{block.code}\nbut it printed\n{before}"


def is_left_out(block: Block, folder: Path) -> bool:
    """Tell whether something that a block needs is missing here; the shared data are put in place."""
    needs = [need.strip() for need in (block.note_value("needs") or "").split(",") if need.strip()]
    for need in needs:
        if need == "data":
            data = ROOT.parent / "shared" / "data" / "textures"
            if not data.is_dir():
                return True
            (folder / "textures").mkdir()
            for name in ("classes.json", "test.parquet"):
                shutil.copy(data / name, folder / "textures" / name)
        else:
            try:
                __import__({"parquet": "pyarrow"}.get(need, need))
            except ImportError:
                return True
    return False


def run_commands(code: str, capsys: pytest.CaptureFixture[str], *, where: str) -> str:
    """Run ``hyperclip`` commands in this process and return what they print."""
    from hyperclip.cli.main import build_app

    lines = [line.strip() for line in code.replace("\\\n", " ").splitlines()]
    capsys.readouterr()
    for line in filter(None, lines):
        program, *arguments = shlex.split(line, comments=True)
        assert program == "hyperclip", f"{where}: only hyperclip runs in tests; mark the block as not run"
        with pytest.raises(SystemExit) as ended:
            build_app()(arguments, prog_name="hyperclip")
        output = capsys.readouterr()
        assert ended.value.code in (None, 0), f"{where}: {line}\n{output.err}"
        sys.stdout.write(output.out)
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "page", [p for p in PAGES if any(b.note in ("recipe", "about") for b in blocks(p))], ids=name_of
)
def test_recipes_of_a_page_are_read(page: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("timm")
    from hyperclip.export.bundle import About
    from hyperclip.train.channel_choice import PruningConfig
    from hyperclip.train.hyperclip_objective import ObjectiveConfig
    from hyperclip.train.recipe import OptimizerConfig, RunConfig, from_mapping
    from hyperclip.train.sam import SharpnessConfig
    from hyperclip.train.text_objective import TextConfig

    sections = {
        "run": RunConfig,
        "optimizer": OptimizerConfig,
        "sharpness": SharpnessConfig,
        "pruning": PruningConfig,
        "text": TextConfig,
        "hyperclip": ObjectiveConfig,
    }
    for block in blocks(page):
        if block.note == "recipe":
            for name, values in tomllib.loads(block.code).items():
                from_mapping(sections[name], values, where=name)
        elif block.note == "about":
            from_mapping(About, tomllib.loads(block.code), where="about")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_notes_are_understood_and_json_is_json(page: Path) -> None:
    for block in blocks(page):
        kinds = ("not run: ", "needs: ", "file: ", "generated: ")
        is_known = block.note in ("", "recipe", "about") or block.note.startswith(kinds)
        assert is_known, f"line {block.line}: {block.note}"
        if block.language == "json":
            json.loads(block.code)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for link in LINK.findall(text):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def anchors(page: Path) -> set[str]:
    """Return the places in a page that a link can name."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(text)}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_page_is_in_a_table_of_contents(page: Path) -> None:
    if page == DOCS / "index.md":
        return
    listed = set()
    for index in PAGES:
        for tree in re.findall(
            r"^```\{toctree\}\n(.*?)^```$", index.read_text(encoding="utf-8"), re.M | re.S
        ):
            names = [line for line in tree.splitlines() if line and not line.startswith(":")]
            listed |= {(index.parent / f"{name}.md").resolve() for name in names}
    assert page.resolve() in listed
