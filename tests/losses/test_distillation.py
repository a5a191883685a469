"""Distillation against references computed without torch, and the gradients that it must not have."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="losses need PyTorch: pip install 'hyperclip[train]'")

import torch
from torch import Tensor

from hyperclip.errors import InputError
from hyperclip.losses import embedding_distillation, logit_distillation, relational_distillation

pytestmark = pytest.mark.torch

EXACT = 1e-12  # float64 sums of a few dozen terms


def random_rows(n_rows: int, dim: int, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n_rows, dim, generator=rng, dtype=torch.float64).requires_grad_()


def softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)


def kl_divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    return (p * np.log(p / q)).sum(axis=1)


def others_softmax(rows: Tensor, temperature: float) -> np.ndarray:
    """Softmax over the cosines with all other rows, one list a row."""
    unit = rows.detach().numpy()
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    cosines = unit @ unit.T
    return np.stack([softmax(np.delete(cosines[i], i) / temperature) for i in range(len(unit))])


def test_embedding_loss_is_one_minus_the_mean_cosine() -> None:
    student, teacher = random_rows(6, 4), random_rows(6, 4, seed=1)
    a, b = student.detach().numpy(), teacher.detach().numpy()
    cosine = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)

    assert embedding_distillation(student, teacher).item() == pytest.approx(1 - cosine.mean(), abs=EXACT)
    weight = torch.tensor([1.0, 0, 0, 3, 0, 0])
    weighted = embedding_distillation(student, teacher, weight_N=weight).item()
    assert weighted == pytest.approx(1 - (cosine[0] + 3 * cosine[3]) / 4, abs=EXACT)


def test_embedding_loss_ignores_lengths_and_spans_zero_to_two() -> None:
    rows = random_rows(5, 4)

    assert embedding_distillation(rows * 7, rows).item() == pytest.approx(0, abs=EXACT)
    assert embedding_distillation(-rows, rows * 3).item() == pytest.approx(2, abs=EXACT)


@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_relational_loss_equals_a_reference_without_torch(temperature: float) -> None:
    student, teacher = random_rows(7, 4), random_rows(7, 9, seed=1)
    p, q = others_softmax(teacher, temperature), others_softmax(student, temperature)

    kl = relational_distillation(student, teacher, temperature=temperature)
    mse = relational_distillation(student, teacher, temperature=temperature, divergence="mse")

    assert kl.item() == pytest.approx(kl_divergence(p, q).mean(), abs=1e-10)
    assert mse.item() == pytest.approx(((p - q) ** 2).sum(axis=1).mean(), abs=EXACT)


@pytest.mark.parametrize("divergence", ["kl", "mse"])
def test_relational_loss_is_zero_for_a_rotated_teacher(divergence: str) -> None:
    teacher = random_rows(6, 4)
    rotation = torch.linalg.qr(random_rows(4, 4, seed=2)).Q

    loss = relational_distillation(5 * teacher @ rotation, teacher, divergence=divergence)
    assert loss.item() == pytest.approx(0, abs=EXACT)


@pytest.mark.parametrize("n_rows", [1, 2])
def test_relational_loss_of_too_few_rows_is_zero_with_a_gradient(n_rows: int) -> None:
    student = random_rows(n_rows, 4)

    loss = relational_distillation(student, random_rows(n_rows, 4, seed=1))
    loss.backward()

    assert loss.item() == 0
    torch.testing.assert_close(student.grad, torch.zeros_like(student), atol=EXACT, rtol=0)


@pytest.mark.parametrize("divergence", ["kl", "mse"])
def test_relational_loss_of_identical_rows_is_finite(divergence: str) -> None:
    student = random_rows(1, 4).detach().repeat(5, 1).requires_grad_()

    loss = relational_distillation(student, random_rows(5, 4, seed=1), divergence=divergence)
    loss.backward()

    assert loss.item() > 0
    assert torch.isfinite(student.grad).all()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_logit_loss_equals_a_reference_without_torch(temperature: float) -> None:
    student, teacher = random_rows(5, 6), random_rows(5, 6, seed=1)
    p = softmax(teacher.detach().numpy() / temperature)
    q = softmax(student.detach().numpy() / temperature)
    each = temperature**2 * kl_divergence(p, q)

    loss = logit_distillation(student, teacher, temperature=temperature)
    assert loss.item() == pytest.approx(each.mean(), abs=EXACT)
    weight = torch.tensor([1.0, 2.0, 0.0, 0.0, 1.0])
    weighted = logit_distillation(student, teacher, temperature=temperature, weight_B=weight)
    assert weighted.item() == pytest.approx((each[0] + 2 * each[1] + each[4]) / 4, abs=EXACT)


def test_logit_loss_of_a_padded_task_equals_the_task_alone() -> None:
    student, teacher = random_rows(5, 6), random_rows(5, 6, seed=1)
    mask = (torch.arange(6) < 4).expand(5, 6)

    padded = logit_distillation(student, teacher, temperature=2.0, mask_BC=mask)
    alone = logit_distillation(student[:, :4], teacher[:, :4], temperature=2.0)
    assert padded.item() == pytest.approx(alone.item(), abs=EXACT)


def test_logit_loss_is_zero_where_logits_differ_by_a_constant() -> None:
    teacher = random_rows(5, 6)

    assert logit_distillation(teacher + 3, teacher).item() == pytest.approx(0, abs=EXACT)


@pytest.mark.parametrize(
    "loss", [embedding_distillation, relational_distillation, logit_distillation], ids=lambda f: f.__name__
)
def test_gradients_reach_the_student_alone_and_agree_with_finite_differences(loss: object) -> None:
    student, teacher = random_rows(5, 4), random_rows(5, 4, seed=1)

    loss(student, teacher).backward()

    assert student.grad.abs().max() > 0
    assert teacher.grad is None
    assert torch.autograd.gradcheck(lambda x: loss(x, teacher), (student,), atol=1e-7)


@pytest.mark.parametrize(
    "loss", [embedding_distillation, relational_distillation, logit_distillation], ids=lambda f: f.__name__
)
def test_half_precision_and_autocast_are_summed_in_float32(loss: object) -> None:
    student, teacher = random_rows(8, 16).detach().bfloat16(), random_rows(8, 16, seed=1).detach().float()
    expected = loss(student.float(), teacher).item()

    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(student, teacher)

    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(expected, abs=1e-6)


def test_arguments_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="use relational_distillation"):
        embedding_distillation(torch.ones(3, 4), torch.ones(3, 5))
    with pytest.raises(InputError, match="The weights have shape"):
        embedding_distillation(torch.ones(3, 4), torch.ones(3, 4), weight_N=torch.ones(2))
    with pytest.raises(InputError, match="the same N things"):
        relational_distillation(torch.ones(3, 4), torch.ones(2, 4))
    with pytest.raises(InputError, match="divergence is 'js'"):
        relational_distillation(torch.ones(3, 4), torch.ones(3, 4), divergence="js")
    with pytest.raises(InputError, match="temperature is 0"):
        logit_distillation(torch.ones(3, 4), torch.ones(3, 4), temperature=0)
