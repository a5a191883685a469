"""Pointwise convolutions whose weights can be generated, one matrix a context.

A conditioned convolution computes with ``W + d / sqrt(C)``, where d is what a context generates: a
change of unit size is as large as the weights were when training began, in every layer. With no
context, or with zeros, it is the plain convolution: neutral is always valid.

The last layer of a hypernetwork is linear in its code g of Z values, so that the weights of a task are
``W + sum_z g_z D_z``: Z basis weights, learnt for all tasks, mixed by the text. (As the change is
bounded by ``b tanh(d / b)``, this holds for changes well below the bound.)

Unlike scales and shifts, these are too many to be copied for each picture. The pictures of one context
lie together in the batch, and one matrix product a context does the work.

Legend: B images in a batch, C O channels in and out, H W pixels, N = B H W, R contexts, Z basis weights.
"""

from typing import Any

import torch
from torch import Tensor, nn

from hyperclip.models.conditioned_norm import ContextSlot

__all__ = ["ConditionedPointwise", "condition_pointwise"]


class ConditionedPointwise(nn.Conv2d):
    """A 1 x 1 `torch.nn.Conv2d` with weights that a context can change.

    `condition_pointwise` turns a plain one into it, so it has no constructor of its own.

    Attributes
    ----------
    slot : ContextSlot
        Where the generated changes of the running forward pass lie.
    offset : int
        Place of this layer's O * C values in the layout.
    unit : float
        What a generated change is multiplied by: the weights' deviation at the start, 1 / sqrt(C). It
        stays when input channels are removed, so that the others' weights stay.
    """

    slot: ContextSlot
    offset: int
    unit: float

    def forward(self, input: Tensor) -> Tensor:
        """Convolve a (B, C, H, W) tensor whose pictures lie context by context."""
        delta = self.slot.weight_deltas.get(self.offset)
        if delta is None:
            return super().forward(input)
        delta_ROC = delta.view(len(delta), self.out_channels, self.in_channels)
        weight_ROC = self.weight.flatten(1) + self.unit * delta_ROC
        used = [row for row, n_images in enumerate(self.slot.n_images) if n_images]
        if len(used) == 1:
            weight = weight_ROC[used[0]].view_as(self.weight)
            plain: Tensor = self._conv_forward(input, weight, self.bias)
            return plain
        return self._convolve_by_context(input, weight_ROC)

    def _convolve_by_context(self, input: Tensor, weight_ROC: Tensor) -> Tensor:
        (step_h, step_w), device = self.stride, input.device.type
        x_BHWC = input[:, :, ::step_h, ::step_w].permute(0, 2, 3, 1)
        n_images, height, width, _ = x_BHWC.shape
        if torch.is_autocast_enabled(device):
            half = torch.get_autocast_dtype(device)
            x_BHWC, weight_ROC = x_BHWC.to(half), weight_ROC.to(half)
        n_values = n_images * height * width // sum(self.slot.n_images)  # also where patches join the batch
        sizes = [n * n_values for n in self.slot.n_images]
        out_NO: Tensor = _MatrixByContext.apply(x_BHWC.reshape(-1, self.in_channels), weight_ROC, sizes)
        if self.bias is not None:
            out_NO = out_NO + self.bias.to(out_NO.dtype)
        return out_NO.view(n_images, height, width, self.out_channels).permute(0, 3, 1, 2)


class _MatrixByContext(torch.autograd.Function):
    """Rows (N, C) times the matrix of their context, without copies of the parts."""

    @staticmethod
    def forward(ctx: Any, x_NC: Tensor, weight_ROC: Tensor, sizes: list[int]) -> Tensor:
        ctx.save_for_backward(x_NC, weight_ROC)
        ctx.sizes = sizes
        out_NO = x_NC.new_empty(len(x_NC), weight_ROC.shape[1])
        for x, weight, out in zip(
            torch.split(x_NC, sizes), weight_ROC, torch.split(out_NO, sizes), strict=True
        ):
            if len(x):
                torch.mm(x, weight.T, out=out)
        return out_NO

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        grad_NO = grads[0].contiguous()
        x_NC, weight_ROC = ctx.saved_tensors
        grad_x = torch.empty_like(x_NC) if ctx.needs_input_grad[0] else None
        grad_weight = torch.zeros_like(weight_ROC) if ctx.needs_input_grad[1] else None
        start = 0
        for row, n in enumerate(ctx.sizes):
            part = slice(start, start + n)
            start += n
            if n and grad_x is not None:
                torch.mm(grad_NO[part], weight_ROC[row], out=grad_x[part])
            if n and grad_weight is not None:
                torch.mm(grad_NO[part].T, x_NC[part], out=grad_weight[row])
        return grad_x, grad_weight, None


def condition_pointwise(model: nn.Module, slot: ContextSlot, offset: int) -> list[tuple[str, int, int]]:
    """Let the weights of every 1 x 1 convolution of a model be generated, in place.

    Parameters
    ----------
    model : torch.nn.Module
        An image encoder; weights, names and outputs stay as they are.
    slot : ContextSlot
        That of the model's conditioned norms.
    offset : int
        Place of the first value in the layout.

    Returns
    -------
    list of (name, size, offset)
        Generated parameters in order; a convolution called ``conv1`` has ``conv1.weight``.
    """
    layout = []
    for name, module in model.named_modules():
        if type(module) is nn.Conv2d and _is_pointwise(module):
            module.__class__ = ConditionedPointwise
            module.slot, module.offset = slot, offset  # type: ignore[assignment]
            module.unit = float(module.in_channels**-0.5)  # type: ignore[assignment]
            layout.append((f"{name}.weight", module.weight.numel(), offset))
            offset += module.weight.numel()
    return layout


def _is_pointwise(conv: nn.Conv2d) -> bool:
    return conv.kernel_size == (1, 1) and conv.groups == 1 and conv.padding in ((0, 0), "valid", "same")
