"""Exact properties of sharpness-aware steps: SAM, ASAM and both readings of AdaSAP."""

import copy
import math
from collections.abc import Callable

import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install 'hyperclip[train]'")

import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperclip.errors import InputError
from hyperclip.train.sam import (
    SharpnessConfig,
    climbed,
    kept_buffers,
    neuron_radii,
    perturbations,
    sharp_backward,
)

pytestmark = pytest.mark.torch
Make = Callable[..., torch.optim.Optimizer]
OPTIMIZERS: dict[str, Make] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-2, nesterov=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
}
FLAT = {"method": "adasap", "radius": 0.0, "radius_min": 0.0}


def make_network(*, norm: bool = True) -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 6, 3, padding=1), *([nn.BatchNorm2d(6)] if norm else []), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(6 * 16, 4)).double()


def batch(step: int = 0) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(step)
    return torch.randn(8, 3, 4, 4, generator=random).double(), torch.arange(8) % 4


def compute_loss(model: nn.Module, step: int = 0) -> Callable[[], Tensor]:
    images, target = batch(step)
    return lambda: functional.cross_entropy(model(images), target)


def tensors(seed: int = 0) -> tuple[list[Tensor], list[Tensor]]:
    random = torch.Generator().manual_seed(seed)
    shapes = [(5, 3, 2, 2), (4, 5), (3,)]
    weights, gradients = (
        [torch.randn(s, generator=random, dtype=torch.float64) for s in shapes] for _ in range(2)
    )
    return weights, gradients


def joined(parts: list[Tensor]) -> Tensor:
    return torch.cat([part.flatten() for part in parts])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    "settings", [{"method": "sam", "radius": 0.0}, {"method": "asam", "radius": 0.0}, FLAT]
)
def test_radius_zero_is_the_base_optimizer_bit_for_bit(settings: dict, optimizer: str) -> None:
    plain, sharp = make_network(), make_network()
    steppers = [(plain, SharpnessConfig()), (sharp, SharpnessConfig(**settings))]
    for model, config in steppers:
        stepper = OPTIMIZERS[optimizer](model.parameters())
        for step in range(20):
            stepper.zero_grad()
            sharp_backward(model, compute_loss(model, step), config)
            stepper.step()
    for (name, one), other in zip(plain.state_dict().items(), sharp.state_dict().values(), strict=True):
        assert torch.equal(one, other), name


@pytest.mark.parametrize("is_relative", [False, True])
def test_the_ellipsoid_with_equal_radii_is_sam_or_asam(is_relative: bool) -> None:
    weights, gradients = tensors()
    found = joined(perturbations(weights, gradients, [0.3] * 3, is_relative=is_relative, is_global=True))
    w, g = joined(weights), joined(gradients)
    scale = w.abs() if is_relative else torch.ones_like(w)
    torch.testing.assert_close(found, 0.3 * scale**2 * g / (scale * g).norm())
    # The metric's length is the radius, and the rise is that of the maximizer: radius times the dual norm.
    assert (found / scale).norm().item() == pytest.approx(0.3)
    assert (g @ found).item() == pytest.approx(0.3 * (scale * g).norm().item())


@pytest.mark.parametrize("is_relative", [False, True])
def test_with_a_ball_a_neuron_each_has_its_radius_and_the_whole_is_not_sam(is_relative: bool) -> None:
    weights, gradients = tensors()
    up = perturbations(weights, gradients, [1.0] * 3, is_relative=is_relative, is_global=False)
    lengths = []
    for weight, one in zip(weights, up, strict=True):
        scale = weight.abs() if is_relative else torch.ones_like(weight)
        lengths += (one / scale).reshape(len(one), -1).norm(dim=1).tolist()
    assert lengths == pytest.approx([1.0] * 12)
    if not is_relative:
        assert joined(up).norm().item() == pytest.approx(math.sqrt(12))
        sam = joined(perturbations(weights, gradients, [1.0] * 3, is_relative=False, is_global=True))
        cosine = functional.cosine_similarity(joined(up), sam, dim=0).item()
        assert 0.5 < cosine < 0.999


def test_with_a_single_neuron_both_readings_are_one() -> None:
    weights, gradients = tensors()
    one = [weights[1][:1]], [gradients[1][:1]]
    for is_relative in (False, True):
        ball = perturbations(*one, [0.2], is_relative=is_relative, is_global=False)[0]
        torch.testing.assert_close(
            ball, perturbations(*one, [0.2], is_relative=is_relative, is_global=True)[0]
        )


def test_radii_fall_from_the_least_to_the_most_important() -> None:
    importance = torch.tensor([3.0, 1.0, 2.0, 7.0])
    radii = neuron_radii(importance, radius_min=0.01, radius_max=2.0)
    assert radii[1].item() == pytest.approx(2.0)
    assert radii[3].item() == pytest.approx(0.01)
    assert (radii[importance.argsort()].diff() < 0).all()
    assert radii.min() >= 0.01 - 1e-6
    assert neuron_radii(torch.ones(4), radius_min=0.01, radius_max=2.0).tolist() == [2.0] * 4


@pytest.mark.parametrize("size", [1e-3, 1e-4])
def test_the_loss_rises_by_the_first_order_sum(size: float) -> None:
    model = make_network(norm=False)
    loss = compute_loss(model)
    start = loss()
    start.backward()
    weights = [p for p in model.parameters() if p.dim() > 1]
    gradients = [p.grad for p in weights if p.grad is not None]
    radii = [torch.linspace(size, size / 2, len(p), dtype=torch.float64) for p in weights]
    up = perturbations(weights, gradients, radii, is_relative=True, is_global=False)
    expected = sum(
        (r * (w.detach().abs() * g).flatten(1).norm(dim=1)).sum().item()
        for r, w, g in zip(radii, weights, gradients, strict=True)
    )
    with climbed(weights, up), torch.no_grad():
        rise = (loss() - start).item()
    assert expected > 0
    assert rise == pytest.approx(expected, abs=30 * size**2)  # second order


def test_a_neuron_without_gradient_stays() -> None:
    weights, gradients = tensors()
    gradients[1][2] = 0
    for is_global in (False, True):
        up = perturbations(weights, gradients, [1.0] * 3, is_relative=True, is_global=is_global)
        assert (up[1][2] == 0).all()
        assert torch.isfinite(joined(up)).all()
    still = perturbations(weights, [0 * g for g in gradients], [1.0] * 3, is_relative=True, is_global=True)
    assert (joined(still) == 0).all()


@pytest.mark.parametrize("method", ["sam", "asam", "adasap"])
def test_weights_come_back_bit_for_bit_and_statistics_count_once(method: str) -> None:
    model = make_network()
    before = copy.deepcopy(model.state_dict())
    sharp_backward(model, compute_loss(model), SharpnessConfig(method=method, radius=0.5))
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name])
        assert parameter.grad is not None
    plain = make_network()
    compute_loss(plain)()
    for name, value in plain.named_buffers():
        assert torch.equal(dict(model.named_buffers())[name], value)


def test_only_sam_perturbs_scales_and_biases() -> None:
    for method, expected in (("sam", True), ("asam", False), ("adasap", False)):
        model = make_network()
        seen: list[Tensor] = []
        loss = compute_loss(model)

        def look(loss: Callable[[], Tensor] = loss, model: nn.Module = model, seen: list = seen) -> Tensor:
            seen.append(model[1].weight.detach().clone())
            return loss()

        sharp_backward(model, look, SharpnessConfig(method=method, radius=0.1))
        assert (not torch.equal(*seen)) == expected


def test_the_gradient_is_that_of_the_climbed_weights() -> None:
    model, other = make_network(norm=False), make_network(norm=False)
    sharp_backward(model, compute_loss(model), SharpnessConfig(method="sam", radius=0.2))
    compute_loss(other)().backward()
    length = torch.stack([p.grad.norm() for p in other.parameters() if p.grad is not None]).norm()
    with torch.no_grad():
        for parameter in other.parameters():
            assert parameter.grad is not None
            parameter.add_(0.2 * parameter.grad / length)
    other.zero_grad()
    compute_loss(other)().backward()
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad)


def test_a_gradient_that_is_not_finite_moves_nothing() -> None:
    model = make_network()
    passes = []

    def broken() -> Tensor:
        passes.append(1)
        return compute_loss(model)() * float("nan")

    sharp_backward(model, broken, SharpnessConfig(method="adasap"))
    assert len(passes) == 1
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_statistics_are_put_back_after_an_error() -> None:
    model = make_network()
    before = copy.deepcopy(model.state_dict())

    def fail() -> None:
        with kept_buffers(model):
            model(batch()[0])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "adam"}, "'adam'"),
        ({"method": "sam", "radius": -1.0}, "radius is -1.0"),
        ({"method": "adasap", "radius": 0.1, "radius_min": 0.2}, "at most radius = 0.1"),
        ({"method": "adasap", "radius_min": -1.0}, "radius_min is -1.0"),
        ({"normalization": "layer"}, "'layer'"),
    ],
)
def test_wrong_settings_are_named(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        SharpnessConfig(**settings)
