"""The recipes of the conditioning benchmark: equal but for the hypernetwork."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="recipes are read by the workshop: pip install 'hyperclip[train]'")

from hyperclip.train.hyperclip_objective import ObjectiveConfig
from hyperclip.train.recipe import OptimizerConfig, RunConfig, from_mapping, read_toml

pytestmark = pytest.mark.torch

RECIPES = Path(__file__).resolve().parents[2] / "recipes" / "arms"
ARMS = ("hyper", "siglip", "token")


def read(arm: str) -> tuple[RunConfig, OptimizerConfig, ObjectiveConfig]:
    values: dict[str, Any] = read_toml(RECIPES / f"{arm}.toml")
    return (
        from_mapping(RunConfig, values["run"], where="run"),
        from_mapping(OptimizerConfig, values["optimizer"], where="optimizer"),
        from_mapping(ObjectiveConfig, values["hyperclip"], where="hyperclip"),
    )


def test_arms_differ_in_the_hypernetwork_and_the_description_alone() -> None:
    plain = set()
    for arm in ARMS:
        run, optimizer, objective = read(arm)
        model = dataclasses.replace(objective.model, hypernetwork=None)
        plain.add(
            repr(
                (
                    dataclasses.replace(run, description=""),
                    optimizer,
                    dataclasses.replace(objective, model=model),
                )
            )
        )

    assert len(plain) == 1


def test_each_arm_has_its_hypernetwork() -> None:
    networks = {arm: read(arm)[2].model.hypernetwork for arm in ARMS}

    assert networks["siglip"] is None
    assert networks["hyper"] is not None
    assert networks["token"] is not None
    assert networks["hyper"].kind == "text"
    assert networks["token"] == dataclasses.replace(networks["hyper"], kind="token")
