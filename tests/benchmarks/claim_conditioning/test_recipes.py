"""The arms are equal but for what reads the names and what is written."""

from typing import Any

import pytest
from benchmarks.claim_conditioning.trainings import ARMS, Training, trainings

pytest.importorskip("torch", reason="recipes are read by the workshop: pip install 'hyperclip[train]'")

from hyperclip.train.recipe import apply_overrides, read_toml

pytestmark = pytest.mark.torch


def read(arm: str) -> dict[str, Any]:
    training = Training("compact_20k", arm, 3)
    return apply_overrides(read_toml(training.recipe), training.overrides)


def test_arms_differ_in_hypernetwork_and_generated_parameters_alone() -> None:
    plain = []
    for arm in ARMS:
        values = read(arm)
        values["run"].pop("description")
        values["hyperclip"]["model"].pop("hypernetwork", None)
        values["hyperclip"]["model"]["image_encoder"].pop("generates", None)
        values["optimizer"]["lr_factors"].pop("hypernetwork.", None)
        plain.append(values)

    assert all(values == plain[0] for values in plain)


def test_each_arm_reads_and_writes_what_its_name_says() -> None:
    for arm in ARMS:
        model = read(arm)["hyperclip"]["model"]
        kind = {"siglip": None, "hyper": "text", "token": "token"}[arm.removesuffix("_weights")]
        assert model.get("hypernetwork", {}).get("kind") == kind
        assert ("pointwise" in model["image_encoder"].get("generates", [])) == arm.endswith("_weights")


def test_encoder_and_seed_are_told_to_the_recipe() -> None:
    values = apply_overrides(
        read_toml(Training("compact_60k", "hyper", 1).recipe), Training("compact_60k", "hyper", 1).overrides
    )

    assert values["run"]["seed"] == 1
    assert values["hyperclip"]["model"]["image_encoder"]["name"] == "compact_60k"


def test_a_seed_of_all_arms_comes_before_the_next() -> None:
    planned = list(trainings(["compact_20k"], ["siglip", "hyper"], [0, 1]))

    assert [(one.seed, one.arm) for one in planned] == [
        (0, "siglip"), (0, "hyper"), (1, "siglip"), (1, "hyper"),
    ]  # fmt: skip
