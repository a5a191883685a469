"""A head trained on embeddings: what learns, what lists show, and what judges it."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install 'hyperclip[train]'")

import torch
from safetensors.torch import load_file, save_file

from hyperclip.errors import InputError
from hyperclip.models import HyperCLIP, ImageEncoder, ImageEncoderConfig, MixturePlusLinearHead
from hyperclip.train import fit
from hyperclip.train.head_objective import HeadObjective, HeadObjectiveConfig, from_recipe

pytestmark = pytest.mark.torch

N_LEAVES = 6
ENCODER = ImageEncoderConfig(name="compact_20k", embedding_dim=N_LEAVES)


def save_run(folder: Path, seed: int) -> str:
    """What a finished run leaves of its image encoder."""
    torch.manual_seed(seed)
    folder.mkdir()
    state = {f"image_encoder.{key}": value for key, value in ImageEncoder(ENCODER).state_dict().items()}
    save_file(state, folder / "weights.safetensors")
    return str(folder)


@pytest.fixture
def recipe(hyperclip_recipe: dict[str, Any], world: Path, tmp_path: Path) -> dict[str, Any]:
    """A head of six concepts on colored pictures, for a few steps."""
    given = hyperclip_recipe["hyperclip"]
    return {
        "run": {"objective": "head", "n_steps": 12, "seed": 1, "log_every": 4, "evaluate_every": 12},
        "optimizer": {"peak_lr": 1e-2, "warmup_steps": 2},
        "head": {
            **{key: given[key] for key in ("classes", "text_knowledge", "meanings", "text_run")},
            "start_from": [save_run(tmp_path / "one", 0)],
            "model": {
                "image_encoder": {"name": "compact_20k", "embedding_dim": N_LEAVES},
                "head": {"kind": "mixture_plus_linear", "dim": N_LEAVES, "text_dim": 8, "logit_scale": 5.0},
            },
            "sets": [{"cache": str(world / "cache"), "sizes_px": [32], "n_held_out": 12}],
            "tasks": {"n_min": 2, "n_max": 4, "distractor_tasks": 0.0, "all_leaves": 0.0},
            "n_images": 8,
        },
    }


def make(recipe: dict[str, Any]) -> HeadObjective:
    torch.manual_seed(0)
    return HeadObjective(from_recipe(HeadObjectiveConfig, copy.deepcopy(recipe["head"])), seed=3)


def test_only_the_head_learns(recipe: dict[str, Any]) -> None:
    objective = make(recipe)
    loss, figures = objective.loss(objective.model, objective.batch(0), 0)
    loss.backward()  # type: ignore[no-untyped-call]

    learns = {name for name, p in objective.model.named_parameters() if p.grad is not None}

    assert learns == {"head.concepts_KE", "head.log_sharpness_K", "head.relation_EK"}
    assert figures["moved"] == 0


def test_a_batch_depends_on_seed_and_step_alone(recipe: dict[str, Any]) -> None:
    first = make(recipe)
    first.batch(0)
    one, other = first.batch(5), make(recipe).batch(5)

    for mine, same in zip(one, other, strict=True):
        for a, b in zip(mine, same, strict=True):
            assert torch.equal(a, b)


def test_part_of_the_lists_goes_without_the_asked_concepts(recipe: dict[str, Any]) -> None:
    recipe["head"] |= {"unlearned_share": 0.0}
    lists = [one for step in range(5) for one in make(recipe).batch(step)]
    assert all(one.known_K.all() for one in lists)
    for one in lists:
        assert one.embedding_BK.shape == (8, N_LEAVES)
        torch.testing.assert_close(one.target_BC.sum(dim=1), torch.ones(8))


def test_held_out_classes_are_never_shown_and_judge(recipe: dict[str, Any]) -> None:
    recipe["head"] |= {"n_held_out_classes": 4, "n_evaluation_tasks": 3}
    recipe["head"]["tasks"]["n_max"] = 2
    objective = make(recipe)
    allowed = sorted(set(range(N_LEAVES)) - set(objective.held_out.tolist()))
    shown = objective._sets[0]._embeddings[np.isin(objective._sets[0]._leaves, allowed)].astype(np.float32)

    for step in range(4):
        for one in objective.batch(step):
            for row in one.embedding_BK.numpy():
                assert (np.abs(shown - row).max(axis=1) < 1e-6).any()
    with torch.no_grad():
        figures = objective.evaluate(objective.model)
    assert set(figures) == {"cache_known", "cache_unlearned_random", "cache_unlearned_neighbors"}
    assert all(0 <= value <= 1 for value in figures.values())


def test_several_runs_are_averaged(recipe: dict[str, Any], tmp_path: Path) -> None:
    recipe["head"]["start_from"].append(save_run(tmp_path / "two", 1))
    one, two = (load_file(Path(run) / "weights.safetensors") for run in recipe["head"]["start_from"])

    model = make(recipe).model

    name = "image_encoder.trunk.projection.weight"
    torch.testing.assert_close(model.state_dict()[name], (one[name] + two[name]) / 2)


def test_a_run_ends_with_what_export_reads(recipe: dict[str, Any], write_recipe: Any, tmp_path: Path) -> None:
    run = fit(write_recipe(recipe), out=tmp_path / "run")

    about = json.loads((run / "model.json").read_text())
    state = load_file(run / "weights.safetensors")
    assert about["model"]["head"]["kind"] == "mixture_plus_linear"
    start = make(recipe).model
    assert isinstance(start, HyperCLIP)
    assert isinstance(start.head, MixturePlusLinearHead)
    assert not torch.equal(state["head.relation_EK"], start.head.relation_EK)
    name = "image_encoder.trunk.projection.weight"
    assert torch.equal(state[name], start.state_dict()[name])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda h: h.update(start_from=[]), "no run to start from"),
        (lambda h: h.update(unlearned_share=2.0), "head.unlearned_share is 2.0"),
        (lambda h: h.update(n_images=1), "n_images = 1"),
        (lambda h: h["model"]["head"].update(kind="linear"), "expected a mixture"),
        (lambda h: h["model"]["head"].update(dim=7), "head.model.head.dim is 7; expected 6"),
        (lambda h: h["sets"][0].update(crops=[0.01]), "shares from 0.1 to 1"),
        (lambda h: h["sets"][0].update(share=-1.0), "share = -1.0"),
    ],
)
def test_recipes_that_cannot_work_are_refused(recipe: dict[str, Any], change: Any, words: str) -> None:
    change(recipe["head"])
    with pytest.raises(InputError, match=words):
        make(recipe)
