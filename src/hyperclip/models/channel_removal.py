"""Channels taken out of a model for good: smaller tensors, not zeros.

A removal is first written as cuts, which say for each tensor of the state what is kept along which axis.
The same cuts fit parameters, an optimizer's memory and a moving average. In a HyperCLIP the generated
parameters of a channel go too: its scale and shift leave the layout, and its rows the hypernetwork, so
that a pruned model is still specialized to new names.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hyperclip.errors import InputError
from hyperclip.models.channel_groups import ChannelGroup, find_groups
from hyperclip.models.conditioned_norm import ConditionedNorm
from hyperclip.models.hyperclip import HyperCLIP
from hyperclip.models.image_encoder import ImageEncoder

__all__ = ["Cuts", "apply_cuts", "cut_tensors", "cuts_of", "model_groups", "remove_channels", "shrink_to"]

Cuts = dict[str, dict[int, Tensor]]
"""Name of a tensor to axis to the positions that are kept, in rising order."""

_TRUNK = "image_encoder.trunk."
_LAST = "hypernetwork.out.weight"


def model_groups(model: nn.Module, *, size_px: int = 64) -> list[ChannelGroup]:
    """Find the removable channels of an image encoder or of the one in a HyperCLIP.

    Names of tensors are those of the whole model's state. The embedding, which the text side shares, and
    the three colors stay.
    """
    trunk, prefix = model, ""
    if isinstance(model, HyperCLIP):
        trunk, prefix = model.image_encoder.trunk, _TRUNK
    elif isinstance(model, ImageEncoder):
        trunk, prefix = model.trunk, "trunk."
    device = next(trunk.parameters()).device
    groups = find_groups(trunk, torch.zeros(1, 3, size_px, size_px, device=device))
    return [_with_prefix(group, prefix) for group in groups]


def _with_prefix(group: ChannelGroup, prefix: str) -> ChannelGroup:
    places = tuple(type(one)(prefix + one.tensor, one.axis, one.positions) for one in group.places)
    return ChannelGroup(
        prefix + group.name, group.n_channels, places, tuple(prefix + name for name in group.makers),
        tuple(prefix + name for name in group.norms),
    )  # fmt: skip


def cuts_of(groups: Iterable[ChannelGroup], kept: Mapping[str, Tensor]) -> Cuts:
    """Say what is kept of each tensor when some channels of some groups are kept.

    Parameters
    ----------
    groups : iterable of ChannelGroup
    kept : mapping of str to Tensor of shape (n_kept,), int64
        By the name of the group; groups that are not named keep all.

    Raises
    ------
    InputError
        If nothing of a group would be left.
    """
    cuts: Cuts = {}
    for group in groups:
        if group.name not in kept:
            continue
        channels = kept[group.name]
        if len(channels) == 0:
            raise InputError(
                f"All {group.n_channels} channels of {group.name} would be removed; expected at least one to "
                "stay; remove a smaller share."
            )
        for place in group.places:
            positions = place.positions[channels.cpu()].flatten().sort().values
            cuts.setdefault(place.tensor, {})[place.axis] = positions
    return cuts


def cut_tensors(state: Mapping[str, Tensor], cuts: Cuts) -> dict[str, Tensor]:
    """Return the tensors of a state with what the cuts leave of them; others are the same objects."""
    return {name: _cut(value, cuts[name]) if name in cuts else value for name, value in state.items()}


def _cut(value: Tensor, by_axis: Mapping[int, Tensor]) -> Tensor:
    is_last = value.dim() == 4 and value.is_contiguous(memory_format=torch.channels_last)
    for axis, positions in by_axis.items():
        value = value.index_select(axis, positions.to(value.device))
    return value.contiguous(memory_format=torch.channels_last) if is_last else value


def remove_channels(
    model: nn.Module,
    groups: Iterable[ChannelGroup],
    kept: Mapping[str, Tensor],
    *,
    optimizer: torch.optim.Optimizer | None = None,
) -> Cuts:
    """Keep only some channels of a model, in place.

    Parameters
    ----------
    model : torch.nn.Module
        That the groups were found in; after the removal, find them anew.
    groups, kept
        As in `cuts_of`.
    optimizer : torch.optim.Optimizer, optional
        Its momentum and the like are cut too.

    Returns
    -------
    Cuts
        What was kept, generated parameters and rows of the hypernetwork among it.
    """
    cuts = cuts_of(groups, kept)
    if isinstance(model, HyperCLIP) and model.hypernetwork is not None:
        cuts[_LAST] = {0: _kept_generated(model.image_encoder, cuts)}
    apply_cuts(model, cuts, optimizer=optimizer)
    return cuts


def _kept_generated(encoder: ImageEncoder, cuts: Cuts) -> Tensor:
    """Positions of the generated parameters that stay: the cuts applied to a tensor of positions."""
    state = encoder.state_dict()
    parts = []
    for name, size, offset in encoder.layout:
        layer, _, kind = name.rpartition(".")
        tensor = f"trunk.{layer}." + {"scale": "norm.weight", "shift": "norm.bias"}.get(kind, kind)
        positions = torch.arange(offset, offset + size).reshape(state[tensor].shape)
        parts.append(_cut(positions, cuts.get(f"image_encoder.{tensor}", {})).flatten())
    return torch.cat(parts)


@torch.no_grad()
def apply_cuts(model: nn.Module, cuts: Cuts, *, optimizer: torch.optim.Optimizer | None = None) -> None:
    """Make the tensors of a model smaller, in place; parameters stay the same objects."""
    parameters = dict(model.named_parameters())
    for name, by_axis in cuts.items():
        owner_name, _, leaf = name.rpartition(".")
        value = parameters.get(name)
        if value is None:
            owner = model.get_submodule(owner_name)
            owner.register_buffer(leaf, _cut(owner.get_buffer(leaf), by_axis))
            continue
        before = value.shape
        value.grad = None
        value.data = _cut(value.data, by_axis)
        memory: dict[str, Any] = optimizer.state.get(value, {}) if optimizer is not None else {}
        for key, item in memory.items():
            if isinstance(item, Tensor) and item.shape == before:
                memory[key] = _cut(item, by_axis)
    _refresh(model)


@torch.no_grad()
def shrink_to(model: nn.Module, state: Mapping[str, Tensor]) -> bool:
    """Give a dense model the shapes of a pruned one's state, in place; values are then to be loaded.

    Parameters
    ----------
    model : torch.nn.Module
    state : mapping of str to Tensor
        Of the same model after channels were removed.

    Returns
    -------
    bool
        Whether anything was cut.

    Raises
    ------
    InputError
        If a tensor of the state is larger than the model's, or has another number of axes.
    """
    cuts: Cuts = {}
    for name, own in model.state_dict().items():
        shape = tuple(state[name].shape) if name in state else tuple(own.shape)
        if shape == tuple(own.shape):
            continue
        if len(shape) != own.dim() or any(
            not 0 < new <= old for new, old in zip(shape, own.shape, strict=True)
        ):
            raise InputError(
                f"{name} has shape {shape}; expected {tuple(own.shape)} or less along each axis; load the "
                "weights of the same model, pruned or not."
            )
        cuts[name] = {axis: torch.arange(n) for axis, n in enumerate(shape) if n != own.shape[axis]}
    apply_cuts(model, cuts)
    return bool(cuts)


def _refresh(model: nn.Module) -> None:
    """Let the numbers that layers keep of their sizes follow their tensors."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            is_depthwise = module.groups == module.in_channels == module.out_channels > 1
            module.out_channels = module.weight.shape[0]
            if is_depthwise:
                module.groups = module.weight.shape[0]
            module.in_channels = module.weight.shape[1] * module.groups
        elif isinstance(module, nn.Linear):
            module.out_features, module.in_features = module.weight.shape
        elif isinstance(module, nn.modules.batchnorm._BatchNorm) and module.weight is not None:
            module.num_features = module.weight.numel()
        elif isinstance(module, nn.LayerNorm) and module.weight is not None:
            module.normalized_shape = tuple(module.weight.shape)
        elif isinstance(module, ConditionedNorm):
            module.n_channels = module.norm.weight.numel()
    for module in model.modules():
        if isinstance(module, ImageEncoder):
            module.refresh_layout()
    if isinstance(model, HyperCLIP) and model.hypernetwork is not None:
        encoder = model.image_encoder
        model.hypernetwork.n_weights = encoder.n_generated - encoder.n_norm_parameters
