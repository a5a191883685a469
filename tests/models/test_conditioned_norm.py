"""A conditioned norm is the same norm with another scale and shift, for each image its own."""

from collections.abc import Callable

import pytest

pytest.importorskip("torch", reason="models need PyTorch: pip install 'hyperclip[train]'")

import torch
from timm.layers import (
    BatchNormAct2d,
    GroupNorm1,
    GroupNormAct,
    LayerNorm2d,
    LayerNormAct,
    LayerNormAct2d,
)
from timm.layers.norm import LayerNorm2dFp32, LayerNormExp2d
from torch import Tensor, nn

from hyperclip.models.conditioned_norm import ConditionedNorm, ContextSlot, condition_norms

pytestmark = pytest.mark.torch

N_CHANNELS = 6
SINGLE = {"atol": 2e-6, "rtol": 1e-5}  # a few float32 roundings on values of size 1 to 5

IMAGE_NORMS: dict[str, Callable[[], nn.Module]] = {
    "BatchNorm2d": lambda: nn.BatchNorm2d(N_CHANNELS),
    "BatchNormAct2d": lambda: BatchNormAct2d(N_CHANNELS, act_layer=nn.SiLU),
    "GroupNorm": lambda: nn.GroupNorm(2, N_CHANNELS),
    "GroupNorm1": lambda: GroupNorm1(N_CHANNELS),
    "GroupNormAct": lambda: GroupNormAct(N_CHANNELS, num_groups=3),
    "LayerNorm2d": lambda: LayerNorm2d(N_CHANNELS),
    "LayerNorm2dFp32": lambda: LayerNorm2dFp32(N_CHANNELS),
    "LayerNormAct2d": lambda: LayerNormAct2d(N_CHANNELS),
    "LayerNormExp2d": lambda: LayerNormExp2d(N_CHANNELS),
}
TOKEN_NORMS: dict[str, Callable[[], nn.Module]] = {
    "LayerNorm": lambda: nn.LayerNorm(N_CHANNELS),
    "LayerNormAct": lambda: LayerNormAct(N_CHANNELS, act_layer=nn.GELU),
}
ALL_NORMS = IMAGE_NORMS | TOKEN_NORMS


def make_norm(kind: str, seed: int = 0) -> nn.Module:
    """A norm whose parameters and statistics look trained."""
    norm = ALL_NORMS[kind]()
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        norm.weight.copy_(torch.rand(N_CHANNELS, generator=rng) + 0.5)
        norm.bias.copy_(torch.randn(N_CHANNELS, generator=rng))
        if hasattr(norm, "running_mean"):
            norm.running_mean.copy_(torch.randn(N_CHANNELS, generator=rng))
            norm.running_var.copy_(torch.rand(N_CHANNELS, generator=rng) + 0.5)
    return norm.eval()


def make_input(kind: str, n_images: int = 3, seed: int = 1) -> Tensor:
    # Height and channels are equal: a norm over the wrong axis would run without an error.
    shape = (n_images, 5, N_CHANNELS) if kind in TOKEN_NORMS else (n_images, N_CHANNELS, 4, N_CHANNELS)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def make_delta(n_rows: int = 3, seed: int = 2) -> Tensor:
    return 0.5 * torch.randn(n_rows, 2 * N_CHANNELS, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", ALL_NORMS)
def test_neutral_equals_the_norm_itself(kind: str) -> None:
    norm, x, slot = make_norm(kind), make_input(kind), ContextSlot()
    expected = norm(x.clone())
    wrapped = ConditionedNorm(norm, slot, 0).eval()

    torch.testing.assert_close(wrapped(x.clone()), expected, **SINGLE)
    with slot.filled(torch.zeros(3, 2 * N_CHANNELS)):
        torch.testing.assert_close(wrapped(x.clone()), expected, **SINGLE)


@pytest.mark.parametrize("kind", ALL_NORMS)
def test_each_image_gets_the_norm_with_its_own_scale_and_shift(kind: str) -> None:
    norm, x, delta, slot = make_norm(kind), make_input(kind), make_delta(), ContextSlot()
    expected = []
    for row, image in zip(delta, x, strict=True):
        own = make_norm(kind)
        with torch.no_grad():
            own.weight.mul_(1 + row[:N_CHANNELS])
            own.bias.add_(row[N_CHANNELS:])
        expected.append(own(image[None].clone()))
    wrapped = ConditionedNorm(norm, slot, 0).eval()

    with slot.filled(delta):
        found = wrapped(x.clone())

    torch.testing.assert_close(found, torch.cat(expected), **SINGLE)


@pytest.mark.parametrize("kind", ["BatchNormAct2d", "GroupNormAct", "LayerNormAct"])
def test_dropout_inside_a_norm_is_kept(kind: str) -> None:
    norm = make_norm(kind)
    norm.drop = nn.Dropout(1.0)
    wrapped = ConditionedNorm(norm, ContextSlot(), 0).train()

    assert (wrapped(make_input(kind)) == norm.act(torch.zeros(()))).all()


def test_patches_that_join_the_batch_axis_keep_the_row_of_their_image() -> None:
    norm, delta, slot = make_norm("LayerNorm"), make_delta(2), ContextSlot()
    patches = make_input("LayerNorm", n_images=8)  # four a picture, the picture's patches together
    wrapped = ConditionedNorm(norm, slot, 0).eval()

    with slot.filled(delta):
        joined = wrapped(patches)
    apart = []
    for i in range(2):
        with slot.filled(delta[i : i + 1].expand(4, -1)):
            apart.append(wrapped(patches[4 * i : 4 * i + 4]))

    torch.testing.assert_close(joined, torch.cat(apart), **SINGLE)


def test_training_normalizes_by_the_statistics_of_the_whole_batch_and_counts_them_once() -> None:
    x, delta, slot = make_input("BatchNorm2d"), make_delta(), ContextSlot()
    plain, wrapped = make_norm("BatchNorm2d").train(), ConditionedNorm(make_norm("BatchNorm2d"), slot, 0)
    plain(x)

    with slot.filled(delta):
        wrapped.train()(x)

    torch.testing.assert_close(wrapped.norm.running_mean, plain.running_mean)
    torch.testing.assert_close(wrapped.norm.running_var, plain.running_var)
    assert wrapped.norm.num_batches_tracked.item() == 1


@pytest.mark.parametrize("momentum", [0.3, 0.0, None])
def test_running_statistics_follow_the_momentum_of_the_norm(momentum: float | None) -> None:
    plain, wrapped = make_norm("BatchNorm2d"), ConditionedNorm(make_norm("BatchNorm2d"), ContextSlot(), 0)
    plain.momentum = wrapped.norm.momentum = momentum

    for seed in range(3):
        plain.train()(make_input("BatchNorm2d", seed=seed))
        wrapped.train()(make_input("BatchNorm2d", seed=seed))

    torch.testing.assert_close(wrapped.norm.running_mean, plain.running_mean)
    torch.testing.assert_close(wrapped.norm.running_var, plain.running_var)


def test_norm_without_running_statistics_uses_those_of_the_batch() -> None:
    norm, x = nn.BatchNorm2d(N_CHANNELS, track_running_stats=False).eval(), make_input("BatchNorm2d")

    torch.testing.assert_close(ConditionedNorm(norm, ContextSlot(), 0).eval()(x), norm(x), **SINGLE)


def test_frozen_statistics_make_training_and_evaluation_the_same() -> None:
    x, slot = make_input("BatchNorm2d"), ContextSlot()
    wrapped = ConditionedNorm(make_norm("BatchNorm2d"), slot, 0)
    wrapped.are_statistics_frozen = True
    before = {name: value.clone() for name, value in wrapped.state_dict().items()}

    with slot.filled(make_delta()):
        in_training, in_evaluation = wrapped.train()(x), wrapped.eval()(x)

    assert torch.equal(in_training, in_evaluation)
    assert all(torch.equal(value, before[name]) for name, value in wrapped.state_dict().items())


@pytest.mark.parametrize("kind", ["BatchNorm2d", "GroupNorm", "LayerNorm2d", "LayerNorm"])
def test_gradients_agree_with_finite_differences(kind: str) -> None:
    slot = ContextSlot()
    wrapped = ConditionedNorm(make_norm(kind), slot, 0).double().eval()
    x, delta = make_input(kind).double().requires_grad_(), make_delta().double().requires_grad_()

    def run(x: Tensor, delta: Tensor) -> Tensor:
        with slot.filled(delta):
            return wrapped(x)

    assert torch.autograd.gradcheck(run, (x, delta), atol=1e-6)


def test_layout_names_every_scale_and_shift_without_gaps() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Sequential(nn.GroupNorm(1, 4)), LayerNorm2d(4)
    )

    _, layout = condition_norms(model)

    assert layout == [
        ("1.scale", 4, 0), ("1.shift", 4, 4),
        ("2.0.scale", 4, 8), ("2.0.shift", 4, 12),
        ("3.scale", 4, 16), ("3.shift", 4, 20),
    ]  # fmt: skip


def test_norms_without_scale_and_shift_stay_as_they_are() -> None:
    model = nn.Sequential(
        nn.BatchNorm2d(4, affine=False),
        nn.LayerNorm(4, elementwise_affine=False),
        nn.LayerNorm(4, bias=False),
        nn.LayerNorm((3, 4)),
    )
    kinds = [type(module) for module in model]

    _, layout = condition_norms(model)

    assert layout == []
    assert [type(module) for module in model] == kinds


def test_context_ends_with_its_block_even_after_an_error() -> None:
    slot = ContextSlot()
    with pytest.raises(RuntimeError, match="inside"), slot.filled(make_delta()):
        raise RuntimeError("inside")

    assert slot.delta_BP is None
