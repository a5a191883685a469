"""How much a channel matters: size of its weights, effect on the loss, or effect per millisecond.

Legend: N channels of a group.

References
----------
Molchanov et al., "Importance estimation for neural network pruning", arXiv 1906.10771 (Taylor); Shen et
al., "Structural pruning via latency-saliency knapsack", arXiv 2210.06659 (latency; there as a dynamic
programme over a table, here as importance per measured millisecond).
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hyperclip.models.channel_groups import ChannelGroup
from hyperclip.train.sam import neuron_norms

__all__ = ["TaylorScores", "magnitudes", "milliseconds_per_channel", "per_millisecond"]

_N_ROUNDS = 9


def magnitudes(model: nn.Module, groups: Iterable[ChannelGroup]) -> dict[str, Tensor]:
    """Length of each channel's weights, summed over the layers that make it; shape (N,) for each group."""
    parameters = dict(model.named_parameters())
    return {
        group.name: torch.stack([neuron_norms(parameters[name]) for name in group.makers]).sum(dim=0)
        for group in groups
    }


class TaylorScores:
    """The squared first-order change of the loss when a channel is set to zero, averaged over batches.

    Behind a norm it is ``(scale * dL/dscale + shift * dL/dshift)^2``, which equals the sum of activation
    times gradient over the norm's output; without one, the same of the weights and bias that make the
    channel. Summed within a batch, then squared, then averaged: batches of many
    contexts average over contexts.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._n_batches = 0

    def add(self, model: nn.Module, groups: Iterable[ChannelGroup]) -> None:
        """Take in the gradients that a batch left in the model."""
        for group in groups:
            score = torch.zeros(group.n_channels)
            for effect in self.effects(model, group):
                score += effect.square().cpu()
            self._sums[group.name] = self._sums.get(group.name, 0) + score
        self._n_batches += 1

    def effects(self, model: nn.Module, group: ChannelGroup) -> list[Tensor]:
        """Change of the loss when each channel is set to zero, for each layer that carries it; each (N,)."""
        parameters = dict(model.named_parameters())
        found = []
        for name in group.norms or group.makers:
            effect = _effect(parameters[name])
            if name.removesuffix("weight") + "bias" in parameters:
                effect = effect + _effect(parameters[name.removesuffix("weight") + "bias"])
            found.append(effect)
        return found

    @property
    def n_batches(self) -> int:
        """How many batches were averaged."""
        return self._n_batches

    def scores(self) -> dict[str, Tensor]:
        """The average of each group, shape (N,)."""
        return {name: total / max(self._n_batches, 1) for name, total in self._sums.items()}

    def state_dict(self) -> dict[str, Any]:
        """Sums and their number."""
        return {"sums": dict(self._sums), "n_batches": self._n_batches}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self._sums, self._n_batches = dict(state["sums"]), int(state["n_batches"])

    def forget(self) -> None:
        """Begin anew, as is needed when channels were removed."""
        self._sums, self._n_batches = {}, 0


def _effect(parameter: nn.Parameter) -> Tensor:
    """Parameter times gradient, summed over all but the first axis."""
    if parameter.grad is None:
        return torch.zeros(len(parameter), device=parameter.device)
    return (
        (parameter.detach() * parameter.grad).flatten(1).sum(dim=1)
        if parameter.dim() > 1
        else (parameter.detach() * parameter.grad)
    )


@torch.no_grad()
def milliseconds_per_channel(
    model: nn.Module, trunk: nn.Module, groups: Sequence[ChannelGroup], *, size_px: int
) -> dict[str, float]:
    """Measure what a channel of each group costs: its layers alone, with all channels and with half.

    Parameters
    ----------
    model : torch.nn.Module
        In whose state the groups name their tensors.
    trunk : torch.nn.Module
        The part of it that takes pictures.
    groups : sequence of ChannelGroup
    size_px : int
        Side of the pictures.

    Returns
    -------
    dict of str to float
        Milliseconds a picture and channel by the name of the group; never negative. The fastest of several
        rounds on this machine with PyTorch's kernels, which differ from ONNX Runtime's in detail.
    """
    layers = _layers_with_inputs(model, trunk, size_px)
    result = {}
    for group in groups:
        saved, n_gone = 0.0, group.n_channels - max(1, group.n_channels // 2)
        for name in dict.fromkeys(place.tensor.rpartition(".")[0] for place in group.places):
            if name in layers:
                axes = {p.axis for p in group.places if p.tensor == f"{name}.weight"}
                layer, given = layers[name]
                saved += _fastest_ms(layer, given) - _fastest_ms(*_halved(layer, given, axes))
        result[group.name] = max(0.0, saved) / max(n_gone, 1)
    return result


def _layers_with_inputs(
    model: nn.Module, trunk: nn.Module, size_px: int
) -> dict[str, tuple[nn.Conv2d | nn.Linear, Tensor]]:
    """Each convolution and linear layer with the input that a picture gives it."""
    found: dict[str, tuple[nn.Conv2d | nn.Linear, Tensor]] = {}
    hooks = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):

            def keep(module: nn.Module, given: tuple[Tensor, ...], name: str = name) -> None:
                assert isinstance(module, nn.Conv2d | nn.Linear)
                found[name] = (module, given[0].detach().clone())

            hooks.append(module.register_forward_pre_hook(keep))
    was_training = trunk.training
    trunk.eval()
    trunk(torch.zeros(1, 3, size_px, size_px, device=next(trunk.parameters()).device))
    trunk.train(was_training)
    for hook in hooks:
        hook.remove()
    return found


def _halved(
    layer: nn.Conv2d | nn.Linear, given: Tensor, axes: set[int]
) -> tuple[nn.Conv2d | nn.Linear, Tensor]:
    """A layer of the same kind with half of its outputs (axis 0), inputs (axis 1) or both."""
    n_out, n_in = layer.weight.shape[:2]
    n_out = max(1, n_out // 2) if 0 in axes else n_out
    if isinstance(layer, nn.Linear):
        n_in = max(1, n_in // 2) if 1 in axes else n_in
        return nn.Linear(n_in, n_out).to(given.device), given[..., :n_in].contiguous()
    if layer.groups > 1:  # depthwise: as many inputs as outputs
        groups, n_in = n_out, n_out
    else:
        groups, n_in = 1, max(1, n_in // 2) if 1 in axes else n_in
    settings: Any = {"stride": layer.stride, "padding": layer.padding}
    kernel: Any = layer.kernel_size
    smaller = nn.Conv2d(n_in, n_out, kernel, groups=groups, bias=False, **settings)
    return smaller.to(given.device), given[:, :n_in].contiguous()


def _fastest_ms(layer: nn.Conv2d | nn.Linear, given: Tensor) -> float:
    """Milliseconds of the fastest of several passes."""
    plain = nn.Conv2d.forward if isinstance(layer, nn.Conv2d) else nn.Linear.forward
    best = float("inf")
    for _ in range(_N_ROUNDS):
        started = time.perf_counter()
        plain(layer, given)  # type: ignore[arg-type]
        best = min(best, time.perf_counter() - started)
    return 1e3 * best


def per_millisecond(scores: Mapping[str, Tensor], cost_ms: Mapping[str, float]) -> dict[str, Tensor]:
    """Importance of each channel for each millisecond that it costs; costs of 0 count as the smallest one."""
    least = min((cost for cost in cost_ms.values() if cost > 0), default=1.0)
    return {name: score / max(cost_ms[name], least) for name, score in scores.items()}
