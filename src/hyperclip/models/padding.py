"""TensorFlow's SAME padding as a constant, so that training and the exported graph do the same.

timm computes the padding of its ``tf_*`` models at run time, which exports as dozens of shape
operators. At every even input size a strided convolution needs the same padding, so it can be
written down once: for image sizes that are multiples of 32, all five strides of a usual encoder see
even sizes.
"""

from timm.layers import Conv2dSame
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["ConstantSamePad", "make_padding_constant"]


class ConstantSamePad(nn.Module):
    """Zero padding of the last two axes: `before` pixels at the top and left, `after` at the others."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.before, self.after = before, after

    def forward(self, images: Tensor) -> Tensor:
        """Pad a (B, F, H, W) tensor."""
        return functional.pad(images, (self.before, self.after, self.before, self.after))


def make_padding_constant(model: nn.Module) -> int:
    """Give every SAME convolution of a timm model the padding that it needs at even sizes, in place.

    Parameters
    ----------
    model : torch.nn.Module
        A convolution `conv` becomes a sequence of padding and convolution, so its weight is then
        called `conv.1.weight`.

    Returns
    -------
    int
        Number of convolutions that were changed.
    """
    same = [(name, module) for name, module in model.named_modules() if isinstance(module, Conv2dSame)]
    for name, module in same:
        extent = (module.kernel_size[0] - 1) * module.dilation[0] + 1
        total = max(extent - module.stride[0], 0)
        pad = ConstantSamePad(total // 2, total - total // 2)
        module.__class__ = nn.Conv2d
        module.padding = (0, 0)
        _replace(model, name, nn.Sequential(pad, module))
    return len(same)


def _replace(model: nn.Module, name: str, new: nn.Module) -> None:
    parent_name, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent_name), child, new)
