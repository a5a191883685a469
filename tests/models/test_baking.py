"""What a context generates can be written into a plain encoder, which then costs what it cost before."""

from collections.abc import Callable

import pytest

pytest.importorskip("torch", reason="models need PyTorch: pip install 'hyperclip[train]'")

import timm
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from hyperclip.models import ImageEncoder, ImageEncoderConfig

pytestmark = pytest.mark.torch

MakePlain = Callable[..., nn.Module]
DIM, SIZE_PX = 16, 64
ROUNDING = 1e-9  # of float64, relative to the largest value of the embedding


class CountOperators(TorchDispatchMode):
    """Lists the operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(
        self, func: object, types: object, args: tuple = (), kwargs: dict | None = None
    ) -> object:
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


def random_images(n_images: int = 2, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n_images, 3, SIZE_PX, SIZE_PX, generator=rng).double()


def make_encoder(name: str, look_trained: Callable[..., None]) -> ImageEncoder:
    torch.manual_seed(0)
    encoder = ImageEncoder(ImageEncoderConfig(name=name, embedding_dim=DIM)).double()
    look_trained(encoder, random_images(8, seed=5))
    return encoder


def random_delta(encoder: ImageEncoder) -> Tensor:
    rng = torch.Generator().manual_seed(1)
    return 0.2 * torch.randn(1, encoder.n_generated, generator=rng).double()


def assert_same(found: Tensor, expected: Tensor) -> None:
    assert (found - expected).abs().max() <= ROUNDING * expected.abs().max()


def convolutions_before_norms(plain: nn.Module) -> dict[str, str]:
    """Norm -> the convolution whose output it gets, found by watching one forward pass."""
    made_by: dict[int, tuple[Tensor, str]] = {}
    pairs: dict[str, str] = {}

    def note_output(name: str) -> Callable[..., None]:
        return lambda module, args, out: made_by.update({id(out): (out, name)})

    def note_input(name: str) -> Callable[..., None]:
        return lambda module, args: pairs.update(
            {name: made_by[id(args[0])][1]} if id(args[0]) in made_by else {}
        )

    handles = [
        module.register_forward_hook(note_output(name))
        if isinstance(module, nn.Conv2d)
        else module.register_forward_pre_hook(note_input(name))
        for name, module in plain.named_modules()
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    ]
    plain(random_images())
    for handle in handles:
        handle.remove()
    return pairs


def fold(plain: nn.Module) -> nn.Module:
    """Put each BatchNorm into the convolution before it, as an exporter does."""
    for norm_name, conv_name in convolutions_before_norms(plain).items():
        conv, norm = plain.get_submodule(conv_name), plain.get_submodule(norm_name)
        weight, bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
        conv.weight, conv.bias = weight, bias
        parent, _, child = norm_name.rpartition(".")
        setattr(plain.get_submodule(parent), child, getattr(norm, "act", nn.Identity()))
    return plain


@pytest.mark.parametrize(
    "name",
    ["mobilenetv4_conv_small_050", "edgenext_xx_small", "test_efficientnet_gn", "test_efficientnet_ln"],
)
def test_plain_encoder_with_the_final_parameters_equals_the_functional_path(
    name: str, look_trained: Callable[..., None], plain_timm: MakePlain
) -> None:
    encoder = make_encoder(name, look_trained)
    delta, images = random_delta(encoder), random_images()

    with torch.no_grad():
        baked = plain_timm(encoder, encoder.final_parameters(delta)[0])

        assert_same(encoder(images, delta), baked(images))
        assert (baked(images) - encoder(images)).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["mobilenetv4_conv_small_050", "tf_efficientnet_lite0", "resnet18"])
@torch.no_grad()
def test_folded_encoder_equals_the_functional_path_and_has_no_norm_left(
    name: str, look_trained: Callable[..., None], plain_timm: MakePlain
) -> None:
    encoder = make_encoder(name, look_trained)
    delta, images = random_delta(encoder), random_images()

    folded = fold(plain_timm(encoder, encoder.final_parameters(delta)[0]))

    assert_same(folded(images), encoder(images, delta))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())


@torch.no_grad()
def test_baked_encoder_costs_what_the_plain_one_costs(
    look_trained: Callable[..., None], plain_timm: MakePlain
) -> None:
    encoder = make_encoder("mobilenetv4_conv_small_050", look_trained)
    baked = plain_timm(encoder, encoder.final_parameters(random_delta(encoder))[0])
    plain = timm.create_model("mobilenetv4_conv_small_050", num_classes=DIM).double().eval()
    costs = []

    for model in (baked, plain, fold(baked), fold(plain)):
        with FlopCounterMode(display=False) as flops, CountOperators() as operators:
            model(random_images())
        n_weights = sum(parameter.numel() for parameter in model.parameters())
        costs.append((n_weights, flops.get_total_flops(), operators.names))

    assert costs[0] == costs[1]
    assert costs[2] == costs[3]
    assert costs[0][1] > 0
    assert not any("batch_norm" in name for name in costs[2][2])


@pytest.mark.parametrize(
    ("name", "n_generated", "n_weights"),
    [
        ("efficientnet_b0", 42_016, 4_007_548),
        ("efficientnet_b1", 62_048, 6_513_184),
        ("efficientnet_b2", 67_568, 7_700_994),
    ],
)
def test_counts_of_generated_parameters_are_those_of_the_standard_definitions(
    name: str, n_generated: int, n_weights: int
) -> None:
    with torch.device("meta"):
        encoder = ImageEncoder(ImageEncoderConfig(name=name, embedding_dim=DIM))

    assert encoder.n_generated == n_generated
    classifier = sum(parameter.numel() for parameter in encoder.trunk.classifier.parameters())
    assert sum(parameter.numel() for parameter in encoder.parameters()) - classifier == n_weights


def test_conditioning_adds_no_weights() -> None:
    with torch.device("meta"):
        encoder = ImageEncoder(ImageEncoderConfig(name="edgenext_xx_small", embedding_dim=DIM))
        plain = timm.create_model("edgenext_xx_small", num_classes=DIM)

    assert [p.shape for p in encoder.parameters()] == [p.shape for p in plain.parameters()]
    assert [b.shape for b in encoder.buffers()] == [b.shape for b in plain.buffers()]
