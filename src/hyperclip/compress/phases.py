"""What retraining of files and of bundles have in common: the pruner of a config, and the rate of a step."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from hyperclip.models.channel_groups import ChannelGroup
from hyperclip.train.channel_choice import PruningConfig
from hyperclip.train.channel_importance import TaylorScores
from hyperclip.train.channel_pruner import ChannelPruner
from hyperclip.train.sam import SharpnessConfig

if TYPE_CHECKING:
    from hyperclip.compress.adasap import AdaSAPConfig

__all__ = ["make_pruner", "rate_share"]

PRUNE_EVERY = 10


def make_pruner(
    module: nn.Module,
    config: "AdaSAPConfig",
    *,
    size_px: int,
    lengths: Callable[[nn.Module, Sequence[ChannelGroup]], dict[str, Tensor]],
    taylor: TaylorScores | None = None,
) -> ChannelPruner:
    """Return what removes channels of a module while it trains.

    Parameters
    ----------
    module : nn.Module
    config : AdaSAPConfig
    size_px : int
        Side of the pictures.
    lengths : callable
        Length of each channel's weights, see `ChannelPruner`.
    taylor : TaylorScores, optional
    """
    sharpness = SharpnessConfig(
        method=config.sharpness, radius=config.radius, radius_min=config.radius_min,
        normalization=config.normalization,
    )  # fmt: skip
    pruning = PruningConfig(
        channels=config.channels, importance=config.importance, every=PRUNE_EVERY, round_to=config.round_to
    )
    return ChannelPruner(
        module, sharpness, pruning, n_steps=config.n_steps, seed=config.seed, size_px=size_px,
        lengths=lengths, taylor=taylor,
    )  # fmt: skip


def rate_share(step: int, n_steps: int) -> float:
    """Share of the peak learning rate at a step: up over a twentieth of the steps, then down a cosine."""
    n_warm = max(1, n_steps // 20)
    return min(1.0, (step + 1) / n_warm) * 0.5 * (1 + math.cos(math.pi * step / n_steps))
