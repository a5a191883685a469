"""Encoders to start from and to learn from."""

import copy
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install 'hyperclip[train]'")

import torch
from safetensors.torch import save_file

from hyperclip.errors import InputError
from hyperclip.models import HyperCLIPConfig, ImageEncoder, ImageEncoderConfig
from hyperclip.models.compact import CompactEncoder
from hyperclip.train.hyperclip_objective import HyperCLIPObjective, ObjectiveConfig, from_recipe
from hyperclip.train.trained_encoder import load_image_encoder, untouched_encoder

pytestmark = pytest.mark.torch

SMALL = ImageEncoderConfig(name="compact_20k", embedding_dim=6)


@pytest.fixture
def taught(hyperclip_recipe: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """A recipe whose pictures a teacher labels: a compact encoder of six concepts, from a file."""
    section = copy.deepcopy(hyperclip_recipe["hyperclip"])
    torch.manual_seed(5)
    save_file(CompactEncoder("compact_20k", embedding_dim=6).state_dict(), tmp_path / "start.safetensors")
    section["model"]["image_encoder"] = {
        "name": "compact_20k", "embedding_dim": 6, "init": str(tmp_path / "start.safetensors"),
    }  # fmt: skip
    section["model"]["head"] = {"kind": "log_mixture", "dim": 6, "text_dim": 8, "logit_scale": 5.0}
    section["model"].pop("hypernetwork", None)
    section["evaluation"]["cache"] = ""
    section["data"] |= {"n_tasks": 0, "sizes_px": [32], "teacher_px": 64}
    section["data"]["sets"][0] |= {"teacher_weight": 0.75}
    return section


def test_the_teacher_labels_the_very_crops(taught: dict[str, Any]) -> None:
    objective = HyperCLIPObjective(from_recipe(ObjectiveConfig, taught), seed=0)
    batch = objective.batch(0)
    assert batch.lesson is not None
    assert batch.lesson.images_T3HW.shape[-2:] == (64, 64)
    before = batch.leaf_target_BN.clone()
    teacher = untouched_encoder(objective.config.model)

    objective.loss(objective.model.train(), batch, 0)

    expected = 0.25 * before + 0.75 * teacher(batch.lesson.images_T3HW).softmax(dim=-1)
    torch.testing.assert_close(batch.leaf_target_BN, expected, atol=1e-5, rtol=1e-5)
    assert (before == batch.leaf_target_BN).float().mean() < 0.9


def test_the_teacher_stays_what_it_is(taught: dict[str, Any]) -> None:
    objective = HyperCLIPObjective(from_recipe(ObjectiveConfig, taught), seed=0)
    batch = objective.batch(0)
    loss, _ = objective.loss(objective.model.train(), batch, 0)
    loss.backward()  # type: ignore[no-untyped-call]

    with torch.no_grad():
        for parameter in objective.model.parameters():
            if parameter.grad is not None:
                parameter.add_(parameter.grad)
    again = objective.batch(0)
    objective.loss(objective.model, again, 0)
    torch.testing.assert_close(again.leaf_target_BN, batch.leaf_target_BN)


def test_an_untrained_teacher_is_refused() -> None:
    config = HyperCLIPConfig(image_encoder=SMALL)
    with pytest.raises(InputError, match="expected a trained start"):
        untouched_encoder(config)


def test_weights_of_a_run_are_mixed_with_those_that_are_there(tmp_path: Path) -> None:
    encoder, other = ImageEncoder(SMALL), ImageEncoder(SMALL)
    save_file(
        {f"image_encoder.{key}": value for key, value in other.state_dict().items()},
        tmp_path / "weights.safetensors",
    )
    before = encoder.trunk.projection.weight.detach().clone()  # type: ignore[union-attr,operator]

    load_image_encoder(encoder, tmp_path, share=0.25)

    expected = 0.75 * before + 0.25 * other.trunk.projection.weight  # type: ignore[union-attr,operator]
    torch.testing.assert_close(encoder.trunk.projection.weight, expected)  # type: ignore[union-attr]


def test_a_run_that_is_not_finished_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_image_encoder(ImageEncoder(SMALL), tmp_path)
