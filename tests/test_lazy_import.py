"""Importing hyperclip is cheap, and using it needs no PyTorch."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import hyperclip

ROOT = Path(__file__).parent.parent
HEAVY = ("numpy", "onnx", "onnxruntime", "PIL", "tokenizers", "torch", "typer", "rich")


def run(code: str) -> str:
    """Run code in a fresh interpreter and return what it prints."""
    paths = [str(ROOT / "src"), str(ROOT / "tests")]
    start = f"import sys; sys.path[:0] = {paths!r}\n"
    done = subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("module", ["hyperclip", "hyperclip.zoo", "hyperclip.runtime", "hyperclip.errors"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    assert run(f"import {module}; print([name for name in {HEAVY} if name in sys.modules])") == "[]"


def test_specialize_and_predict_work_where_torch_cannot_be_imported(tmp_path: Path) -> None:
    code = f"""
sys.modules["torch"] = None
import numpy as np
import hyperclip
from hyperclip.bundle import write_bundle
from tiny_bundle import make_files, make_manifest
write_bundle({str(tmp_path / "tiny")!r}, make_manifest(), make_files())
classifier = hyperclip.load({str(tmp_path / "tiny")!r}).specialize(["cat", "dog"])
classifier.save({str(tmp_path / "x.onnx")!r})
print(len(hyperclip.Classifier.load({str(tmp_path / "x.onnx")!r}).predict(np.zeros((2, 9, 9, 3), np.uint8))))
"""
    assert run(code) == "2"


def test_every_public_name_can_be_imported() -> None:
    for name in hyperclip.__all__:
        assert getattr(hyperclip, name) is not None
    assert set(hyperclip.__all__) <= set(dir(hyperclip))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = hyperclip.nothing


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert hyperclip.__version__ == project["version"]
