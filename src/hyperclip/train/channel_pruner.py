"""AdaSAP in a training loop: get ready for pruning, prune little by little, and learn robustly after it.

1. Until ``start_share`` of the steps: each neuron's weights are perturbed, the less important the more.
2. Until ``end_share``: the same, and every few steps the least important channels are removed for good.
3. To the end: the same radius for every neuron.

Which channels are left, the shapes of the weights say: a run goes on when a dense model is given the
checkpoint's shapes. Only the Taylor scores since the last removal are kept beside it.

References
----------
Bair et al., "Adaptive sharpness-aware pruning for robust sparse networks", arXiv 2306.14306; names and
lengths of phases from descriptions of it, as there is no published code.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hyperclip.errors import InputError
from hyperclip.models.channel_groups import ChannelGroup
from hyperclip.models.channel_removal import Cuts, model_groups, remove_channels
from hyperclip.models.hyperclip import HyperCLIP
from hyperclip.models.image_encoder import ImageEncoder
from hyperclip.train.channel_choice import PruningConfig, choose_channels
from hyperclip.train.channel_importance import (
    TaylorScores,
    magnitudes,
    milliseconds_per_channel,
    per_millisecond,
)
from hyperclip.train.sam import SharpnessConfig, differentiate, neuron_radii, sharp_backward

__all__ = ["ChannelPruner"]

_LOGGER = logging.getLogger(__name__)


class ChannelPruner:
    """Gives a loop sharpness-aware gradients and takes channels out of the model on the way.

    Parameters
    ----------
    model : torch.nn.Module
        Dense: made before a checkpoint of a pruned one is loaded.
    sharpness : SharpnessConfig
    pruning : PruningConfig
    n_steps : int
        Of the whole training.
    seed : int
        Of the `random` criterion.
    size_px : int
        Side of the pictures on which the model is followed and measured.
    lengths : callable
        Importance by size of weights, as `magnitudes` gives it.
    taylor : TaylorScores, optional
        Where scores by effect are collected.
    """

    def __init__(
        self,
        model: nn.Module,
        sharpness: SharpnessConfig,
        pruning: PruningConfig,
        *,
        n_steps: int,
        seed: int,
        size_px: int = 64,
        lengths: Callable[[nn.Module, Sequence[ChannelGroup]], dict[str, Tensor]] = magnitudes,
        taylor: TaylorScores | None = None,
    ) -> None:
        self.sharpness, self.pruning = sharpness, pruning
        self._n_steps, self._seed, self._size_px = n_steps, seed, size_px
        self._lengths, self._taylor = lengths, TaylorScores() if taylor is None else taylor
        self._groups: list[ChannelGroup] = []
        self._n_dense: dict[str, int] = {}
        if pruning.channels > 0:
            self._groups = model_groups(model, size_px=size_px)
            self._n_dense = {group.name: group.n_channels for group in self._groups}
            if not self._groups:
                raise InputError(
                    "No channel of this model can be removed; expected convolutions behind one another; set "
                    "pruning.channels to 0."
                )

    @property
    def n_dense(self) -> dict[str, int]:
        """Channels of each group before anything was removed."""
        return dict(self._n_dense)

    def look_again(self, model: nn.Module) -> None:
        """Find the channels of a model anew, after a pruned checkpoint was loaded into it."""
        if self.pruning.channels > 0:
            self._groups = model_groups(model, size_px=self._size_px)

    def state_dict(self) -> dict[str, Any]:
        """What a run must keep beside the model to go on: the Taylor scores since the last removal."""
        return self._taylor.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self._taylor.load_state_dict(state)

    def backward(
        self,
        model: nn.Module,
        compute: Callable[[], Tensor],
        *,
        step: int,
        backward: Callable[[Tensor], None] = differentiate,
    ) -> Tensor:
        """Fill the gradients of a step and return its loss; see `sharp_backward`."""
        return sharp_backward(
            model, compute, self.sharpness, radii=self._radii(model, step), backward=backward,
            on_first=lambda: self._observe(model, step),
        )  # fmt: skip

    def _observe(self, model: nn.Module, step: int) -> None:
        if self.pruning.compares_layers and step < self.pruning.last_step(self._n_steps):
            self._taylor.add(model, self._groups)

    def _radii(self, model: nn.Module, step: int) -> dict[str, Tensor]:
        """The radius of each neuron that can be pruned, and in the last phase of every neuron."""
        config = self.sharpness
        if config.method != "adasap":
            return {}
        if self.pruning.channels > 0 and step >= self.pruning.last_step(self._n_steps):
            weights = [(name, p) for name, p in model.named_parameters() if p.dim() > 1]
            return {name: torch.full((len(p),), config.radius) for name, p in weights}
        radii: dict[str, Tensor] = {}
        importance = self._importance(model)
        for group in self._groups:
            radius = neuron_radii(
                importance[group.name], radius_min=config.radius_min, radius_max=config.radius
            )
            radii |= dict.fromkeys(group.makers, radius)
        return radii

    def _importance(self, model: nn.Module) -> dict[str, Tensor]:
        """Importance of each channel by what is known so far: Taylor needs a batch first."""
        kind = self.pruning.importance
        if kind == "random":
            random = torch.Generator().manual_seed(self._seed)
            return {group.name: torch.rand(group.n_channels, generator=random) for group in self._groups}
        if kind == "magnitude" or self._taylor.n_batches == 0:
            return self._lengths(model, self._groups)
        return self._taylor.scores()

    def prune(self, model: nn.Module, *, n_done: int, optimizer: torch.optim.Optimizer | None = None) -> Cuts:
        """Remove the channels that are due after so many steps, in place.

        Returns
        -------
        Cuts
            What was kept, for tensors beside the model; empty where nothing was due.
        """
        if not self.pruning.is_due(n_done, self._n_steps):
            return {}
        scores = self._importance(model)
        if self.pruning.importance == "latency":
            trunk = _trunk(model)
            costs = milliseconds_per_channel(model, trunk, self._groups, size_px=self._size_px)
            scores = per_millisecond(scores, costs)
        kept = choose_channels(
            self._groups,
            scores,
            n_dense=self._n_dense,
            share=self.pruning.share_at(n_done, self._n_steps),
            round_to=self.pruning.round_to,
            compares_layers=self.pruning.compares_layers and self._taylor.n_batches > 0,
        )
        if not kept:
            return {}
        cuts = remove_channels(model, self._groups, kept, optimizer=optimizer)
        self._taylor.forget()
        self.look_again(model)
        _LOGGER.info("Step %d: %s of the prunable channels are left.", n_done, f"{self.share_left:.0%}")
        return cuts

    @property
    def share_left(self) -> float:
        """Share of the dense model's prunable channels that are still there."""
        if not self._n_dense:
            return 1.0
        return sum(group.n_channels for group in self._groups) / sum(self._n_dense.values())


def _trunk(model: nn.Module) -> nn.Module:
    """The part of a model that takes pictures alone."""
    if isinstance(model, HyperCLIP):
        return model.image_encoder.trunk
    return model.trunk if isinstance(model, ImageEncoder) else model
