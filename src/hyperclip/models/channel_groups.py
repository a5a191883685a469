"""Which tensors share a channel, so that a channel can be taken out of all of them at once.

A channel is made by the rows of one or more layers (a residual sum couples several), carried by norms and
depthwise convolutions, and read by the input columns of others. torch-pruning finds these groups from
the autograd graph; what is done with them is in `hyperclip.models.channel_removal`.

References
----------
Fang et al., "DepGraph: Towards Any Structural Pruning", arXiv 2301.12900.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hyperclip.errors import InputError
from hyperclip.models.conditioned_norm import ConditionedNorm

__all__ = ["ChannelGroup", "ChannelPlace", "ChannelScale", "find_groups"]


class ChannelScale(nn.Module):
    """Multiply each channel of a (B, F, H, W) tensor by a number, or add one to it.

    Parameters
    ----------
    values : Tensor of shape (F,)
    adds : bool
        Add instead of multiply.
    """

    def __init__(self, values: Tensor, *, adds: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(values)
        self.adds = adds

    def forward(self, x: Tensor) -> Tensor:
        """Scale or shift."""
        values = self.weight.reshape(1, -1, *(1,) * (x.dim() - 2))
        return x + values if self.adds else x * values


@dataclass(frozen=True)
class ChannelPlace:
    """Where the channels of a group lie in one tensor of a model's state."""

    tensor: str
    """Name in the state, such as ``blocks.0.conv.weight``."""
    axis: int
    positions: Tensor
    """Of shape (n_channels, k), int64: the k places of each channel along the axis."""


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that can only go together, wherever they lie."""

    name: str
    """Of the first layer that makes them."""
    n_channels: int
    places: tuple[ChannelPlace, ...]
    makers: tuple[str, ...]
    """Weights whose rows are the channels: convolutions, depthwise ones too, and linear layers."""
    norms: tuple[str, ...]
    """Scales of norms over the channels; the shift ends in ``bias`` instead of ``weight``."""


def find_groups(model: nn.Module, example: Tensor) -> list[ChannelGroup]:
    """Find the groups of channels that can be removed without changing inputs or outputs of a model.

    Parameters
    ----------
    model : torch.nn.Module
        Left as it is.
    example : Tensor
        An input that it takes.

    Returns
    -------
    list of ChannelGroup
        In the order in which the model computes. Left out are channels of the output, and those that
        reach a layer whose columns are not understood (grouped convolutions, GroupNorm, bare parameters).

    Raises
    ------
    InputError
        If torch-pruning cannot follow the model.
    """
    import torch_pruning

    traced = copy.deepcopy(model).float().eval().requires_grad_(True)
    graph = torch_pruning.DependencyGraph()
    carried = _Carried()
    ours = {type(one): carried for one in traced.modules() if isinstance(one, ConditionedNorm | ChannelScale)}
    try:
        with torch.enable_grad():
            graph.build_dependency(
                traced,
                example_inputs=example.float(),
                customized_pruners=ours,  # by exact class
                verbose=False,
            )
        found = list(graph.get_all_groups())
    except (RuntimeError, ValueError, AttributeError, KeyError) as error:
        raise InputError(
            f"The channels of this encoder cannot be followed ({type(error).__name__}: {error}); expected a "
            "convolutional encoder; choose another encoder or a method that keeps channels."
        ) from error
    names = {module: name for name, module in traced.named_modules()}
    order = {name: place for place, name in enumerate(names.values())}
    groups = [group for one in found if (group := _group(one, names, graph.is_out_channel_pruning_fn))]
    return sorted(groups, key=lambda group: order[group.name])


def _group(found: Any, names: dict[nn.Module, str], is_output: Callable[[Any], bool]) -> ChannelGroup | None:
    """Translate a group of torch-pruning; None where it cannot be removed."""
    n_channels = len(found[0].idxs)
    places: dict[tuple[str, int], ChannelPlace] = {}
    makers: list[str] = []
    norms: list[str] = []
    is_read = False
    for item in found:
        module = item.dep.target.module
        if module not in names:  # an operation without weights, or a bare parameter
            if isinstance(module, nn.Parameter):
                return None
            continue
        positions = _positions(item.idxs, item.root_idxs, n_channels)
        tensors = _tensors(module, is_output=is_output(item.dep.handler))
        if positions is None or tensors is None:
            return None
        name = names[module]
        for tensor, axis in tensors:
            places[f"{name}.{tensor}", axis] = ChannelPlace(f"{name}.{tensor}", axis, positions)
        if isinstance(module, nn.Conv2d | nn.Linear):
            if tensors[0][1] == 1:
                is_read = True
            elif f"{name}.weight" not in makers:
                makers.append(f"{name}.weight")
        elif not isinstance(module, ChannelScale):
            norms.append(f"{name}.norm.weight" if isinstance(module, ConditionedNorm) else f"{name}.weight")
    if not is_read or not makers:
        return None
    return ChannelGroup(
        names[found[0].dep.target.module], n_channels, tuple(places.values()), tuple(makers),
        tuple(dict.fromkeys(norms)),
    )  # fmt: skip


def _positions(idxs: list[int], roots: list[int], n_channels: int) -> Tensor | None:
    """The places of each channel, shape (n_channels, k); None where they are not equally many."""
    if len(idxs) % n_channels:
        return None
    by_channel: list[list[int]] = [[] for _ in range(n_channels)]
    for place, root in zip(idxs, roots, strict=True):
        by_channel[root].append(place)
    n_each = len(idxs) // n_channels
    if any(len(one) != n_each for one in by_channel):
        return None
    return torch.tensor([sorted(one) for one in by_channel], dtype=torch.int64)


def _tensors(module: nn.Module, *, is_output: bool) -> list[tuple[str, int]] | None:
    """Tensors of a layer that hold the channels, with the axis; None where it is not understood."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        groups = module.groups if isinstance(module, nn.Conv2d) else 1
        is_depthwise = groups > 1 and isinstance(module, nn.Conv2d) and _is_depthwise(module)
        if groups > 1 and not is_depthwise:
            return None
        if not is_output and not is_depthwise:
            return [("weight", 1)]
        return [("weight", 0), *([("bias", 0)] if module.bias is not None else [])]
    if isinstance(module, ChannelScale):
        return [("weight", 0)]
    prefix, norm = ("norm.", module.norm) if isinstance(module, ConditionedNorm) else ("", module)
    if isinstance(norm, nn.modules.batchnorm._BatchNorm) or (
        isinstance(norm, nn.LayerNorm) and len(norm.normalized_shape) == 1
    ):
        return [(f"{prefix}{name}", 0) for name in _vectors(norm)]
    return None


def _vectors(norm: nn.Module) -> Iterator[str]:
    """Names of the tensors of a norm that hold a number a channel."""
    for name in ("weight", "bias", "running_mean", "running_var"):
        if getattr(norm, name, None) is not None:
            yield name


def _is_depthwise(conv: nn.Conv2d) -> bool:
    return conv.groups == conv.in_channels == conv.out_channels


class _Carried:
    """Tells torch-pruning how many channels go through a module of ours; removal is not left to it."""

    def prune_out_channels(self, layer: nn.Module, idxs: list[int]) -> nn.Module:
        """Only named: what is removed is removed by `hyperclip.models.channel_removal`."""
        raise NotImplementedError

    prune_in_channels = prune_out_channels

    def get_out_channels(self, layer: nn.Module) -> int:
        """Number of channels."""
        if isinstance(layer, ConditionedNorm):
            return layer.n_channels
        assert isinstance(layer, ChannelScale)
        return layer.weight.numel()

    get_in_channels = get_out_channels

    def get_in_channel_groups(self, layer: nn.Module) -> int:
        """Channels are independent."""
        return 1

    get_out_channel_groups = get_in_channel_groups
