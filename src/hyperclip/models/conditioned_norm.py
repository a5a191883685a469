"""Normalization whose scale and shift can be generated, one row of them an image.

A conditioned norm computes ``(1 + d_scale) * norm(x) + (d_shift - d_scale * shift)``, which equals
``scale * (1 + d_scale) * x_hat + (shift + d_shift)``: a relative change of the learnt scale and an
added change of the learnt shift. With no context, or with zeros, it is the plain norm: neutral is
always valid.

Legend: B images in a batch, F channels, H W pixels, P generated parameters, R context rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from timm.layers import LayerNorm2d, LayerNormAct2d
from timm.layers.norm import LayerNorm2dFp32, LayerNormExp2d
from timm.layers.norm_act import LayerNormAct2dFp32
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["AffineNorm", "ConditionedNorm", "ContextSlot", "condition_norms"]

_CHANNELS_FIRST = (LayerNorm2d, LayerNorm2dFp32, LayerNormExp2d, LayerNormAct2d, LayerNormAct2dFp32)

AffineNorm = nn.modules.batchnorm._BatchNorm | nn.GroupNorm | nn.LayerNorm


class ContextSlot:
    """Holds the generated parameters of one forward pass, shared by all layers of an encoder.

    Attributes
    ----------
    delta_BP : Tensor of shape (B, P) or None
        For norms, one row an image.
    weight_deltas : mapping of int to Tensor of shape (R, O * C)
        For convolutions, one row a context, by their place in the layout.
    n_images : sequence of R ints
        How many images each context has; with `weight_deltas`, images lie context by context.
    """

    def __init__(self) -> None:
        self.delta_BP: Tensor | None = None
        self.weight_deltas: Mapping[int, Tensor] = {}
        self.n_images: Sequence[int] = ()

    @contextmanager
    def filled(
        self,
        delta_BP: Tensor | None,
        weight_deltas: Mapping[int, Tensor] | None = None,
        n_images: Sequence[int] = (),
    ) -> Iterator[None]:
        """Make generated parameters visible to the layers, for the length of the block."""
        before = self.delta_BP, self.weight_deltas, self.n_images
        self.delta_BP, self.weight_deltas, self.n_images = delta_BP, weight_deltas or {}, n_images
        try:
            yield
        finally:
            self.delta_BP, self.weight_deltas, self.n_images = before


class ConditionedNorm(nn.Module):
    """A BatchNorm, LayerNorm or GroupNorm with an affine part that a context can change.

    Parameters
    ----------
    norm : BatchNorm, GroupNorm or LayerNorm with scale and shift
        The norm that is wrapped; it keeps its parameters, statistics, and its dropout and activation
        if it is one of timm's norm-and-activation layers.
    slot : ContextSlot
        Where the generated parameters of the running forward pass lie.
    offset : int
        Place of this norm's part: scale in ``[offset, offset + F)``, shift in the next F.
    """

    norm: AffineNorm

    def __init__(self, norm: AffineNorm, slot: ContextSlot, offset: int) -> None:
        super().__init__()
        self.norm = norm
        self.slot = slot
        self.offset = offset
        self.n_channels = int(norm.weight.numel())
        self.are_statistics_frozen = False
        drop, act = getattr(norm, "drop", None), getattr(norm, "act", None)
        self.drop = drop if isinstance(drop, nn.Module) else nn.Identity()
        self.act = act if isinstance(act, nn.Module) else nn.Identity()
        self.channels_last = isinstance(norm, nn.LayerNorm) and not isinstance(norm, _CHANNELS_FIRST)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize `x`: (B, F, H, W), or (..., F) for a LayerNorm over the last axis."""
        out = self._normalize(x)
        if self.slot.delta_BP is not None:
            out = self._modulate(out, self.slot.delta_BP)
        activated: Tensor = self.act(self.drop(out))
        return activated

    def _normalize(self, x: Tensor) -> Tensor:
        norm = self.norm
        if isinstance(norm, nn.modules.batchnorm._BatchNorm):
            return self._batch_normalize(norm, x)
        if isinstance(norm, nn.GroupNorm):
            return functional.group_norm(x, norm.num_groups, norm.weight, norm.bias, norm.eps)
        shape = list(norm.normalized_shape)
        if self.channels_last:
            return functional.layer_norm(x, shape, norm.weight, norm.bias, norm.eps)
        moved = functional.layer_norm(x.permute(0, 2, 3, 1), shape, norm.weight, norm.bias, norm.eps)
        return moved.permute(0, 3, 1, 2)

    def _batch_normalize(self, norm: nn.modules.batchnorm._BatchNorm, x: Tensor) -> Tensor:
        has_statistics = norm.running_mean is not None
        uses_batch = not has_statistics or (self.training and not self.are_statistics_frozen)
        momentum = norm.momentum
        if uses_batch and norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)
            if momentum is None:  # PyTorch's word for a plain average over all batches
                momentum = 1.0 / int(norm.num_batches_tracked)
        return functional.batch_norm(
            x, norm.running_mean, norm.running_var, norm.weight, norm.bias,
            uses_batch, momentum or 0.0, norm.eps,
        )  # fmt: skip

    def _modulate(self, out: Tensor, delta_BP: Tensor) -> Tensor:
        d_scale = delta_BP[:, self.offset : self.offset + self.n_channels]
        d_shift = delta_BP[:, self.offset + self.n_channels : self.offset + 2 * self.n_channels]
        d_shift = d_shift - d_scale * self.norm.bias
        if len(out) != len(delta_BP):  # MobileViT cuts each image into patches that join the batch axis
            d_scale = d_scale.repeat_interleave(len(out) // len(delta_BP), dim=0)
            d_shift = d_shift.repeat_interleave(len(out) // len(delta_BP), dim=0)
        if self.channels_last:
            shape = (len(out), *(1,) * (out.dim() - 2), self.n_channels)
        else:
            shape = (len(out), self.n_channels, *(1,) * (out.dim() - 2))
        d_scale, d_shift = d_scale.reshape(shape).to(out.dtype), d_shift.reshape(shape).to(out.dtype)
        return torch.addcmul(out + d_shift, out, d_scale)

    def extra_repr(self) -> str:
        """Name the size and the place of the generated part."""
        return f"n_channels={self.n_channels}, offset={self.offset}"


def condition_norms(model: nn.Module) -> tuple[ContextSlot, list[tuple[str, int, int]]]:
    """Wrap every norm of a model that has one scale and one shift a channel, in place.

    Parameters
    ----------
    model : torch.nn.Module
        An image encoder.

    Returns
    -------
    slot : ContextSlot
        Fill it for the length of a forward pass to condition the encoder.
    layout : list of (name, size, offset)
        Generated parameters in order; a norm called ``bn1`` has ``bn1.scale`` and ``bn1.shift``.
    """
    slot = ContextSlot()
    layout: list[tuple[str, int, int]] = []
    offset = 0
    found = [(name, module) for name, module in model.named_modules() if isinstance(module, AffineNorm)]
    for name, module in found:
        if module.weight is None or module.bias is None or module.weight.dim() != 1:
            continue
        wrapped = ConditionedNorm(module, slot, offset)
        parent_name, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent_name), child, wrapped)
        layout.append((f"{name}.scale", wrapped.n_channels, offset))
        layout.append((f"{name}.shift", wrapped.n_channels, offset + wrapped.n_channels))
        offset += 2 * wrapped.n_channels
    return slot, layout
