"""Arms: what their contexts do, on untrained models."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="arms are measured in PyTorch: pip install 'hyperclip[train]'")

import torch
from benchmarks.conditioning.arms import Arm, measure_arm
from torch.nn import functional

from hyperclip.models import HyperCLIP, HyperCLIPConfig
from hyperclip.models.heads import HeadConfig
from hyperclip.models.hypernetwork import HypernetworkConfig
from hyperclip.models.image_encoder import ImageEncoderConfig

pytestmark = pytest.mark.torch

TASKS = {"seen": np.array([[0, 1, 2], [3, 4, 5]])}


def make_arm(kind: str | None) -> Arm:
    torch.manual_seed(0)
    network = (
        None if kind is None else HypernetworkConfig(kind=kind, text_dim=8, hidden_dim=8, bottleneck_dim=4)
    )
    config = HyperCLIPConfig(
        image_encoder=ImageEncoderConfig(name="mobilenetv4_conv_small_050", embedding_dim=8),
        head=HeadConfig(kind="linear", text_dim=8, dim=8),
        hypernetwork=network,
    )
    model = HyperCLIP(config).eval()
    if model.hypernetwork is not None:
        torch.nn.init.normal_(model.hypernetwork.out.weight, std=0.3)
    recipe = {"run": {"n_steps": 1, "seed": 0}, "hyperclip": {"model": {}}}
    return Arm(model, functional.normalize(torch.randn(8, 8), dim=1), (6, 7), 32, recipe)


def measure(kind: str | None) -> dict:
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (40, 32, 32, 3), dtype=np.uint8), np.arange(40) % 8
    return measure_arm(make_arm(kind), TASKS, pixels, labels)


def test_without_a_hypernetwork_every_context_is_neutral() -> None:
    found = measure(None)["groups"]["seen"]

    assert found["accuracy_by_task"]["own"] == found["accuracy_by_task"]["neutral"]
    assert found["change_relative_variance"] is None


def test_tokens_give_every_task_the_same() -> None:
    found = measure("token")["groups"]["seen"]

    assert found["accuracy_by_task"]["own"] == found["accuracy_by_task"]["swapped"]
    assert found["change_relative_variance"] == pytest.approx(0.0, abs=1e-6)


def test_text_gives_tasks_their_own() -> None:
    found = measure("text")

    assert found["groups"]["seen"]["change_relative_variance"] > 0.01
    assert {name: values["n_classes"] for name, values in found["accuracy"].items()} == {
        "all": 8, "seen": 6, "held_out": 2
    }  # fmt: skip
