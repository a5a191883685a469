"""Heads: what makes logits of class embeddings and image embeddings."""

import math

import numpy as np
import pytest

pytest.importorskip("torch", reason="models need PyTorch: pip install 'hyperclip[train]'")

import torch
from torch import Tensor
from torch.nn import functional

from hyperclip.errors import InputError
from hyperclip.models import ClassHead, HeadConfig, LinearHead, MixtureHead
from hyperclip.models.heads import HEAD_KINDS, build_head

pytestmark = pytest.mark.torch

TEXT_DIM, DIM = 8, 12


def unit_rows(n_rows: int, dim: int = TEXT_DIM, seed: int = 0) -> Tensor:
    return functional.normalize(
        torch.randn(n_rows, dim, generator=torch.Generator().manual_seed(seed)), dim=-1
    )


def make_head(kind: str, **options: object) -> LinearHead | MixtureHead:
    torch.manual_seed(0)
    return build_head(HeadConfig(kind=kind, text_dim=TEXT_DIM, dim=DIM, **options))


@pytest.mark.parametrize(("n_candidates", "bias"), [(10, -2.1972), (101, -4.6052), (2, 0.0), (1, 0.0)])
def test_linear_bias_starts_at_the_base_rate_of_its_candidates(n_candidates: int, bias: float) -> None:
    head = make_head("linear", n_candidates=n_candidates, logit_scale=10.0)

    assert head.logit_bias.item() == pytest.approx(bias, abs=1e-4)
    assert head.log_logit_scale.item() == pytest.approx(math.log(10.0))


def test_linear_logits_are_scaled_cosines_plus_bias() -> None:
    head, names, images = make_head("linear", logit_scale=7.0), unit_rows(5), 3 * torch.randn(4, DIM)
    projected = head.proj(names).detach().numpy()
    projected = projected / np.linalg.norm(projected, axis=1, keepdims=True)
    unit_images = images.numpy() / np.linalg.norm(images.numpy(), axis=1, keepdims=True)
    expected = 7.0 * unit_images @ projected.T - math.log(9)

    logits = head.logits(images, head(names))

    np.testing.assert_allclose(logits.detach().numpy(), expected, atol=1e-5)


def test_linear_rows_have_the_length_of_the_scale() -> None:
    weight, bias = make_head("linear", logit_scale=7.0)(unit_rows(5))

    torch.testing.assert_close(weight.norm(dim=1), torch.full((5,), 7.0))
    assert bias.shape == (5,)


def test_mixture_rows_sum_to_one() -> None:
    weight, bias = make_head("log_mixture", logit_scale=14.0)(unit_rows(5))

    assert (weight > 0).all()
    torch.testing.assert_close(weight.sum(dim=1), torch.ones(5))
    assert (bias == 0).all()


def test_mixture_logits_are_logarithms_of_mixed_concept_probabilities() -> None:
    head, images = make_head("log_mixture"), torch.randn(4, DIM, generator=torch.Generator().manual_seed(1))
    weight, bias = head(unit_rows(5))
    odds = np.exp(images.double().numpy())
    expected = np.log(odds / odds.sum(axis=1, keepdims=True) @ weight.detach().double().numpy().T)

    logits = head.logits(images, ClassHead(weight, bias))

    np.testing.assert_allclose(logits.detach().numpy(), expected, atol=1e-5)
    assert (logits <= 0).all()


def test_mixture_logits_are_finite_for_a_concept_that_is_certain() -> None:
    head = make_head("log_mixture", logit_scale=1000.0)
    images = torch.zeros(1, DIM)
    images[0, 3] = 500.0

    assert torch.isfinite(head.logits(images, head(unit_rows(5)))).all()


def test_given_concepts_are_the_start() -> None:
    concepts = unit_rows(DIM, seed=4)
    head = build_head(HeadConfig(kind="log_mixture", text_dim=TEXT_DIM, dim=DIM, logit_scale=50.0), concepts)

    weight, _ = head(concepts)

    torch.testing.assert_close(head.concepts_KE.detach(), concepts)
    assert (weight.argmax(dim=1) == torch.arange(DIM)).all()  # each concept is nearest to itself


def test_the_linear_part_is_the_ridge_regression_from_texts_to_concepts() -> None:
    concepts = unit_rows(DIM, seed=4)
    head = build_head(HeadConfig(kind="mixture_plus_linear", text_dim=TEXT_DIM, dim=DIM), concepts)
    texts = concepts.double().numpy() - concepts.double().numpy().mean(axis=0)
    asked = unit_rows(3).double().numpy() - concepts.double().numpy().mean(axis=0)
    expected = asked @ np.linalg.inv(texts.T @ texts + 0.3 * np.eye(TEXT_DIM)) @ texts.T
    expected -= expected.mean(axis=1, keepdims=True)

    weight, bias = head(unit_rows(3))

    assert weight.shape == (3, 2 * DIM)
    np.testing.assert_allclose(weight[:, DIM:].detach().numpy(), expected, atol=1e-5)
    assert (bias == 0).all()


def test_mixture_plus_linear_logits_are_the_sum_of_both_parts() -> None:
    concepts, images = unit_rows(DIM, seed=4), torch.randn(4, DIM)
    plain, both = (
        build_head(HeadConfig(kind=kind, text_dim=TEXT_DIM, dim=DIM), concepts)
        for kind in ("log_mixture", "mixture_plus_linear")
    )
    row = both(unit_rows(5))

    expected = plain.logits(images, plain(unit_rows(5))) + images @ row.weight_CD[:, DIM:].T

    torch.testing.assert_close(both.logits(images, row), expected)
    torch.testing.assert_close(both.logits(images + 3.0, row), expected)


@pytest.mark.parametrize("kind", ["log_mixture", "mixture_plus_linear"])
def test_taking_concepts_away_is_never_having_had_them(kind: str) -> None:
    head, images = make_head(kind), torch.randn(4, DIM, generator=torch.Generator().manual_seed(1))
    assert isinstance(head, MixtureHead)
    known = torch.arange(DIM) >= 3
    row = head(unit_rows(5))

    logits = head.logits_without(images, row, known_K=known)

    changed = images.clone()
    changed[:, :3] += 100.0
    torch.testing.assert_close(head.logits_without(changed, row, known_K=known), logits)
    everything = head.logits_without(images, row, known_K=torch.ones(DIM, dtype=torch.bool))
    torch.testing.assert_close(everything, head.logits(images, row), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", HEAD_KINDS)
def test_row_of_a_class_does_not_depend_on_the_other_classes(kind: str) -> None:
    head, names = make_head(kind), unit_rows(6)

    torch.testing.assert_close(head(names[2:4]).weight_CD, head(names).weight_CD[2:4])


@pytest.mark.parametrize("kind", HEAD_KINDS)
def test_gradients_reach_every_weight(kind: str) -> None:
    head = make_head(kind)

    head.logits(
        torch.randn(4, DIM, generator=torch.Generator().manual_seed(1)), head(unit_rows(5))
    ).square().sum().backward()

    assert all(parameter.grad.abs().max() > 0 for parameter in head.parameters())


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(InputError, match="'linear', 'log_mixture'"):
        HeadConfig(kind="cosine")
    with pytest.raises(InputError, match="logit_scale is 0"):
        HeadConfig(logit_scale=0)
