"""``hyperclip train``: what it passes on, and what it says without PyTorch."""

import sys
import types
from pathlib import Path

import pytest

import hyperclip
from command_line import assert_one_sentence


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the workshop be imported anew, and let what the test imports be forgotten after it."""
    for name in [name for name in sys.modules if name.startswith("hyperclip.train")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(hyperclip, "train", raising=False)


def test_without_pytorch_one_sentence_says_what_to_install(run, monkeypatch: pytest.MonkeyPatch) -> None:
    forget(monkeypatch)
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [name for name in sys.modules if name.startswith(("hyperclip.models", "hyperclip.losses"))]:
        monkeypatch.delitem(sys.modules, name)
    assert_one_sentence(run("train", "recipe.toml"), "PyTorch", "pip install 'hyperclip[train]'")


def test_arguments_reach_the_engine(run, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    engine = types.ModuleType("hyperclip.train.engine")

    def fit(recipe: Path, overrides: list[str], out: Path | None, *, on_step) -> Path:
        calls.append((recipe, overrides, out))
        on_step(2, 2, {"loss": 0.25})
        return Path("runs/a")

    engine.fit = fit  # type: ignore[attr-defined]
    package = types.ModuleType("hyperclip.train")
    package.engine = engine  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "hyperclip.train", package)
    monkeypatch.setitem(sys.modules, "hyperclip.train.engine", engine)
    outcome = run("train", "a.toml", "--set", "run.seed=1", "--set", "run.n_steps=2", "-o", "out")
    assert (outcome.code, outcome.stdout) == (0, "The run is in runs/a.\n")
    assert outcome.stderr == "step 2 of 2: loss 0.25\n"
    assert run("train", "a.toml").code == 0
    assert calls == [
        (Path("a.toml"), ["run.seed=1", "run.n_steps=2"], Path("out")),
        (Path("a.toml"), [], None),
    ]


@pytest.mark.torch
def test_a_missing_recipe_is_one_sentence(run) -> None:
    pytest.importorskip("torch")
    assert_one_sentence(run("train", "gone.toml"), "gone.toml")
