"""Each image encoder that we name can be conditioned: neutral, one row an image, written in, trained."""

from collections.abc import Callable

import pytest

pytest.importorskip("torch", reason="models need PyTorch: pip install 'hyperclip[train]'")

import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperclip.models import HeadConfig, HyperCLIP, HyperCLIPConfig, HypernetworkConfig, ImageEncoderConfig

pytestmark = pytest.mark.torch

MakePlain = Callable[..., nn.Module]

ENCODERS = [
    "tf_efficientnet_lite0",
    "mobilenetv4_conv_small",
    "mobilenetv4_conv_small_050",
    "efficientnet_b0",
    "tinynet_e",
    "mobilenetv3_small_100",
    "edgenext_xx_small",
    "mobilevit_xxs",
    "fastvit_t8",
    "resnet18",
    "compact_20k",
    "compact_150k",
]
DIM, TEXT_DIM, SIZE_PX = 16, 8, 64
# Encoders run in float64, where rounding over a hundred layers stays far below this share of the largest
# value; random weights amplify it, so that float32 would need a tolerance that hides mistakes.
ROUNDING = 1e-9


def random_images(n_images: int = 3, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n_images, 3, SIZE_PX, SIZE_PX, generator=rng).double()


def unit_rows(n_rows: int, seed: int = 0) -> Tensor:
    return functional.normalize(
        torch.randn(n_rows, TEXT_DIM, generator=torch.Generator().manual_seed(seed)), dim=-1
    )


def random_delta(model: HyperCLIP, n_rows: int) -> Tensor:
    shape = (n_rows, model.image_encoder.n_generated)
    return 0.1 * torch.randn(shape, generator=torch.Generator().manual_seed(1)).double()


def assert_same(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= ROUNDING * expected.abs().max()


@pytest.fixture(scope="module", params=ENCODERS)
def model(request: pytest.FixtureRequest, look_trained: Callable[..., None]) -> HyperCLIP:
    """A model with trained-looking norms; the hypernetwork is untrained."""
    torch.manual_seed(0)
    config = HyperCLIPConfig(
        image_encoder=ImageEncoderConfig(name=request.param, embedding_dim=DIM),
        head=HeadConfig(text_dim=TEXT_DIM, dim=DIM),
        hypernetwork=HypernetworkConfig(text_dim=TEXT_DIM, hidden_dim=16, bottleneck_dim=4),
    )
    model = HyperCLIP(config)
    model.image_encoder.double()
    look_trained(model.image_encoder, random_images(8, seed=5))
    return model.eval()


def test_neutral_is_the_plain_encoder(model: HyperCLIP, plain_timm: MakePlain) -> None:
    with torch.no_grad():
        assert_same(model.image_encoder(random_images()), plain_timm(model.image_encoder)(random_images()))


def test_zero_changes_are_neutral_to_the_last_bit(model: HyperCLIP) -> None:
    zeros = torch.zeros(3, model.image_encoder.n_generated)
    with torch.no_grad():
        assert torch.equal(model.image_encoder(random_images(), zeros), model.image_encoder(random_images()))


def test_one_row_an_image_equals_plain_encoders_that_hold_the_rows(
    model: HyperCLIP, plain_timm: MakePlain
) -> None:
    images, delta = random_images(), random_delta(model, 2)
    with torch.no_grad():
        mixed = model.image_encoder(images, delta, torch.tensor([1, 0, 1]))
        final = model.image_encoder.final_parameters(delta)
        a, b = (plain_timm(model.image_encoder, row)(images) for row in final)

    assert_same(mixed, torch.stack([b[0], a[1], b[2]]))
    assert (a - b).abs().max() > 1e-3 * a.abs().max()  # the two contexts do differ


def test_first_step_reaches_the_last_layer_of_the_hypernetwork_alone(model: HyperCLIP) -> None:
    hypernetwork = model.hypernetwork
    assert hypernetwork is not None
    model.zero_grad()

    model(random_images(), unit_rows(4)).square().mean().backward()

    for name, parameter in hypernetwork.named_parameters():
        assert bool((parameter.grad != 0).any()) == (name == "out.weight"), name
    assert all(p.grad is not None for p in model.image_encoder.parameters())
