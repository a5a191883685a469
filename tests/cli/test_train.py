"""``hyperclip train``: what it passes on, and what it says without PyTorch."""

import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

import hyperclip
from command_line import Outcome, assert_one_sentence


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


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe that trains in a second."""
    pytest.importorskip("torch", reason="training needs PyTorch: pip install 'hyperclip[train]'")
    from hyperclip.train.recipe import to_toml
    from tiny_training import make_text_recipe, write_text_targets

    path = tmp_path / "tiny.toml"
    path.write_text(to_toml(make_text_recipe(write_text_targets(tmp_path / "targets"))))
    return path


@pytest.mark.torch
def test_a_wrong_recipe_is_one_sentence_and_leaves_no_folder(run, recipe: Path, tmp_path: Path) -> None:
    outcome = run("train", recipe, "--set", "run.n_stepz=2", "-o", "out")
    assert_one_sentence(outcome, "run.n_stepz", "did you mean 'n_steps'")
    outcome = run("train", recipe, "--set", "text.encoder.width=15", "-o", "out")
    assert_one_sentence(outcome, "width is 15")
    outcome = run("train", recipe, "--set", "run", "-o", "out")
    assert_one_sentence(outcome, "--set 'run'", "section.key=value")
    outcome = run("train", recipe, "-o", "gone/out")
    assert_one_sentence(outcome, "There is no folder 'gone'")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "gone").exists()


def test_a_missing_recipe_argument_is_wrong_usage(run) -> None:
    assert run("train").code == 2
    assert run("train", "a.toml", "--sett", "a=b").code == 2


def start(recipe: Path, *options: str) -> "subprocess.Popen[str]":
    """Start a training in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "hyperclip", "train", str(recipe), *options, "-o", "out"],
        cwd=recipe.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(hyperclip.__file__).parents[1]), "OMP_NUM_THREADS": "1"},
        # What a shell starts with "&" ignores SIGINT, and so would its children.
        preexec_fn=None if sys.platform == "win32" else heed_interrupts,
    )  # fmt: skip


def heed_interrupts() -> None:
    """Let SIGINT interrupt the process that is about to start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_an_interrupted_training_says_so_and_the_same_command_ends_it(recipe: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "out" / "checkpoint.pt"
    process = start(recipe, "--set", "run.n_steps=1000000", "--set", "run.checkpoint_minutes=0")
    assert process.stderr is not None
    first_line = process.stderr.readline()
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)

    assert first_line.startswith("step 1 of 1,000,000")
    assert process.returncode == 130
    assert (stdout, stderr.splitlines()[-1]) == ("", "Interrupted.")
    assert "Traceback" not in stderr
    import torch

    step = torch.load(checkpoint, weights_only=True)["step"]

    process = start(recipe, "--set", f"run.n_steps={step + 2}")
    outcome = Outcome(process.wait(timeout=60), *process.communicate())

    assert (outcome.code, outcome.stdout) == (0, "The run is in out.\n")
    steps = [line.partition(" of ")[0] for line in outcome.stderr.splitlines()]
    assert steps[0] == f"step {step + 1}"
    assert steps[-1] == f"step {step + 2}"
    assert (tmp_path / "out" / "weights.safetensors").exists()
