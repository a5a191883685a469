"""One arm: half of the channels removed while the dense network trains on, at a fixed number of gradients."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from benchmarks.adasap.dense import BATCH_SIZE
from benchmarks.adasap.pictures import Pictures, training_batch
from benchmarks.command import say
from torch import Tensor, nn
from torch.nn import functional

from hyperclip.models.channel_removal import shrink_to
from hyperclip.train.channel_choice import PruningConfig
from hyperclip.train.channel_pruner import ChannelPruner
from hyperclip.train.sam import SharpnessConfig

__all__ = ["ARMS", "Arm", "train_arm"]

PEAK_LR, WEIGHT_DECAY, N_WARMUP = 0.02, 1e-4, 20
CHECKPOINT_EVERY = 100


@dataclass(frozen=True, kw_only=True)
class Arm:
    """How one arm trains; those of two gradients a step make half as many steps."""

    title: str
    sharpness: SharpnessConfig
    importance: str = "magnitude"
    share: float = 1.0
    """Of the gradients that an arm may take; a control takes as many steps as SAM."""

    def n_steps(self, n_gradients: int) -> int:
        """Steps that cost so many gradients."""
        n_own = round(self.share * n_gradients)
        return n_own if self.sharpness.method == "none" else n_own // 2


# Radii: the best of 0.02, 0.1 and 0.5 (a ball a neuron), of 0.5 and 2 (one ellipsoid) and of 0.05 and 0.2
# (SAM) on pictures held out for choosing, after 374 gradients.
_BALL = {"method": "adasap", "radius": 0.02, "radius_min": 0.005}
_ELLIPSOID = {"method": "adasap", "radius": 2.0, "normalization": "global"}
ARMS = {
    "sgd": Arm(title="magnitude + SGD", sharpness=SharpnessConfig()),
    "sgd_half": Arm(title="magnitude + SGD, half the gradients", sharpness=SharpnessConfig(), share=0.5),
    "sam": Arm(title="magnitude + SAM throughout", sharpness=SharpnessConfig(method="sam", radius=0.05)),
    "adasap": Arm(title="AdaSAP, a ball a neuron", sharpness=SharpnessConfig(**_BALL)),
    "ellipsoid": Arm(title="AdaSAP, one ellipsoid", sharpness=SharpnessConfig(**_ELLIPSOID)),
    "random": Arm(title="random channels + SGD", sharpness=SharpnessConfig(), importance="random"),
}


def train_arm(
    arm: Arm,
    network: nn.Module,
    pictures: Pictures,
    *,
    channels: float,
    n_gradients: int,
    seed: int,
    path: Path,
) -> dict[str, Any]:
    """Train and prune a network in place, or read the result of a finished arm; an interrupted one goes on.

    Parameters
    ----------
    arm : Arm
    network : torch.nn.Module
        Dense and trained.
    pictures : Pictures
        To train on.
    channels : float
        Share to remove.
    n_gradients : int
        Gradients of a batch that the arm may take.
    seed : int
        Of the order of pictures.
    path : Path
        Of the weights.

    Returns
    -------
    dict
        ``n_steps`` and ``share_left`` of the prunable channels.
    """
    n_steps = arm.n_steps(n_gradients)
    pruner = ChannelPruner(
        network, arm.sharpness, PruningConfig(channels=channels, importance=arm.importance, every=10),
        n_steps=n_steps, seed=seed,
    )  # fmt: skip
    optimizer = torch.optim.SGD(
        network.parameters(), lr=PEAK_LR, momentum=0.9, weight_decay=WEIGHT_DECAY, nesterov=True
    )
    first = _resume(network, optimizer, pruner, path)
    network.train()
    for step in range(first, n_steps):
        warm = min(1.0, (step + 1) / N_WARMUP)
        optimizer.param_groups[0]["lr"] = PEAK_LR * warm * 0.5 * (1 + math.cos(math.pi * step / n_steps))
        images, target = training_batch(pictures, BATCH_SIZE, step=step, seed=seed)
        images = images.contiguous(memory_format=torch.channels_last)

        def compute(images: Tensor = images, target: Tensor = target) -> Tensor:
            return functional.cross_entropy(network(images), target)

        optimizer.zero_grad()
        loss = pruner.backward(network, compute, step=step)
        optimizer.step()
        pruner.prune(network, n_done=step + 1, optimizer=optimizer)
        done = step + 1
        if done % CHECKPOINT_EVERY == 0 or done == n_steps:
            say(f"{arm.title}, seed {seed}: step {done} of {n_steps}, loss {loss.item():.3f}")
            state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "step": done}
            torch.save(state, path.with_suffix(".part"))
            path.with_suffix(".part").replace(path)
    network.eval()
    return {"n_steps": n_steps, "share_left": pruner.share_left}


def _resume(network: nn.Module, optimizer: torch.optim.Optimizer, pruner: ChannelPruner, path: Path) -> int:
    """Take up a checkpoint where there is one; returns the steps that are done."""
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    shrink_to(network, state["network"])
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    pruner.look_again(network)
    return int(state["step"])
