"""The dense network where every arm starts: MobileNetV4-conv-small-050, trained from nothing with AdamW."""

import math
from pathlib import Path

import timm
import torch
from benchmarks.adasap.pictures import Pictures, training_batch
from benchmarks.command import say
from torch import nn
from torch.nn import functional

__all__ = ["build_network", "train_dense"]

BATCH_SIZE = 64
PEAK_LR, WEIGHT_DECAY, N_WARMUP = 2e-3, 0.05, 200


def build_network(n_classes: int, *, seed: int) -> nn.Module:
    """MobileNetV4-conv-small at half width, with random weights."""
    torch.manual_seed(seed)
    network: nn.Module = timm.create_model("mobilenetv4_conv_small_050", num_classes=n_classes)
    nn.init.zeros_(network.classifier.weight)  # type: ignore[arg-type]  # else the first loss is twice ln(n)
    return network.to(memory_format=torch.channels_last)


def train_dense(pictures: Pictures, n_classes: int, *, n_steps: int, seed: int, path: Path) -> nn.Module:
    """Train the network, or read it where it was trained before; an interrupted training goes on."""
    network = build_network(n_classes, seed=seed)
    if path.is_file():
        network.load_state_dict(torch.load(path, weights_only=True))
        return network
    optimizer = torch.optim.AdamW(network.parameters(), lr=PEAK_LR, weight_decay=WEIGHT_DECAY)
    unfinished = path.with_suffix(".part")
    first = 0
    if unfinished.is_file():
        state = torch.load(unfinished, weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    network.train()
    for step in range(first, n_steps):
        warm = min(1.0, (step + 1) / N_WARMUP)
        optimizer.param_groups[0]["lr"] = PEAK_LR * warm * 0.5 * (1 + math.cos(math.pi * step / n_steps))
        images, target = training_batch(pictures, BATCH_SIZE, step=step, seed=seed)
        loss = functional.cross_entropy(network(images.contiguous(memory_format=torch.channels_last)), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % 200 == 0:
            say(f"dense, seed {seed}: step {step + 1} of {n_steps}, loss {loss.item():.3f}")
            torch.save(
                {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1},
                unfinished,
            )
    torch.save(network.state_dict(), path)
    unfinished.unlink(missing_ok=True)
    return network
