"""Depthwise convolution with a backward pass that is quick in bfloat16 on a CPU.

Two of oneDNN's kernels are far slower in bfloat16 than in float32: the gradient of a strided
depthwise convolution with respect to its input (30 to 50 ms against 200 ms), and that with respect to
5 x 5 weights (25 ms against 80 ms). The forward pass in bfloat16 is three times as quick, so the
forward pass is kept and these two gradients are computed another way. In float32, on a GPU and for
every other convolution PyTorch's own kernels run.

Legend: B images in a batch, F channels, H W pixels, K kernel size.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["DepthwiseConv2d", "use_quick_depthwise"]


class _QuickDepthwise(torch.autograd.Function):
    """Depthwise convolution without padding or dilation, stride s in both directions."""

    @staticmethod
    def forward(ctx: Any, images_BFHW: Tensor, weight_F1KK: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(images_BFHW, weight_F1KK)
        ctx.stride = stride
        return functional.conv2d(images_BFHW, weight_F1KK, stride=stride, groups=images_BFHW.shape[1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (grad_out,) = grads
        images, weight = ctx.saved_tensors
        stride, kernel = ctx.stride, weight.shape[-1]
        grad_images = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_images = _input_gradient(grad_out, weight, images.shape, stride)
        if ctx.needs_input_grad[1]:
            as_float = kernel > 3
            args = [t.float() if as_float else t for t in (grad_out, images, weight)]
            wanted = [False, True, False]
            grad_weight = torch.ops.aten.convolution_backward(
                *args, None, [stride] * 2, [0, 0], [1, 1], False, [0, 0], images.shape[1], wanted
            )[1].to(weight.dtype)
        return grad_images, grad_weight, None


def _input_gradient(grad_out: Tensor, weight: Tensor, shape: torch.Size, stride: int) -> Tensor:
    """The transposed convolution, as a plain one over the gradient with zeros between its pixels."""
    kernel = weight.shape[-1]
    spread = grad_out
    if stride > 1:
        n_images, n_channels, height, width = grad_out.shape
        spread = torch.zeros(
            (n_images, n_channels, (height - 1) * stride + 1, (width - 1) * stride + 1),
            dtype=grad_out.dtype,
            device=grad_out.device,
        ).to(memory_format=torch.channels_last)
        spread[:, :, ::stride, ::stride] = grad_out
    grad = functional.conv2d(spread, weight.flip(2, 3), padding=kernel - 1, groups=weight.shape[0])
    rest_h, rest_w = shape[2] - grad.shape[2], shape[3] - grad.shape[3]
    return functional.pad(grad, (0, rest_w, 0, rest_h)) if rest_h or rest_w else grad


class DepthwiseConv2d(nn.Conv2d):
    """`torch.nn.Conv2d` with one filter a channel and the quick backward pass described above."""

    def forward(self, input: Tensor) -> Tensor:
        """Convolve a (B, F, H, W) tensor; the same values as `torch.nn.Conv2d`."""
        is_bfloat16 = torch.is_autocast_enabled(input.device.type) and (
            torch.get_autocast_dtype(input.device.type) == torch.bfloat16
        )
        if not (is_bfloat16 and torch.is_grad_enabled() and input.device.type == "cpu"):
            return super().forward(input)
        pad_h, pad_w = (int(p) for p in self.padding)
        padded = functional.pad(input, (pad_w, pad_w, pad_h, pad_h)) if pad_h or pad_w else input
        out: Tensor = _QuickDepthwise.apply(padded.bfloat16(), self.weight.bfloat16(), int(self.stride[0]))
        return out


def use_quick_depthwise(model: nn.Module) -> int:
    """Let every plain depthwise convolution of a model use the quick backward pass, in place.

    Parameters
    ----------
    model : torch.nn.Module
        Weights, names and outputs stay as they are.

    Returns
    -------
    int
        Number of convolutions that were changed.
    """
    n_changed = 0
    for module in model.modules():
        if (
            type(module) is nn.Conv2d
            and module.groups == module.in_channels == module.out_channels > 1
            and module.bias is None
            and module.dilation == (1, 1)
            and module.stride[0] == module.stride[1]
            and module.kernel_size[0] == module.kernel_size[1]
            and not isinstance(module.padding, str)
            and module.padding_mode == "zeros"
        ):
            module.__class__ = DepthwiseConv2d
            n_changed += 1
    return n_changed
