"""Softmax within a task: soft targets, padded tasks, weights."""

import math

import numpy as np
import pytest

pytest.importorskip("torch", reason="losses need PyTorch: pip install 'hyperclip[train]'")

import torch
from torch import Tensor
from torch.nn import functional

from hyperclip.errors import InputError
from hyperclip.losses import task_softmax_loss

pytestmark = pytest.mark.torch

EXACT = 1e-12  # float64 sums of a few dozen terms


def random_batch(n_images: int = 5, n_classes: int = 6, seed: int = 0) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(n_images, n_classes, generator=rng, dtype=torch.float64)
    target = torch.rand(n_images, n_classes, generator=rng, dtype=torch.float64)
    return logits.requires_grad_(), target / target.sum(dim=1, keepdim=True)


@pytest.mark.parametrize("seed", range(3))
def test_loss_equals_a_reference_without_torch(seed: int) -> None:
    logits, target = random_batch(seed=seed)
    odds = np.exp(logits.detach().numpy())
    log_probs = np.log(odds / odds.sum(axis=1, keepdims=True))
    expected = -np.mean(np.sum(target.numpy() * log_probs, axis=1))

    assert task_softmax_loss(logits, target).item() == pytest.approx(expected, abs=EXACT)


def test_one_hot_targets_give_the_usual_cross_entropy() -> None:
    logits, _ = random_batch()
    classes = torch.tensor([0, 5, 2, 2, 1])
    target = functional.one_hot(classes, 6).double()

    expected = functional.cross_entropy(logits, classes).item()
    assert task_softmax_loss(logits, target).item() == pytest.approx(expected, abs=EXACT)


def test_gradient_is_softmax_minus_target() -> None:
    logits, target = random_batch()

    task_softmax_loss(logits, target).backward()

    expected = (logits.detach().softmax(dim=1) - target) / len(target)
    torch.testing.assert_close(logits.grad, expected, atol=EXACT, rtol=0)


def test_least_loss_is_the_entropy_of_the_targets() -> None:
    _, target = random_batch()

    entropy = -(target * target.log()).sum(dim=1).mean()
    assert task_softmax_loss(target.log(), target).item() == pytest.approx(entropy.item(), abs=EXACT)


def test_padded_tasks_equal_the_tasks_apart() -> None:
    rows = [random_batch(1, n_classes, seed=n_classes) for n_classes in (2, 5, 3)]
    padded_logits = torch.full((3, 5), 50.0, dtype=torch.float64)  # what stands in the padding is garbage
    padded_target, mask = torch.zeros(3, 5, dtype=torch.float64), torch.zeros(3, 5, dtype=torch.bool)
    for i, (logits, target) in enumerate(rows):
        n_classes = logits.shape[1]
        padded_logits[i, :n_classes], padded_target[i, :n_classes] = logits.detach()[0], target[0]
        mask[i, :n_classes] = True
    padded_logits.requires_grad_()

    apart = sum(task_softmax_loss(logits, target) for logits, target in rows) / 3
    apart.backward()
    together = task_softmax_loss(padded_logits, padded_target, mask_BC=mask)
    together.backward()

    assert together.item() == pytest.approx(apart.item(), abs=EXACT)
    for i, (logits, _) in enumerate(rows):
        found = padded_logits.grad[i]
        torch.testing.assert_close(found[: logits.shape[1]], logits.grad[0], atol=EXACT, rtol=0)
        assert (found[logits.shape[1] :] == 0).all()


@pytest.mark.parametrize("garbage", [1e30, -1e30, float("inf"), float("nan")])
def test_padding_may_hold_anything(garbage: float) -> None:
    logits, target = random_batch()
    target = target.clone()
    target[:, 4:] = 0
    mask = torch.arange(6).expand(5, 6) < 4
    spoiled = logits.detach().clone()
    spoiled[:, 4:] = garbage
    spoiled.requires_grad_()

    loss = task_softmax_loss(spoiled, target, mask_BC=mask)
    loss.backward()

    expected = task_softmax_loss(logits[:, :4], target[:, :4])
    assert loss.item() == pytest.approx(expected.item(), abs=EXACT)
    assert torch.isfinite(spoiled.grad).all()


def test_row_without_classes_adds_nothing_and_has_finite_gradients() -> None:
    logits, target = random_batch(2)
    target = torch.stack([target[0], torch.zeros(6, dtype=torch.float64)])
    mask = torch.tensor([[True] * 6, [False] * 6])

    loss = task_softmax_loss(logits, target, mask_BC=mask)
    loss.backward()

    assert loss.item() == pytest.approx(task_softmax_loss(logits[:1], target[:1]).item() / 2, abs=EXACT)
    assert (logits.grad[1] == 0).all()


def test_weights_make_a_weighted_mean() -> None:
    logits, target = random_batch(3)
    each = [task_softmax_loss(logits[i : i + 1], target[i : i + 1]).item() for i in range(3)]

    loss = task_softmax_loss(logits, target, weight_B=torch.tensor([0.5, 0.0, 1.5]))

    assert loss.item() == pytest.approx((0.5 * each[0] + 1.5 * each[2]) / 2, abs=EXACT)


def test_all_weights_zero_give_zero_loss_and_gradient() -> None:
    logits, target = random_batch()

    loss = task_softmax_loss(logits, target, weight_B=torch.zeros(5))
    loss.backward()

    assert loss.item() == 0
    assert (logits.grad == 0).all()


def test_constant_added_to_a_row_changes_nothing() -> None:
    logits, target = random_batch()
    shift = torch.tensor([[5.0], [-3.0], [100.0], [0.0], [1.0]], dtype=torch.float64)

    expected = task_softmax_loss(logits, target).item()
    assert task_softmax_loss(logits + shift, target).item() == pytest.approx(expected, abs=1e-11)


def test_gradients_agree_with_finite_differences() -> None:
    logits, target = random_batch()
    mask = torch.rand(5, 6, generator=torch.Generator().manual_seed(2)) < 0.7
    weight = torch.rand(5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    target = target * mask

    assert torch.autograd.gradcheck(
        lambda x: task_softmax_loss(x, target, weight_B=weight, mask_BC=mask), (logits,), atol=1e-7
    )


def test_half_precision_logits_are_summed_in_float32() -> None:
    logits, target = random_batch()

    loss = task_softmax_loss(logits.detach().bfloat16(), target.float())

    assert loss.dtype == torch.float32
    expected = task_softmax_loss(logits.detach().bfloat16().double(), target).item()
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_five_thousand_equal_classes_cost_their_logarithm() -> None:
    target = torch.zeros(2, 5000)
    target[:, 7] = 1

    assert task_softmax_loss(torch.zeros(2, 5000), target).item() == pytest.approx(math.log(5000), abs=1e-5)


def test_shapes_that_do_not_fit_are_refused() -> None:
    logits, target = random_batch()
    with pytest.raises(InputError, match="Logits and targets"):
        task_softmax_loss(logits, target[:, :1])
    with pytest.raises(InputError, match="The mask has shape"):
        task_softmax_loss(logits, target, mask_BC=torch.ones(6, dtype=torch.bool))
    with pytest.raises(InputError, match="The weights have shape"):
        task_softmax_loss(logits, target, weight_B=torch.ones(5, 1))
