"""What a training run trains: the contract between the loop and its objectives."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from hyperclip.errors import InputError

__all__ = ["Objective", "check_objective", "find_objective"]


class Objective(Protocol):
    """One kind of training.

    A batch is a pure function of the seed and the step: that makes a resumed run equal an
    uninterrupted one without any state of a loader.
    """

    config: Any
    """A frozen dataclass: the recipe's section, resolved."""
    model: nn.Module

    def batch(self, step: int) -> Any:
        """Make the batch of a step; runs in a thread of its own, ahead of the loop."""

    def loss(self, model: nn.Module, batch: Any, step: int) -> tuple[Tensor, dict[str, float]]:
        """Loss and what to log. `model` is `self.model`, possibly wrapped."""

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Figures on held-out data; called without gradients."""

    def finish(self, model: nn.Module, folder: Path) -> None:
        """Write what later steps need (weights, tokenizer) into the run folder."""


def _text(values: Mapping[str, Any], seed: int) -> Objective:
    from hyperclip.train.text_objective import TextConfig, TextObjective, from_recipe

    return TextObjective(from_recipe(TextConfig, values), seed=seed)


def _hyperclip(values: Mapping[str, Any], seed: int) -> Objective:
    from hyperclip.train.hyperclip_objective import HyperCLIPObjective, ObjectiveConfig, from_recipe

    return HyperCLIPObjective(from_recipe(ObjectiveConfig, values), seed=seed)


def _head(values: Mapping[str, Any], seed: int) -> Objective:
    from hyperclip.train.head_objective import HeadObjective, HeadObjectiveConfig, from_recipe

    return HeadObjective(from_recipe(HeadObjectiveConfig, values), seed=seed)


OBJECTIVES: dict[str, Callable[[Mapping[str, Any], int], Objective]] = {
    "text": _text,
    "hyperclip": _hyperclip,
    "head": _head,
}


def check_objective(name: str) -> None:
    """Raise `InputError` if there is no such objective."""
    if name not in OBJECTIVES:
        raise InputError(f"run.objective is {name!r}; expected one of {', '.join(OBJECTIVES)}; choose one.")


def find_objective(name: str, values: Mapping[str, Any], *, seed: int) -> Objective:
    """Build the objective that a recipe names from its section of the same name."""
    check_objective(name)
    return OBJECTIVES[name](values, seed)
