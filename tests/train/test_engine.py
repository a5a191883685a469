"""The loop: it learns, goes on bit for bit where it stopped, and leaves a folder that explains itself."""

import copy
import json
import logging
import math
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install 'hyperclip[train]'")

import torch
from safetensors.torch import load_file

from hyperclip.data.task_config import TASK_KINDS
from hyperclip.errors import InputError
from hyperclip.train import fit
from hyperclip.train.engine import learning_rate
from hyperclip.train.recipe import OptimizerConfig

pytestmark = pytest.mark.torch

Recipe = dict[str, Any]
Write = Callable[[Recipe], Path]
TIMES = ("seconds_per_step", "wait_share")


def arm(recipe: Recipe, name: str) -> Recipe:
    """The recipe of one of the three arms of the comparison."""
    changed = copy.deepcopy(recipe)
    if name == "siglip":
        del changed["hyperclip"]["model"]["hypernetwork"]
    if name == "token":
        changed["hyperclip"]["model"]["hypernetwork"]["kind"] = "token"
    return changed


def rows_of(run: Path) -> list[dict[str, float]]:
    """What was measured, without the times."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


def mean_loss(run: Path, steps: range) -> float:
    losses = [row["loss"] for row in rows_of(run) if "loss" in row and row["step"] in steps]
    assert len(losses) == len(steps)
    return sum(losses) / len(losses)


def evaluated(run: Path) -> dict[str, float]:
    """The figures of the last evaluation."""
    return [row for row in rows_of(run) if "eval/zero_shot" in row][-1]


def assert_equal(found: Any, expected: Any) -> None:
    """Check that nested dicts and lists hold the same numbers, bit for bit."""
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            assert_equal(found[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_equal(one, other)
    elif isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected)
    else:
        assert found == expected


# Learning ---------------------------------------------------------------------------------------------


def test_the_text_encoder_learns_its_few_texts(text_run: Path) -> None:
    assert mean_loss(text_run, range(17, 21)) < 0.7 * mean_loss(text_run, range(1, 5))


@pytest.mark.parametrize("name", ["hyper", "token", "siglip"])
def test_each_arm_learns_its_few_pictures_and_is_put_to_the_swap_test(
    hyperclip_recipe: Recipe, write_recipe: Write, tmp_path: Path, name: str
) -> None:
    recipe = arm(hyperclip_recipe, name)
    recipe["optimizer"]["peak_lr"] = 4e-3
    recipe["hyperclip"]["data"]["batch_size"] = 32
    other_kinds = dict.fromkeys(set(TASK_KINDS) - {"all_leaves"}, 0.0)  # so that all steps ask the same
    recipe["hyperclip"]["tasks"] |= {**other_kinds, "all_leaves": 1.0, "empty_context": 0.1}

    run = fit(write_recipe(recipe), out=tmp_path / name)

    assert mean_loss(run, range(17, 21)) < 0.75 * mean_loss(run, range(1, 5))  # with other seeds 0.2 to 0.6
    figures = {key.removeprefix("eval/") for key in evaluated(run) if key != "step"}
    always = {"zero_shot", "neighbors_neutral"}
    swap_test = {"neighbors_own", "neighbors_swapped", "change_varies"}
    assert figures == (always if name == "siglip" else always | swap_test)
    if name == "token":
        assert evaluated(run)["eval/change_varies"] == 0


# Going on ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("precision", "ema_decay"), [("float32", 0.0), ("bfloat16", 0.9)])
@pytest.mark.parametrize("objective", ["text", "hyperclip"])
def test_an_interrupted_run_ends_bit_for_bit_like_an_uninterrupted_one(
    request: pytest.FixtureRequest, write_recipe: Write, tmp_path: Path, objective: str,
    precision: str, ema_decay: float,
) -> None:  # fmt: skip
    recipe = copy.deepcopy(request.getfixturevalue(f"{objective}_recipe"))
    recipe["run"] |= {
        "n_steps": 6, "log_every": 2, "evaluate_every": 4, "precision": precision, "ema_decay": ema_decay,
    }  # fmt: skip
    path = write_recipe(recipe)

    whole = fit(path, out=tmp_path / "whole")
    parts = fit(path, out=tmp_path / "parts", stop_after=3)
    assert not (parts / "weights.safetensors").exists()
    assert [row["step"] for row in rows_of(parts)] == [2]
    fit(parts / "recipe.toml", out=parts)

    found, expected = (torch.load(run / "checkpoint.pt", weights_only=True) for run in (parts, whole))
    assert_equal(found, expected)
    assert (parts / "weights.safetensors").read_bytes() == (whole / "weights.safetensors").read_bytes()
    assert rows_of(parts) == rows_of(whole)
    assert [row["step"] for row in rows_of(whole)] == [2, 4, 4, 6, 6]


def test_a_finished_run_stays_as_it_is(text_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(text_run, tmp_path / "again"))

    fit(run / "recipe.toml", out=run)

    for name in ("weights.safetensors", "metrics.jsonl", "checkpoint.pt", "recipe.toml", "text_encoder.json"):
        assert (run / name).read_bytes() == (text_run / name).read_bytes(), name


def test_a_run_of_fewer_steps_than_the_stop_ends_at_its_last_step(
    text_recipe: Recipe, write_recipe: Write, tmp_path: Path
) -> None:
    seen: list[tuple[int, int]] = []

    run = fit(
        write_recipe(text_recipe), ["run.n_steps=2"], tmp_path / "run", stop_after=5,
        on_step=lambda step, n_steps, figures: seen.append((step, n_steps)),
    )  # fmt: skip

    assert seen == [(1, 2), (2, 2), (2, 2)]
    assert (run / "weights.safetensors").exists()


def test_the_checkpoint_of_another_model_is_refused_and_the_folder_stays_as_it_is(
    text_run: Path, text_recipe: Recipe, write_recipe: Write, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(text_run, tmp_path / "run"))
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}

    with pytest.raises(InputError, match=r"checkpoint\.pt does not fit this recipe.*shape") as caught:
        fit(write_recipe(text_recipe), ["text.encoder.width=8"], run)

    assert "\n" not in str(caught.value)
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before


def test_the_averaged_weights_are_what_a_run_gives(
    text_recipe: Recipe, write_recipe: Write, tmp_path: Path
) -> None:
    run = fit(write_recipe(text_recipe), ["run.n_steps=3", "run.ema_decay=0.5"], tmp_path / "run")

    state = torch.load(run / "checkpoint.pt", weights_only=True)
    given = load_file(run / "weights.safetensors")
    assert_equal(given, dict(state["average"]))
    assert any(not torch.equal(given[key], state["model"][key]) for key in given)


# What goes wrong --------------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_is_one_sentence_and_leaves_the_checkpoint_good(
    text_recipe: Recipe, write_recipe: Write, tmp_path: Path
) -> None:
    path = write_recipe(text_recipe)
    run = fit(path, ["run.n_steps=1"], tmp_path / "run")
    before = (run / "checkpoint.pt").read_bytes()

    with pytest.raises(InputError, match=r"is (nan|inf) at step \d; expected a finite number") as caught:
        fit(path, ["run.n_steps=5", "optimizer.peak_lr=1e30"], run)

    assert "\n" not in str(caught.value)
    assert (run / "checkpoint.pt").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda recipe: recipe.pop("run"), ["no section [run]"]),
        (lambda recipe: recipe.update(run=3), ["run is 3", "[run]"]),
        (lambda recipe: recipe.update(text=3), ["text is 3", "[text]"]),
        (lambda recipe: recipe.update(optimiser={}), ["optimiser is not a section", "'optimizer'"]),
        (lambda recipe: recipe.update(hyperclip={}), ["hyperclip is not a section"]),
        (lambda recipe: recipe["run"].update(objective="txt"), ["run.objective is 'txt'", "text, hyperclip"]),
        (lambda recipe: recipe["text"].update(batchsize=3), ["text.batchsize", "'batch_size'"]),
        (lambda recipe: recipe["text"]["encoder"].update(n_heads=3), ["width is 16"]),
        (lambda recipe: recipe["text"]["encoder"].update(text_dim=4), ["text_dim is 4", "expected 8"]),
        (lambda recipe: recipe["text"]["encoder"].update(vocab_size=10), ["vocab_size is 10"]),
        (lambda recipe: recipe["text"].update(shares={"name": 1.0}), ["text.shares.name", "'names'"]),
        (lambda recipe: recipe["text"].update(templates=["a photo"]), ["text.templates"]),
        (lambda recipe: recipe["text"].update(batch_size=0), ["text.batch_size is 0"]),
        (lambda recipe: recipe["text"].update(held_out_share=1.0), ["text.held_out_share 1.0"]),
        (lambda recipe: recipe["text"].update(data="gone"), ["gone does not hold text targets"]),
        (lambda recipe: recipe["optimizer"].update(lr_factors={"": 0.0}), ["freezes every parameter"]),
    ],
)
def test_a_wrong_recipe_is_one_sentence_and_writes_nothing(
    text_recipe: Recipe, write_recipe: Write, tmp_path: Path, change: Callable[[Recipe], object],
    words: list[str],
) -> None:  # fmt: skip
    recipe = copy.deepcopy(text_recipe)
    change(recipe)

    with pytest.raises(InputError) as caught:
        fit(write_recipe(recipe), out=tmp_path / "run")

    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").iterdir())


def test_the_run_folder_needs_a_parent_that_exists(
    text_recipe: Recipe, write_recipe: Write, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="There is no folder"):
        fit(write_recipe(text_recipe), out=tmp_path / "gone" / "run")
    assert not (tmp_path / "gone").exists()

    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file; expected a folder"):
        fit(write_recipe(text_recipe), out=tmp_path / "file")


# The folder -------------------------------------------------------------------------------------------


def test_the_run_folder_explains_itself(text_run: Path) -> None:
    names = {path.name for path in text_run.iterdir()}
    assert {"README.md", "recipe.toml", "metrics.jsonl", "checkpoint.pt", "weights.safetensors"} <= names
    assert not [name for name in names if name.endswith(".tmp")]

    readme = (text_run / "README.md").read_text()
    for word in ("# Run `text`", "Objective `text`, 20 steps, seed 1", "parameters", "| eval/cosine_names |"):
        assert word in readme
    figures = rows_of(text_run)
    assert {"step", "loss", "grad_norm", "learning_rate", "cosine_loss", "relation"} == figures[0].keys()
    assert "eval/found_meanings" in figures[-1]


def test_a_run_draws_its_curves_and_feeds_tensorboard(
    text_recipe: Recipe, write_recipe: Write, tmp_path: Path, real_log: None
) -> None:
    pytest.importorskip("matplotlib", reason="curves need matplotlib")
    pytest.importorskip("tensorboard", reason="needs tensorboard")

    run = fit(write_recipe(text_recipe), ["run.n_steps=2"], tmp_path / "run")

    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name.startswith("events.") for path in (run / "tensorboard").iterdir()] == [True]


def test_the_recipe_in_the_folder_holds_every_default(text_run: Path, text_recipe: Recipe) -> None:
    resolved = tomllib.loads((text_run / "recipe.toml").read_text())

    for section, values in text_recipe.items():
        assert values.items() <= resolved[section].items() or section == "text"
    assert resolved["run"]["precision"] == "float32"
    assert resolved["optimizer"]["beta2"] == 0.98
    assert resolved["text"]["encoder"]["width"] == 16
    assert resolved["text"]["shares"] == {"names": 0.35, "meanings": 0.45, "sentences": 0.2}


def test_a_run_without_a_folder_goes_where_the_recipe_says(
    text_recipe: Recipe, write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_recipe(text_recipe)

    run = fit(path, ["run.n_steps=1", "run.description=Just a test: 猫"])

    assert run == Path("runs") / path.stem
    assert "Just a test: 猫" in (tmp_path / run / "README.md").read_text(encoding="utf-8")


# Learning rates ---------------------------------------------------------------------------------------


def test_the_learning_rate_rises_and_falls() -> None:
    config = OptimizerConfig(warmup_steps=4, final_lr_share=0.1)

    shares = [learning_rate(step, 12, config) for step in range(13)]

    assert shares[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert shares[8] == pytest.approx(0.55)
    assert shares[12] == pytest.approx(0.1)
    assert shares[4:] == sorted(shares[4:], reverse=True)
    assert learning_rate(0, 3, OptimizerConfig(warmup_steps=0)) == 1.0


def test_a_factor_of_zero_freezes_and_the_longest_name_decides(
    text_recipe: Recipe, write_recipe: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    factors = {"blocks.": 0.0, "blocks.0.down.": 1.0, "token_embedding.": 0.0, "hypernetwork.": 1.0}
    recipe = copy.deepcopy(text_recipe)
    recipe["optimizer"]["lr_factors"] = factors
    path = write_recipe(recipe)

    with caplog.at_level(logging.WARNING):
        one, three = (
            load_file(fit(path, [f"run.n_steps={n}"], tmp_path / str(n)) / "weights.safetensors")
            for n in (1, 3)
        )

    frozen = {key for key in one if torch.equal(one[key], three[key])}
    assert frozen == {
        key for key in one if key.startswith(("blocks.", "token_embedding.")) and "0.down" not in key
    }
    assert "'hypernetwork.'" in caplog.text


def test_figures_are_finite(text_run: Path) -> None:
    assert all(math.isfinite(value) for row in rows_of(text_run) for value in row.values())
