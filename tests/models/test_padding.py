"""Constant SAME padding computes what timm computes at run time, at all sizes that we train on."""

import pytest

pytest.importorskip("torch", reason="models need PyTorch: pip install 'hyperclip[train]'")

import timm
import torch
from timm.layers import Conv2dSame
from torch import nn

from hyperclip.models.padding import ConstantSamePad, make_padding_constant

pytestmark = pytest.mark.torch

SIZES_PX = range(96, 225, 32)


def random_image(size: int, n_channels: int = 3) -> torch.Tensor:
    return torch.randn(1, n_channels, size, size, generator=torch.Generator().manual_seed(size))


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
def test_one_convolution_equals_run_time_padding_at_even_sizes(
    kernel: int, stride: int, dilation: int
) -> None:
    torch.manual_seed(0)
    conv = Conv2dSame(3, 4, kernel, stride=stride, dilation=dilation)
    expected = [conv(random_image(size)) for size in (8, 14, 32)]

    model = nn.Sequential(conv)
    assert make_padding_constant(model) == 1

    for size, wanted in zip((8, 14, 32), expected, strict=True):
        assert torch.equal(model(random_image(size)), wanted)
    assert not any(isinstance(module, Conv2dSame) for module in model.modules())


@pytest.mark.parametrize("size", [7, 13])
def test_unstrided_convolution_equals_run_time_padding_at_odd_sizes_too(size: int) -> None:
    torch.manual_seed(0)
    conv = Conv2dSame(3, 4, 5)
    expected = conv(random_image(size))
    model = nn.Sequential(conv)
    make_padding_constant(model)

    assert torch.equal(model(random_image(size)), expected)


def test_whole_encoder_equals_timm_at_every_size() -> None:
    torch.manual_seed(0)
    model = timm.create_model("tf_efficientnet_lite0", num_classes=8).eval()
    with torch.inference_mode():
        expected = {size: model(random_image(size)) for size in SIZES_PX}
        n_same = sum(isinstance(module, Conv2dSame) for module in model.modules())

        n_changed = make_padding_constant(model)

        assert n_changed == n_same > 0
        for size, wanted in expected.items():
            torch.testing.assert_close(model(random_image(size)), wanted, atol=1e-6, rtol=1e-5)


def test_padding_goes_to_the_end_where_it_is_uneven() -> None:
    padded = ConstantSamePad(0, 1)(torch.ones(1, 1, 2, 2))

    assert padded[0, 0].tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]


def test_weights_and_their_order_stay() -> None:
    model = nn.Sequential(Conv2dSame(3, 4, 3, stride=2, bias=True), nn.BatchNorm2d(4))
    before = {name: value.clone() for name, value in model.state_dict().items()}

    make_padding_constant(model)

    after = model.state_dict()
    assert list(after) == [name.replace("0.", "0.1.", 1) if name[0] == "0" else name for name in before]
    assert all(torch.equal(a, b) for a, b in zip(after.values(), before.values(), strict=True))
