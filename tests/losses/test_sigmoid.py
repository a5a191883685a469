"""The sigmoid loss against hand-computed values, identities and independent references."""

import math

import numpy as np
import pytest

pytest.importorskip("torch", reason="losses need PyTorch: pip install 'hyperclip[train]'")

import torch
from torch import Tensor
from torch.nn import functional

from hyperclip.errors import InputError
from hyperclip.losses import initial_bias, sigmoid_loss, sigmoid_loss_from_logits

pytestmark = pytest.mark.torch

EXACT, SINGLE = 1e-9, 1e-5  # tolerances of float64 and float32 against ten-digit reference values
# Worked by hand in float64: three pairs, t = 10, b = -10.
IMAGES = [[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]
TEXTS = [[0.8, 0.6], [0.0, 1.0], [1.0, 0.0]]
FIXTURE_LOGITS = [[-2.0, -10.0, 0.0], [-4.0, 0.0, -10.0], [-0.4, -2.0, -4.0]]
FIXTURE_LOSS = 2.7298520964


class Pairs:
    """Embeddings, scale and bias that collect gradients."""

    def __init__(self, images: Tensor, texts: Tensor, *, scale: float = 10.0, bias: float = -10.0) -> None:
        self.images, self.texts = images.clone().requires_grad_(), texts.clone().requires_grad_()
        self.log_logit_scale = torch.tensor(math.log(scale), dtype=images.dtype, requires_grad=True)
        self.logit_bias = torch.tensor(bias, dtype=images.dtype, requires_grad=True)

    def loss(self, **options: object) -> Tensor:
        return sigmoid_loss(
            self.images,
            self.texts,
            log_logit_scale=self.log_logit_scale,
            logit_bias=self.logit_bias,
            **options,
        )

    def gradients(self) -> list[Tensor]:
        return [t.grad for t in (self.images, self.texts, self.log_logit_scale, self.logit_bias)]


def fixture_pairs(dtype: torch.dtype = torch.float64) -> Pairs:
    return Pairs(torch.tensor(IMAGES, dtype=dtype), torch.tensor(TEXTS, dtype=dtype))


def random_pairs(n_images: int = 7, n_texts: int = 7, *, seed: int = 0, scale: float = 8.0) -> Pairs:
    rng = torch.Generator().manual_seed(seed)
    images = torch.randn(n_images, 5, generator=rng, dtype=torch.float64)
    texts = torch.randn(n_texts, 5, generator=rng, dtype=torch.float64)
    return Pairs(images, texts, scale=scale, bias=-2.0)


def random_positives(n_images: int, n_texts: int, seed: int = 0) -> Tensor:
    return torch.rand(n_images, n_texts, generator=torch.Generator().manual_seed(seed)) < 0.3


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, EXACT), (torch.float32, SINGLE)])
def test_loss_and_gradients_equal_the_hand_computed_fixture(dtype: torch.dtype, tolerance: float) -> None:
    pairs = fixture_pairs(dtype)

    loss = pairs.loss()
    loss.backward()

    assert loss.dtype == dtype
    assert loss.item() == pytest.approx(FIXTURE_LOSS, abs=tolerance)
    assert pairs.log_logit_scale.grad.item() == pytest.approx(-2.6747734217, abs=tolerance)
    assert pairs.logit_bias.grad.item() == pytest.approx(-0.4414062001, abs=tolerance)


def test_gradient_of_the_logits_equals_the_fixture() -> None:
    logits = torch.tensor(FIXTURE_LOGITS, dtype=torch.float64, requires_grad=True)

    loss = sigmoid_loss_from_logits(logits)
    loss.backward()

    assert loss.item() == pytest.approx(FIXTURE_LOSS, abs=EXACT)
    expected = torch.tensor([-0.293599, 0.000015, 0.166667], dtype=torch.float64)
    torch.testing.assert_close(logits.grad[0], expected, atol=5e-7, rtol=0)  # six digits are given


def test_extra_positive_and_ignored_pair_equal_the_fixture() -> None:
    positive = torch.eye(3, dtype=torch.bool)
    positive[2, 0] = True
    weight = torch.ones(3, 3, dtype=torch.float64)
    weight[2, 0] = 0

    assert fixture_pairs().loss(positive_BN=positive).item() == pytest.approx(2.8631854297, abs=EXACT)
    assert fixture_pairs().loss(weight_BN=weight).item() == pytest.approx(2.5588470123, abs=EXACT)


def test_ignored_pair_gets_no_gradient() -> None:
    logits = torch.tensor(FIXTURE_LOGITS, requires_grad=True)
    weight = torch.ones(3, 3)
    weight[2, 0] = 0

    sigmoid_loss_from_logits(logits, weight_BN=weight).backward()

    assert logits.grad[2, 0] == 0
    assert (logits.grad != 0).sum() == 8


def test_same_permutation_of_images_and_texts_changes_nothing() -> None:
    pairs = random_pairs()
    order = torch.randperm(7, generator=torch.Generator().manual_seed(1))
    permuted = Pairs(pairs.images.detach()[order], pairs.texts.detach()[order], scale=8.0, bias=-2.0)

    assert permuted.loss().item() == pytest.approx(pairs.loss().item(), abs=EXACT)


def test_swapping_the_modalities_of_a_square_batch_changes_nothing() -> None:
    pairs = random_pairs()
    swapped = Pairs(pairs.texts.detach(), pairs.images.detach(), scale=8.0, bias=-2.0)

    assert swapped.loss().item() == pytest.approx(pairs.loss().item(), abs=EXACT)


@pytest.mark.parametrize("seed", range(5))
def test_loss_equals_binary_cross_entropy_over_the_pairs(seed: int) -> None:
    pairs = random_pairs(6, 9, seed=seed)
    positive = random_positives(6, 9, seed)
    unit_images = pairs.images / pairs.images.norm(dim=1, keepdim=True)
    unit_texts = pairs.texts / pairs.texts.norm(dim=1, keepdim=True)
    logits = 8.0 * torch.einsum("bd,nd->bn", unit_images, unit_texts) - 2.0
    expected = functional.binary_cross_entropy_with_logits(logits, positive.double(), reduction="sum") / 6

    assert pairs.loss(positive_BN=positive).item() == pytest.approx(expected.item(), abs=EXACT)
    assert sigmoid_loss_from_logits(logits, positive_BN=positive).item() == pytest.approx(
        expected.item(), abs=EXACT
    )


def test_loss_equals_a_plain_double_loop() -> None:
    pairs = random_pairs(4, 5, seed=3)
    weight = torch.rand(4, 5, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    images, texts = pairs.images.detach().numpy(), pairs.texts.detach().numpy()
    total = 0.0
    for i in range(4):
        for j in range(5):
            cosine = images[i] @ texts[j] / np.linalg.norm(images[i]) / np.linalg.norm(texts[j])
            sign = 1 if i == j else -1
            total += weight[i, j].item() * math.log1p(math.exp(-sign * (8.0 * cosine - 2.0)))

    assert pairs.loss(weight_BN=weight).item() == pytest.approx(total / 4, abs=EXACT)


@pytest.mark.parametrize("chunk_size", [1, 3, 7, 8, 100])
@pytest.mark.parametrize("explicit", [False, True])
def test_chunks_give_the_loss_and_gradients_of_the_whole(chunk_size: int, explicit: bool) -> None:
    whole, chunked = random_pairs(8, 10), random_pairs(8, 10)
    options = {}
    if explicit:
        weight = torch.rand(8, 10, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        options = {"positive_BN": random_positives(8, 10), "weight_BN": weight}

    expected = whole.loss(**options)
    expected.backward()
    loss = chunked.loss(chunk_size=chunk_size, **options)
    loss.backward()

    assert loss.item() == pytest.approx(expected.item(), abs=EXACT)
    for found, wanted in zip(chunked.gradients(), whole.gradients(), strict=True):
        torch.testing.assert_close(found, wanted, atol=EXACT, rtol=0)


def test_chunks_never_hold_all_logits() -> None:
    n_images, n_texts, chunk_size = 64, 256, 8
    pairs = random_pairs(n_images, n_texts)
    kept: list[int] = []

    def note_size(saved: Tensor) -> Tensor:
        kept.append(saved.numel())
        return saved

    with torch.autograd.graph.saved_tensors_hooks(note_size, lambda saved: saved):
        pairs.loss(chunk_size=chunk_size)

    assert max(kept) < n_images * n_texts  # embeddings are kept, pairs are not
    assert sum(size for size in kept if size == chunk_size * n_texts) == 0


def test_shards_averaged_over_devices_give_the_loss_and_gradients_of_one_device() -> None:
    whole, sharded = random_pairs(8, 8), random_pairs(8, 8)
    n_devices, own = 4, torch.eye(8, dtype=torch.bool)

    expected = whole.loss()
    expected.backward()
    loss = torch.zeros((), dtype=torch.float64)
    for device in range(n_devices):
        rows = slice(2 * device, 2 * device + 2)
        shard = sigmoid_loss(
            sharded.images[rows],
            sharded.texts,
            log_logit_scale=sharded.log_logit_scale,
            logit_bias=sharded.logit_bias,
            positive_BN=own[rows],
        )
        loss = loss + shard / n_devices
    loss.backward()

    assert loss.item() == pytest.approx(expected.item(), abs=EXACT)
    for found, wanted in zip(sharded.gradients(), whole.gradients(), strict=True):
        torch.testing.assert_close(found, wanted, atol=EXACT, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("positive", [False, True])
def test_huge_logits_give_finite_loss_and_gradients(dtype: torch.dtype, positive: bool) -> None:
    images = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=dtype)
    pairs = Pairs(images, images, scale=1e4, bias=0.0)

    loss = pairs.loss(positive_BN=torch.full((2, 2), positive))
    loss.backward()

    assert loss.item() == pytest.approx(1e4, rel=1e-5)  # two pairs wrong by 10,000, two images
    assert all(torch.isfinite(gradient).all() for gradient in pairs.gradients())


def test_length_of_raw_embeddings_changes_nothing() -> None:
    pairs = random_pairs()
    factor = torch.logspace(-3, 3, 7, dtype=torch.float64)[:, None]
    scaled = Pairs(pairs.images.detach() * factor, pairs.texts.detach() * 40, scale=8.0, bias=-2.0)

    assert scaled.loss().item() == pytest.approx(pairs.loss().item(), abs=EXACT)


def test_unrelated_text_adds_only_its_own_small_terms() -> None:
    images = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0]], dtype=torch.float64)
    far = torch.tensor([[-1.0, 0.0, 0.0]], dtype=torch.float64)
    before = Pairs(images, images).loss()
    after = Pairs(images, torch.cat([images, far])).loss()

    logits = torch.tensor([-20.0, -18.0], dtype=torch.float64)  # 10 cos - 10
    assert (after - before).item() == pytest.approx(logits.sigmoid().mean().item(), rel=1e-6)


def test_single_pair_is_softplus_of_the_negative_logit() -> None:
    pair = Pairs(torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 0.0]]), scale=5.0, bias=-1.0)

    assert pair.loss().item() == pytest.approx(math.log1p(math.exp(-(5.0 * 0.6 - 1.0))), abs=SINGLE)


@pytest.mark.parametrize(("i", "j"), [(0, 2), (3, 1), (6, 5)])
def test_turning_a_negative_into_a_positive_subtracts_its_logit(i: int, j: int) -> None:
    pairs = random_pairs()
    positive = torch.eye(7, dtype=torch.bool)
    positive[i, j] = True
    logit = 8.0 * functional.cosine_similarity(pairs.images[i], pairs.texts[j], dim=0) - 2.0

    change = pairs.loss(positive_BN=positive) - pairs.loss()
    assert (7 * change).item() == pytest.approx(-logit.item(), abs=EXACT)


def test_training_moves_scale_and_bias_off_their_start() -> None:
    pairs = random_pairs()
    optimizer = torch.optim.SGD([pairs.images, pairs.log_logit_scale, pairs.logit_bias], lr=0.05)
    first = pairs.loss().item()
    for _ in range(20):
        optimizer.zero_grad()
        loss = pairs.loss()
        loss.backward()
        optimizer.step()

    assert abs(pairs.logit_bias.item() + 2.0) > 0.01
    assert abs(pairs.log_logit_scale.item() - math.log(8.0)) > 0.01
    assert loss.item() < first


@pytest.mark.parametrize("chunk_size", [None, 2])
def test_gradients_agree_with_finite_differences(chunk_size: int | None) -> None:
    pairs = random_pairs(4, 5, scale=3.0)
    positive = random_positives(4, 5)

    def loss(images: Tensor, texts: Tensor, log_logit_scale: Tensor, logit_bias: Tensor) -> Tensor:
        return sigmoid_loss(
            images,
            texts,
            log_logit_scale=log_logit_scale,
            logit_bias=logit_bias,
            positive_BN=positive,
            chunk_size=chunk_size,
        )

    inputs = (pairs.images, pairs.texts, pairs.log_logit_scale, pairs.logit_bias)
    assert torch.autograd.gradcheck(loss, inputs, eps=1e-6, atol=1e-7)


def test_half_precision_embeddings_and_autocast_are_summed_in_float32() -> None:
    single = random_pairs(16, 16)
    images, texts = single.images.detach().bfloat16(), single.texts.detach().bfloat16()
    expected = Pairs(images.float(), texts.float(), scale=8.0, bias=-2.0).loss()
    scale, bias = torch.tensor(math.log(8.0)), torch.tensor(-2.0)

    for chunk_size in (None, 4):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = sigmoid_loss(images, texts, log_logit_scale=scale, logit_bias=bias, chunk_size=chunk_size)
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(expected.item(), abs=SINGLE)


@pytest.mark.parametrize(
    ("n_candidates", "bias"), [(64, -4.143), (256, -5.541), (4096, -8.318), (32768, -10.397)]
)
def test_initial_bias_is_the_base_rate(n_candidates: int, bias: float) -> None:
    assert initial_bias(n_candidates) == pytest.approx(bias, abs=5e-4)
    logits = torch.full(
        (1, n_candidates), initial_bias(n_candidates), dtype=torch.float64, requires_grad=True
    )
    sigmoid_loss_from_logits(logits).backward()
    assert logits.grad.sum().item() == pytest.approx(0, abs=EXACT)  # the bias is where it wants to be


def test_initial_bias_makes_up_for_similar_embeddings() -> None:
    assert initial_bias(11, logit_scale=10.0, mean_similarity=0.2) == pytest.approx(-math.log(10) - 2)
    assert initial_bias(1) == 0
    with pytest.raises(InputError, match="n_candidates is 0"):
        initial_bias(0)


def test_shapes_that_do_not_fit_are_refused() -> None:
    pairs = random_pairs(4, 3)
    with pytest.raises(InputError, match="4 images and 3 texts"):
        pairs.loss()
    with pytest.raises(InputError, match="positive_BN has shape"):
        pairs.loss(positive_BN=torch.eye(4, dtype=torch.bool))
    with pytest.raises(InputError, match=r"\.bool"):
        pairs.loss(positive_BN=torch.zeros(4, 3))
    with pytest.raises(InputError, match="weight_BN has shape"):
        random_pairs().loss(weight_BN=torch.ones(7))
    with pytest.raises(InputError, match="chunk_size is 0"):
        random_pairs().loss(chunk_size=0)
    with pytest.raises(InputError, match="same D"):
        Pairs(torch.ones(2, 3), torch.ones(2, 4)).loss()
