"""Checkpoints: one file with everything that a run needs to go on exactly where it was."""

import os
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hyperclip.errors import InputError
from hyperclip.models.channel_removal import shrink_to
from hyperclip.train.channel_pruner import ChannelPruner

__all__ = ["WeightAverage", "load_checkpoint", "save_checkpoint"]

_NAME = "checkpoint.pt"


class WeightAverage:
    """Exponential moving average of floating-point weights and statistics.

    Parameters
    ----------
    model : torch.nn.Module
        Where the average starts.
    decay : float
        In [0, 1); it rises from small values so that the start is forgotten: min(decay, (1+t)/(10+t)).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move the average towards the model's weights."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for key, value in model.state_dict().items():
            if value.is_floating_point():
                self.state[key].lerp_(value, 1 - decay)
            else:
                self.state[key].copy_(value)


def save_checkpoint(
    folder: Path,
    *,
    step: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage | None,
    pruner: ChannelPruner | None = None,
) -> None:
    """Write the checkpoint beside its place, then rename: a killed run leaves the older one whole."""
    state: dict[str, Any] = {"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
    if average is not None:
        state["average"] = average.state
    if pruner is not None:
        state["pruner"] = pruner.state_dict()
    temporary = folder / f"{_NAME}.tmp"
    try:
        with temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, folder / _NAME)
    finally:
        temporary.unlink(missing_ok=True)


def load_checkpoint(
    folder: Path,
    *,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage | None,
    pruner: ChannelPruner | None = None,
) -> int:
    """Restore a run; returns the number of finished steps, 0 where there is no checkpoint.

    What the recipe says of learning rates and decay holds, not what it said when the checkpoint was made.

    Raises
    ------
    InputError
        If the checkpoint is damaged or belongs to another model.
    """
    path = folder / _NAME
    if not path.is_file():
        return 0
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(
            f"The checkpoint {path} is damaged ({type(error).__name__}); expected one that a training wrote; "
            "delete it to begin anew."
        ) from error
    try:
        is_pruned = pruner is not None and shrink_to(model, state["model"])
        model.load_state_dict(state["model"])
        if pruner is not None and is_pruned:
            pruner.look_again(model)
        if pruner is not None and "pruner" in state:
            pruner.load_state_dict(state["pruner"])
        settings = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
        optimizer.load_state_dict(state["optimizer"])
        for group, own in zip(optimizer.param_groups, settings, strict=True):
            group.update(own)
        if average is not None:
            restored: dict[str, Tensor] = state["average"]
            average.state = {key: restored[key].to(value.device) for key, value in average.state.items()}
        return int(state["step"])
    except (KeyError, TypeError, ValueError, RuntimeError, InputError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"{path} does not fit this recipe ({reason}); expected the checkpoint of the same model; "
            "continue with the recipe that wrote it, or choose an empty folder."
        ) from error
