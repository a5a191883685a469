"""Joint training: batches that depend on the step alone, contexts, and recipes that cannot work."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install 'hyperclip[train]'")

import torch
from safetensors.torch import load_file

from hyperclip.errors import InputError
from hyperclip.models import HyperCLIP
from hyperclip.train.hyperclip_batches import Batch
from hyperclip.train.hyperclip_objective import HyperCLIPObjective, ObjectiveConfig, from_recipe

pytestmark = pytest.mark.torch

Section = dict[str, Any]


@pytest.fixture
def section(hyperclip_recipe: dict[str, Any]) -> Section:
    """The recipe's section, to be changed."""
    return copy.deepcopy(hyperclip_recipe["hyperclip"])


def make(section: Section, seed: int = 3) -> HyperCLIPObjective:
    torch.manual_seed(0)
    return HyperCLIPObjective(from_recipe(ObjectiveConfig, section), seed=seed)


def model_of(objective: HyperCLIPObjective) -> HyperCLIP:
    assert isinstance(objective.model, HyperCLIP)
    return objective.model


def assert_same_batch(one: Batch, other: Batch) -> None:
    assert torch.equal(one.images_B3HW, other.images_B3HW)
    assert torch.equal(one.leaf_target_BN, other.leaf_target_BN)
    assert one.n_neutral == other.n_neutral
    assert len(one.tasks) == len(other.tasks)
    for task, same in zip(one.tasks, other.tasks, strict=True):
        assert torch.equal(task.features_C2W, same.features_C2W)
        assert torch.equal(task.target_BC, same.target_BC)
        assert torch.equal(task.weight_B, same.weight_B)
        assert (task.has_context, task.rows) == (same.has_context, same.rows)


def test_a_batch_depends_on_seed_and_step_alone(section: Section) -> None:
    section["data"] |= {"sizes_px": [32, 64], "size_weights": [0.5, 0.5], "augment": {}}
    objective = make(section)
    in_order = [objective.batch(step) for step in range(8)]

    fresh = make(section)
    for step in (7, 0, 2):
        assert_same_batch(fresh.batch(step), in_order[step])
    assert not torch.equal(make(section, seed=4).batch(0).leaf_target_BN, in_order[0].leaf_target_BN)
    assert {batch.images_B3HW.shape[-1] for batch in in_order} == {32, 64}


def test_batches_hold_neutral_pictures_and_those_of_tasks(section: Section) -> None:
    section["data"] |= {"batch_size": 24, "n_tasks": 3, "task_share": 0.5}
    batch = make(section).batch(0)

    assert batch.n_neutral == 12
    assert [task.rows for task in batch.tasks] == [slice(12, 16), slice(16, 20), slice(20, 24)]
    assert len(batch.images_B3HW) == len(batch.leaf_target_BN) == 24
    np.testing.assert_allclose(batch.leaf_target_BN.sum(dim=1), 1)
    for task in batch.tasks:
        n_classes = len(task.features_C2W)
        assert task.target_BC.shape == (4, n_classes)
        np.testing.assert_allclose(task.target_BC.sum(dim=1), 1, atol=1e-6)
        assert (task.weight_B > 0).all()  # pictures are drawn for the names of the task


def test_other_sizes_get_as_many_pixels_unless_the_batch_is_fixed(section: Section) -> None:
    section["data"] |= {"batch_size": 4, "sizes_px": [64], "n_tasks": 0, "is_batch_fixed": False}
    assert len(make(section).batch(0).images_B3HW) == 16  # as many pixels as 4 pictures of 128 px

    section["data"]["is_batch_fixed"] = True
    assert len(make(section).batch(0).images_B3HW) == 8  # never fewer


def test_held_out_pictures_and_classes_never_train(section: Section) -> None:
    section |= {"n_held_out_classes": 2, "hold_out_pictures": True}
    objective = make(section)
    held_out = set(objective.held_out)
    assert len(held_out) == 2

    seen = torch.stack([objective.batch(step).leaf_target_BN.sum(dim=0) for step in range(10)]).sum(dim=0)

    assert {leaf for leaf in range(6) if seen[leaf] == 0} == held_out


def test_soft_labels_serve_pictures_without_labels(section: Section, world_copy: Path) -> None:
    cache = world_copy / "cache"
    labels = np.load(cache / "labels.npy")
    logits = np.full((len(labels), 6), -20.0, np.float16)
    logits[np.arange(len(labels)), 5 - labels] = 5.0  # each picture looks like another class
    np.save(cache / "soft.npy", logits)
    np.save(cache / "labels.npy", np.where(np.arange(len(labels)) % 2, labels, -1))
    section["evaluation"]["cache"] = ""
    section["data"] |= {"n_tasks": 0, "batch_size": 32}
    section["data"]["sets"] = [{"cache": str(cache), "share": 1.0, "soft_weight": 0.25}]

    target = make(section).batch(0).leaf_target_BN.numpy()

    top = np.sort(target, axis=1)[:, -2:]
    is_soft = top[:, 1] > 0.99
    assert 0 < is_soft.sum() < 32
    np.testing.assert_allclose(top[~is_soft], np.tile([0.25, 0.75], ((~is_soft).sum(), 1)), atol=1e-3)


def test_each_task_is_a_context_of_its_own_and_neutral_pictures_have_none(section: Section) -> None:
    section["tasks"] |= {"empty_context": 0.0}
    section["change_penalty"] = 0.1
    objective = make(section)
    model, batch = model_of(objective), objective.batch(0)
    assert model.hypernetwork is not None
    torch.nn.init.normal_(model.hypernetwork.out.weight, std=0.1)
    given: list[Any] = []
    embed = model.embed_images

    def spy(
        images: torch.Tensor, delta: torch.Tensor | None = None, index: torch.Tensor | None = None
    ) -> Any:
        given.append((delta, index))
        return embed(images, delta, index)

    model.embed_images = spy  # type: ignore[method-assign]
    loss, figures = objective.loss(model, batch, 0)

    ((delta, index),) = given
    assert len(delta) == len(batch.tasks) + 1
    assert not delta[0].any()
    assert index[: batch.n_neutral].tolist() == [0] * batch.n_neutral
    for row, task in enumerate(batch.tasks, start=1):
        assert index[task.rows].tolist() == [row] * len(task.target_BC)
        class_emb = objective.texts.class_embeddings(task.features_C2W, model.text_encoder)
        torch.testing.assert_close(delta[row], model.generate(class_emb[None])[0], atol=1e-5, rtol=1e-4)
    assert loss.requires_grad
    assert figures.keys() == {"leaf_loss", "task_loss", "change_rms", "change_varies"}


def test_tasks_without_context_are_scored_by_the_neutral_encoder(section: Section) -> None:
    section["tasks"] |= {"empty_context": 1.0}
    objective = make(section)

    _, figures = objective.loss(objective.model, objective.batch(0), 0)

    assert figures.keys() == {"leaf_loss", "task_loss"}


@pytest.mark.parametrize(
    ("after", "step", "moves"), [(0, 0, False), (5, 4, True), (5, 5, False), (-1, 100, True)]
)
def test_statistics_are_frozen_from_the_stated_step_on(
    section: Section, after: int, step: int, moves: bool
) -> None:
    section["freeze_statistics_after"] = after
    objective = make(section)
    objective.model.train()
    before = {key: value.clone() for key, value in objective.model.state_dict().items() if "running" in key}

    objective.loss(objective.model, objective.batch(step), step)

    after_step = objective.model.state_dict()
    assert any(not torch.equal(after_step[key], value) for key, value in before.items()) is moves


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
def test_gradients_reach_every_part_that_learns(section: Section, loss: str) -> None:
    section["loss"] = loss
    section["tasks"] |= {"empty_context": 0.0}
    objective = make(section)
    model = model_of(objective)
    assert model.hypernetwork is not None
    torch.nn.init.normal_(model.hypernetwork.out.weight, std=0.1)

    objective.loss(model, objective.batch(0), 0)[0].backward()

    learns = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    for part in ("image_encoder.", "hypernetwork.", "head.", "text_encoder.proj."):
        assert any(name.startswith(part) for name in learns), part
    assert not any(name.startswith("text_encoder.") and ".proj." not in name[12:] for name in learns)


# Mixture head -----------------------------------------------------------------------------------------


@pytest.fixture
def mixture(section: Section) -> Section:
    section["model"]["image_encoder"]["embedding_dim"] = 6
    section["model"]["head"] = {"kind": "log_mixture", "dim": 6, "text_dim": 8, "logit_scale": 5.0}
    return section


def test_a_mixture_is_evaluated_without_its_own_concepts_too(mixture: Section) -> None:
    objective = make(mixture)
    with torch.no_grad():
        figures = objective.evaluate(objective.model.eval())

    assert "neighbors_own_concepts_removed" in figures
    assert all(0 <= value <= 1 for value in figures.values())


def test_concepts_start_between_what_was_taught_and_what_is_given(
    mixture: Section, text_targets: Path
) -> None:
    plain = model_of(make(mixture)).head.concepts_KE  # type: ignore[union-attr]

    objective = make(mixture | {"text_targets": str(text_targets)})

    concepts = model_of(objective).head.concepts_KE  # type: ignore[union-attr]
    assert not torch.allclose(concepts, plain)
    torch.testing.assert_close(concepts.norm(dim=1), torch.ones(6))


# Starting and finishing -------------------------------------------------------------------------------


def test_a_finished_run_says_what_it_is_and_can_be_started_from(section: Section, tmp_path: Path) -> None:
    section["n_held_out_classes"] = 1
    objective = make(section)
    objective.finish(objective.model, tmp_path)

    about = json.loads((tmp_path / "model.json").read_text())
    assert about["model"]["image_encoder"]["name"] == "mobilenetv4_conv_small_050"
    assert about["held_out_wnids"] == [objective.hierarchy.wnids[objective.held_out[0]]]
    state = load_file(tmp_path / "weights.safetensors")

    torch.manual_seed(1)
    section["start_from"] = str(tmp_path)
    other = HyperCLIPObjective(from_recipe(ObjectiveConfig, section), seed=0)
    for name, value in other.model.state_dict().items():
        if name.startswith("image_encoder."):
            assert torch.equal(value, state[name])
    assert not torch.equal(model_of(other).head.proj.weight, state["head.proj.weight"])  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s["model"]["head"].update(dim=8), "model.head.dim is 8; expected 16"),
        (lambda s: s["model"]["head"].update(text_dim=4), "model.head.text_dim is 4; expected 8"),
        (lambda s: s["model"]["hypernetwork"].update(text_dim=4), "hypernetwork.text_dim is 4; expected 8"),
        (lambda s: s["model"]["head"].update(kind="log_mixture"), "head.dim is 16; expected 6"),
        (lambda s: s["model"]["image_encoder"].update(name="resnet19"), "'resnet19' is not known to timm"),
        (lambda s: s["data"].update(sizes_px=[40]), "expected multiples of 16"),
        (lambda s: s["data"].update(size_weights=[1, 2]), "a weight of 0 or more for each of 1 sizes"),
        (lambda s: s["data"].update(task_share=2), "task_share = 2.0"),
        (lambda s: s["data"].update(sets=[]), "holds no set"),
        (lambda s: s["data"]["sets"][0].update(soft_weight=2), "soft_weight = 2.0"),
        (lambda s: s["data"]["sets"][0].update(n_held_out=3), "holds out 3 pictures, and 12"),
        (lambda s: s["data"]["sets"][0].update(n_held_out=48), "no picture to train on among 48"),
        (lambda s: s["data"]["sets"][0].update(cache="gone"), "gone is not an image cache"),
        (lambda s: s["evaluation"].update(n_tasks=1), "evaluation has n_images = 12, n_tasks = 1"),
        (lambda s: s["evaluation"].update(size_px=50), "evaluation.size_px is 50"),
        (lambda s: s.update(n_held_out_classes=7), "expected at most 6"),
        (lambda s: s.update(loss="hinge"), "hyperclip.loss is 'hinge'"),
        (lambda s: s.update(start_from="gone"), "start_from is 'gone'"),
        (lambda s: s.update(text_run="gone"), "gone holds no finished text encoder"),
        (lambda s: s.update(meanings="gone"), "meaning texts gone cannot be read"),
        (lambda s: s.update(classes="gone"), "gone cannot be read"),
        (lambda s: s["data"].update(n_task=2), "did you mean 'n_tasks'"),
    ],
)  # fmt: skip
def test_a_recipe_that_cannot_work_is_one_sentence(
    section: Section, change: Callable[[Section], object], words: str
) -> None:
    change(section)

    with pytest.raises(InputError) as caught:
        make(section)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_labels_and_soft_labels_of_other_class_lists_are_refused(section: Section, world_copy: Path) -> None:
    cache = world_copy / "cache"
    section["data"]["sets"][0]["cache"] = section["evaluation"]["cache"] = str(cache)
    np.save(cache / "soft.npy", np.zeros((48, 7), np.float16))
    with pytest.raises(InputError, match=r"has shape \(48, 7\); expected \(48, 6\)"):
        make(section)

    (cache / "soft.npy").unlink()
    np.save(cache / "labels.npy", np.full(48, 6))
    with pytest.raises(InputError, match="has the label 6; expected labels below 6"):
        make(section)


def test_pictures_without_labels_are_not_evaluated(section: Section, world_copy: Path) -> None:
    cache = world_copy / "cache"
    section["data"]["sets"][0]["cache"] = section["evaluation"]["cache"] = str(cache)
    labels = np.load(cache / "labels.npy")
    labels[-2:] = -1
    np.save(cache / "labels.npy", labels)
    objective = make(section)
    assert objective._evaluation.n_images == 10

    np.save(cache / "labels.npy", np.where(np.arange(48) < 36, labels, -1))
    with pytest.raises(InputError, match="show none of the classes"):
        make(section)


def test_another_encoders_weights_are_no_start(section: Section, tmp_path: Path) -> None:
    objective = make(section)
    objective.finish(objective.model, tmp_path)
    section["start_from"] = str(tmp_path)
    section["model"]["image_encoder"]["embedding_dim"] = section["model"]["head"]["dim"] = 12

    with pytest.raises(InputError, match="holds another image encoder") as caught:
        make(section)
    assert "\n" not in str(caught.value)

    (tmp_path / "weights.safetensors").write_bytes(b"damaged")
    with pytest.raises(InputError, match="cannot be read"):
        make(section)
