"""The quick depthwise convolution gives the values and gradients of PyTorch's own."""

import copy

import pytest

pytest.importorskip("torch", reason="models need PyTorch: pip install 'hyperclip[train]'")

import torch
from torch import Tensor, nn

from hyperclip.models.depthwise import DepthwiseConv2d, use_quick_depthwise

pytestmark = pytest.mark.torch

N_CHANNELS = 8
# bfloat16 keeps 8 bits: one rounding is 2^-9 of a value; sums of up to 25 rounded products and the
# rounding of the result stay within four of them, relative to the largest value.
BFLOAT16_TOLERANCE = 4 * 2.0**-9


def make_convolution(kernel: int, stride: int, padding: int, *, quick: bool) -> nn.Conv2d:
    torch.manual_seed(0)
    conv = nn.Conv2d(
        N_CHANNELS, N_CHANNELS, kernel, stride=stride, padding=padding, groups=N_CHANNELS, bias=False
    )
    assert use_quick_depthwise(nn.ModuleList([conv])) == 1 if quick else True
    return conv


def run_in_bfloat16(conv: nn.Conv2d, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Output and the gradients of images and weight."""
    images = images.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = conv(images)
    out.backward(torch.randn(out.shape, generator=torch.Generator().manual_seed(5)).to(out.dtype))
    return out, images.grad, conv.weight.grad


def assert_close_in_bfloat16(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    error = (found.float() - expected.float()).abs().max() / expected.float().abs().max()
    assert error <= BFLOAT16_TOLERANCE


@pytest.mark.parametrize("size", [(8, 8), (9, 9), (7, 10), (12, 5)], ids=str)
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_values_and_gradients_equal_the_plain_convolution(
    stride: int, kernel: int, padding: int, size: tuple[int, int]
) -> None:
    images = torch.randn(2, N_CHANNELS, *size, generator=torch.Generator().manual_seed(1))

    plain = run_in_bfloat16(make_convolution(kernel, stride, padding, quick=False), images)
    quick = run_in_bfloat16(make_convolution(kernel, stride, padding, quick=True), images)

    for found, expected in zip(quick, plain, strict=True):
        assert found.dtype == expected.dtype
        assert_close_in_bfloat16(found, expected)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_gradients_agree_with_float32(stride: int, kernel: int) -> None:
    conv = make_convolution(kernel, stride, kernel // 2, quick=True)
    reference = make_convolution(kernel, stride, kernel // 2, quick=False)
    # Values that bfloat16 holds exactly, so that only sums are rounded.
    images = torch.randint(-8, 9, (2, N_CHANNELS, 9, 9), generator=torch.Generator().manual_seed(1)).float()
    with torch.no_grad():
        conv.weight.copy_(conv.weight.bfloat16())
        reference.weight.copy_(conv.weight)

    _, grad_images, grad_weight = run_in_bfloat16(conv, images)
    leaf = images.clone().requires_grad_()
    out = reference(leaf)
    out.backward(torch.randn(out.shape, generator=torch.Generator().manual_seed(5)).bfloat16().float())

    assert_close_in_bfloat16(grad_images, leaf.grad)
    assert_close_in_bfloat16(grad_weight, reference.weight.grad)


def test_float32_and_evaluation_run_the_plain_convolution_exactly() -> None:
    conv, plain = make_convolution(3, 2, 1, quick=True), make_convolution(3, 2, 1, quick=False)
    images = torch.randn(2, N_CHANNELS, 9, 9, generator=torch.Generator().manual_seed(1))

    assert torch.equal(conv(images), plain(images))
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        assert torch.equal(conv(images), plain(images))


def test_frozen_weight_or_input_gets_no_gradient() -> None:
    conv = make_convolution(3, 2, 1, quick=True)
    conv.weight.requires_grad_(False)
    images = torch.randn(2, N_CHANNELS, 8, 8, generator=torch.Generator().manual_seed(1), requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        conv(images).float().sum().backward()
    assert conv.weight.grad is None
    assert images.grad is not None

    conv.weight.requires_grad_(True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        conv(images.detach()).float().sum().backward()
    assert conv.weight.grad is not None


def test_only_plain_depthwise_convolutions_are_changed() -> None:
    left_alone = [
        nn.Conv2d(8, 8, 3),
        nn.Conv2d(8, 8, 3, groups=4),
        nn.Conv2d(8, 16, 3, groups=8),
        nn.Conv2d(8, 8, 3, groups=8),  # has a bias
        nn.Conv2d(8, 8, 3, groups=8, bias=False, dilation=2),
        nn.Conv2d(8, 8, 3, groups=8, bias=False, padding="same"),
        nn.Conv2d(8, 8, 3, groups=8, bias=False, padding=1, padding_mode="reflect"),
        nn.Conv2d(8, 8, (3, 5), groups=8, bias=False),
        nn.Conv2d(8, 8, 3, groups=8, bias=False, stride=(1, 2)),
        nn.Conv2d(1, 1, 3, bias=False),
    ]
    model = nn.ModuleList([*left_alone, nn.Conv2d(8, 8, 3, groups=8, bias=False)])

    assert use_quick_depthwise(model) == 1

    assert [type(module) for module in model] == [nn.Conv2d] * len(left_alone) + [DepthwiseConv2d]


def test_state_dict_is_that_of_the_plain_convolution() -> None:
    model = nn.Sequential(nn.Conv2d(8, 8, 3, groups=8, bias=False))
    plain = copy.deepcopy(model)
    use_quick_depthwise(model)

    assert list(model.state_dict()) == list(plain.state_dict())
    model.load_state_dict(plain.state_dict())
