"""Compact encoders keep to their size, train, and are encoders like the others."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="models need PyTorch: pip install 'hyperclip[train]'")

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from hyperclip.errors import InputError
from hyperclip.models import ImageEncoder, ImageEncoderConfig
from hyperclip.models.compact import COMPACT_ENCODERS, CompactEncoder
from hyperclip.models.conditioned_norm import AffineNorm

pytestmark = pytest.mark.torch

SIZES = {"compact_20k": 20_000, "compact_60k": 60_000, "compact_150k": 150_000, "compact_500k": 500_000}
MULTIPLY_ADDS = {"compact_20k": 2e6, "compact_60k": 5e6, "compact_150k": 12e6, "compact_500k": 35e6}  # 64 px


def random_images(n_images: int = 2, size: int = 64, seed: int = 0) -> Tensor:
    return torch.randn(n_images, 3, size, size, generator=torch.Generator().manual_seed(seed))


def count_multiply_adds(net: nn.Module, images: Tensor) -> int:
    """Of convolutions and the projection, for one picture."""
    total = 0

    def count(layer: nn.Module, _: object, out: Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Conv2d | nn.Linear):
            total += layer.weight.numel() * out[0, 0].numel()

    for module in net.modules():
        module.register_forward_hook(count)
    net.eval()(images)
    return total


def test_every_size_is_listed() -> None:
    assert sorted([*SIZES, "compact_concepts"]) == sorted(COMPACT_ENCODERS)


def test_a_thousand_concept_logits_fit_into_the_smallest_devices() -> None:
    net = CompactEncoder("compact_concepts", embedding_dim=1000)

    assert sum(parameter.numel() for parameter in net.parameters()) <= 150_000
    assert count_multiply_adds(net, random_images(1)) <= 12e6


@pytest.mark.parametrize("name", SIZES)
def test_size_and_cost_are_what_the_name_says(name: str) -> None:
    net = CompactEncoder(name, embedding_dim=64)
    n_parameters = sum(parameter.numel() for parameter in net.parameters())

    assert 0.8 * SIZES[name] <= n_parameters <= 1.05 * SIZES[name]
    if name == "compact_150k":
        assert n_parameters <= 150_000
    assert count_multiply_adds(net, random_images(1)) <= MULTIPLY_ADDS[name]


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("size", [64, 80, 96, 224])
def test_maps_are_an_eighth_to_a_sixteenth_of_the_picture(name: str, size: int) -> None:
    net = CompactEncoder(name, embedding_dim=8).eval()
    with torch.no_grad():
        maps = net.last(net.blocks(net.stem(random_images(1, size))))

    assert size // 16 <= maps.shape[-1] <= size // 8
    assert net(random_images(1, size)).shape == (1, 8)


@pytest.mark.parametrize("name", SIZES)
def test_only_operators_of_small_devices_are_used(name: str) -> None:
    leaves = {type(m) for m in CompactEncoder(name, embedding_dim=8).modules() if not list(m.children())}

    assert leaves <= {nn.Conv2d, nn.BatchNorm2d, nn.ReLU6, nn.ReLU, nn.Linear}


@pytest.mark.parametrize("name", SIZES)
def test_values_keep_their_size_through_an_untrained_encoder(name: str) -> None:
    torch.manual_seed(0)
    net = CompactEncoder(name, embedding_dim=64).train()

    embedding = net(random_images(32))

    assert 0.05 < embedding.std() < 5  # neither faded nor exploded
    assert embedding.std(dim=0).mean() > 0.02  # and the pictures differ


def test_every_norm_is_conditioned_and_every_filter_is_quick() -> None:
    encoder = ImageEncoder(ImageEncoderConfig(name="compact_20k", embedding_dim=64))
    plain = CompactEncoder("compact_20k", embedding_dim=64)
    norms = [m for m in plain.modules() if isinstance(m, AffineNorm)]
    filters = [m for m in encoder.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]

    assert encoder.n_generated == sum(2 * norm.num_features for norm in norms) > 0
    assert filters
    assert all(type(m).__name__ == "DepthwiseConv2d" for m in filters)


def test_bfloat16_gradients_are_about_those_of_float32() -> None:
    torch.manual_seed(0)
    encoder = ImageEncoder(ImageEncoderConfig(name="compact_20k", embedding_dim=16)).train()
    grads = []
    for is_half in (False, True):
        encoder.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            loss = encoder(random_images(8)).float().square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        grads.append(torch.cat([p.grad.flatten() for p in encoder.parameters() if p.grad is not None]))

    assert functional.cosine_similarity(*grads, dim=0) > 0.95  # bfloat16 keeps 8 bits a value


def test_twenty_steps_learn_a_batch_by_heart() -> None:
    torch.manual_seed(0)
    encoder = ImageEncoder(ImageEncoderConfig(name="compact_20k", embedding_dim=8)).train()
    images, target = random_images(16, size=32), torch.arange(16) % 8
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=1e-2)
    losses = []
    for _ in range(20):
        loss = functional.cross_entropy(encoder(images), target)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())

    assert losses[-1] < 0.1 * losses[0]


def test_weights_come_from_a_file(tmp_path: Path) -> None:
    torch.manual_seed(7)
    plain = CompactEncoder("compact_20k", embedding_dim=8).eval()
    save_file(plain.state_dict(), tmp_path / "weights.safetensors")
    config = ImageEncoderConfig(
        name="compact_20k", embedding_dim=8, init=str(tmp_path / "weights.safetensors")
    )

    with torch.no_grad():
        torch.testing.assert_close(
            ImageEncoder(config).eval()(random_images()), plain(random_images()), atol=1e-6, rtol=1e-5
        )


@pytest.mark.parametrize("init", ["timm", "package"])
def test_published_weights_are_refused_as_there_are_none(init: str) -> None:
    with pytest.raises(InputError, match="expected 'none' or a weights file for compact_60k"):
        ImageEncoderConfig(name="compact_60k", init=init)


def test_unknown_compact_encoder_names_those_that_exist() -> None:
    with pytest.raises(InputError, match="compact_20k, compact_60k, compact_150k, compact_concepts"):
        CompactEncoder("compact_1k", embedding_dim=8)
    with pytest.raises(InputError, match="compact_20k, compact_60k"):
        ImageEncoderConfig(name="compact_1k")
