"""Generated weights of pointwise convolutions: neutral at zero, each picture under its context's own."""

from collections.abc import Callable

import pytest

pytest.importorskip("torch", reason="models need PyTorch: pip install 'hyperclip[train]'")

import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperclip.errors import InputError
from hyperclip.models import (
    HeadConfig,
    HyperCLIP,
    HyperCLIPConfig,
    HypernetworkConfig,
    ImageEncoder,
    ImageEncoderConfig,
)
from hyperclip.models.conditioned_norm import ContextSlot
from hyperclip.models.conditioned_weight import ConditionedPointwise, condition_pointwise

pytestmark = pytest.mark.torch

DIM, TEXT_DIM, SIZE_PX = 16, 8, 32
BOTH = ("norms", "pointwise")
# A residual net, squeeze-and-excite with biases, strided shortcuts, patches that join the batch axis.
ENCODERS = ["compact_20k", "test_efficientnet", "mobilenetv3_small_050", "resnet10t", "mobilevit_xxs"]
ROUNDING = 1e-9  # of float64, relative to the largest value of the embedding


def random_tensor(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def make_conv(**options: object) -> tuple[ConditionedPointwise, ContextSlot]:
    """A convolution of 6 to 4 channels, whose values lie from place 3 on."""
    torch.manual_seed(0)
    conv, slot = nn.Conv2d(6, 4, 1, **options).double(), ContextSlot()  # type: ignore[arg-type]
    assert condition_pointwise(nn.Sequential(conv), slot, 3) == [("0.weight", 24, 3)]
    assert isinstance(conv, ConditionedPointwise)
    return conv, slot


def make_encoder(
    name: str, look_trained: Callable[..., None] | None = None, generates: tuple[str, ...] = BOTH
) -> ImageEncoder:
    torch.manual_seed(0)
    encoder = ImageEncoder(ImageEncoderConfig(name=name, embedding_dim=DIM, generates=generates)).double()
    if look_trained is not None:
        look_trained(encoder, random_tensor(8, 3, 64, 64, seed=5))
    return encoder.eval()


def make_model(generates: tuple[str, ...] = BOTH, **hypernetwork: object) -> HyperCLIP:
    torch.manual_seed(0)
    sizes: dict[str, object] = {"text_dim": TEXT_DIM, "hidden_dim": 16, "bottleneck_dim": 4}
    return HyperCLIP(
        HyperCLIPConfig(
            image_encoder=ImageEncoderConfig(name="compact_20k", embedding_dim=DIM, generates=generates),
            head=HeadConfig(text_dim=TEXT_DIM, dim=DIM),
            hypernetwork=HypernetworkConfig(**(sizes | hypernetwork)),  # type: ignore[arg-type]
        )
    )


def assert_same(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= ROUNDING * expected.abs().max()


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"stride": 2}])
def test_each_picture_is_convolved_with_the_weights_of_its_context(options: dict[str, object]) -> None:
    conv, slot = make_conv(**options)
    images, delta = random_tensor(5, 6, 4, 3), random_tensor(3, 24, seed=1)

    with slot.filled(None, {3: delta}, [2, 0, 3]):
        found = conv(images)

    for i, row in enumerate([0, 0, 2, 2, 2]):
        weight = conv.weight + delta[row].view(4, 6, 1, 1) / 6**0.5
        expected = functional.conv2d(images[i : i + 1], weight, conv.bias, conv.stride)
        torch.testing.assert_close(found[i : i + 1], expected, atol=1e-12, rtol=1e-12)


def test_gradients_are_those_of_finite_differences() -> None:
    conv, slot = make_conv()

    def run(images: Tensor, delta: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        with slot.filled(None, {3: delta}, [1, 0, 2]):
            out: Tensor = torch.func.functional_call(conv, {"weight": weight, "bias": bias}, (images,))
        return out

    inputs = (random_tensor(3, 6, 2, 2), random_tensor(3, 24, seed=1), conv.weight.detach(), conv.bias)
    assert conv.bias is not None
    assert torch.autograd.gradcheck(run, [t.detach().requires_grad_() for t in inputs if t is not None])


def test_a_context_without_pictures_gets_a_gradient_of_zero() -> None:
    conv, slot = make_conv()
    delta = random_tensor(3, 24).requires_grad_()
    with slot.filled(None, {3: delta}, [1, 0, 2]):
        conv(random_tensor(3, 6, 2, 2)).square().sum().backward()

    assert delta.grad is not None
    assert delta.grad.abs().sum(dim=1).gt(0).tolist() == [True, False, True]


def test_only_plain_pointwise_convolutions_are_taken() -> None:
    model = nn.Sequential(
        nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 1, groups=4), nn.Conv2d(4, 4, 1, padding=1), nn.Linear(4, 4)
    )
    assert condition_pointwise(model, ContextSlot(), 0) == []
    assert not any(isinstance(module, ConditionedPointwise) for module in model)


def test_weights_keep_their_names_so_that_a_plain_encoder_is_a_start() -> None:
    plain, encoder = make_encoder("compact_20k", generates=("norms",)), make_encoder("compact_20k")

    assert list(plain.state_dict()) == list(encoder.state_dict())
    assert encoder.layout[: len(plain.layout)] == plain.layout
    assert encoder.n_norm_parameters == plain.n_generated


@pytest.mark.parametrize("name", ENCODERS)
def test_layout_lists_every_value_once(name: str) -> None:
    encoder = make_encoder(name)
    names = [entry for entry, _, _ in encoder.layout]
    end = 0
    for _, size, offset in encoder.layout:
        assert offset == end
        end += size

    assert end == encoder.n_generated == len(encoder.base_parameters()) == len(encoder.scale_mask())
    assert len(set(names)) == len(names)
    convs = [m for m in encoder.modules() if isinstance(m, nn.Conv2d)]
    n_pointwise = sum(c.weight.numel() for c in convs if c.kernel_size == (1, 1) and c.groups == 1)
    assert encoder.n_generated - encoder.n_norm_parameters == n_pointwise > 0


def test_zeros_are_the_plain_encoder_to_the_last_bit() -> None:
    encoder, images = make_encoder("compact_20k"), random_tensor(3, 3, SIZE_PX, SIZE_PX)
    zeros = torch.zeros(1, encoder.n_generated)

    with torch.no_grad():
        assert torch.equal(encoder(images, zeros), encoder(images))


def test_zeros_in_several_contexts_are_the_plain_encoder_up_to_rounding() -> None:
    encoder, images = make_encoder("compact_20k"), random_tensor(4, 3, SIZE_PX, SIZE_PX)
    zeros = torch.zeros(2, encoder.n_generated)

    with torch.no_grad():
        assert_same(encoder(images, zeros, torch.tensor([1, 0, 0, 1])), encoder(images))


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("generates", [BOTH, ("pointwise",)])
def test_a_plain_encoder_that_holds_the_final_values_gives_the_same(
    name: str,
    generates: tuple[str, ...],
    look_trained: Callable[..., None],
    plain_timm: Callable[..., nn.Module],
) -> None:
    encoder = make_encoder(name, look_trained, generates)
    images, delta = random_tensor(3, 3, 64, 64), 0.3 * random_tensor(2, encoder.n_generated, seed=1)

    with torch.no_grad():
        mixed = encoder(images, delta, torch.tensor([1, 0, 1]))
        a, b = (plain_timm(encoder, row)(images) for row in encoder.final_parameters(delta))

    assert_same(mixed, torch.stack([b[0], a[1], b[2]]))
    assert (a - b).abs().max() > 1e-3 * a.abs().max()  # the two contexts do differ


@pytest.mark.parametrize("index", [[0, 0, 1, 1, 2], [2, 0, 1, 0, 2], [1, 1, 1, 1, 1]])
def test_contexts_in_one_batch_equal_passes_apart(index: list[int]) -> None:
    encoder, images = make_encoder("compact_20k"), random_tensor(5, 3, SIZE_PX, SIZE_PX)
    delta = 0.5 * random_tensor(3, encoder.n_generated, seed=1)

    with torch.no_grad():
        together = encoder(images, delta, torch.tensor(index))
        apart = torch.cat([encoder(images[i : i + 1], delta[r : r + 1]) for i, r in enumerate(index)])
        one_each = encoder(images, delta[index])

    assert_same(together, apart)
    assert_same(one_each, apart)


def test_memory_format_changes_nothing() -> None:
    encoder, images = make_encoder("compact_20k"), random_tensor(4, 3, SIZE_PX, SIZE_PX)
    delta, index = random_tensor(2, encoder.n_generated, seed=1), torch.tensor([1, 0, 1, 0])

    with torch.no_grad():
        expected = encoder(images, delta, index)
        found = encoder(images.contiguous(memory_format=torch.channels_last), delta, index)

    assert_same(found, expected)


def test_statistics_of_a_mixed_batch_are_those_of_all_its_pictures() -> None:
    """Pictures are brought into the order of their contexts; BatchNorm must not notice."""
    images, index = random_tensor(6, 3, SIZE_PX, SIZE_PX), torch.tensor([1, 0, 2, 0, 1, 2])
    order = torch.argsort(index)
    runs = []
    for picked in (torch.arange(6), order):
        encoder = make_encoder("compact_20k").train()
        delta = 0.5 * random_tensor(3, encoder.n_generated, seed=1)
        out = encoder(images[picked], delta, index[picked])
        runs.append((out[torch.argsort(picked)], encoder.state_dict()))

    (a, state), (b, other) = runs
    assert_same(a, b)
    for key, value in state.items():
        torch.testing.assert_close(value, other[key], atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("kind", ["text", "token"])
@pytest.mark.parametrize("code", ["sphere", "softmax"])
def test_first_step_reaches_the_last_layer_of_the_hypernetwork_alone(kind: str, code: str) -> None:
    model = make_model(kind=kind, code=code)
    assert model.hypernetwork is not None
    images, names = random_tensor(4, 3, SIZE_PX, SIZE_PX).float(), random_tensor(5, TEXT_DIM, seed=2).float()
    with torch.no_grad():
        plain = model.head.logits(model.image_encoder.eval()(images), model.make_head(names))
        torch.testing.assert_close(model.eval()(images, names), plain, atol=0, rtol=0)

    model.train()(images, names).square().mean().backward()

    for name, parameter in model.hypernetwork.named_parameters():
        assert parameter.grad is not None, name
        assert bool((parameter.grad != 0).any()) == (name == "out.weight"), name
    grad = model.hypernetwork.out.weight.grad
    assert grad is not None
    n_norm = model.image_encoder.n_norm_parameters
    assert (grad[n_norm:] != 0).any(dim=1).float().mean() > 0.9  # weights learn at once
    assert all(p.grad is not None for p in model.image_encoder.parameters())


@pytest.mark.parametrize("code", ["sphere", "softmax"])
def test_order_and_repetition_of_names_change_no_weight(code: str) -> None:
    model = make_model(code=code).eval()
    assert model.hypernetwork is not None
    torch.nn.init.normal_(model.hypernetwork.out.weight, std=0.1)
    names = functional.normalize(random_tensor(1, 6, TEXT_DIM).float(), dim=-1)

    delta = model.generate(names)
    assert delta is not None
    for other in (names.flip(1), torch.cat([names, names[:, 2:4]], dim=1)):
        torch.testing.assert_close(model.generate(other), delta, atol=1e-5, rtol=1e-4)
    assert delta.shape == (1, model.image_encoder.n_generated)


@pytest.mark.parametrize("generates", [BOTH, ("norms",), ("pointwise",)])
def test_every_choice_trains_and_tells_contexts_apart(generates: tuple[str, ...]) -> None:
    """One picture set, two tasks whose answers contradict one another: only conditioning can learn both."""
    model = make_model(generates).train()
    rng = torch.Generator().manual_seed(0)
    images = torch.randn(8, 3, SIZE_PX, SIZE_PX, generator=rng).repeat(2, 1, 1, 1)
    names = functional.normalize(torch.randn(2, 4, TEXT_DIM, generator=rng), dim=-1)
    index, target = torch.arange(2).repeat_interleave(8), torch.arange(8) % 4
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        delta = model.generate(names)
        embedding = model.embed_images(images, delta, index)
        head = model.make_head(names[0])
        logits = model.head.logits(embedding, head)
        loss = functional.cross_entropy(logits, torch.cat([target, (target + 1) % 4]))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())

    # Without contexts the best is a coin between the two answers: log 2 = 0.69.
    assert losses[0] > 1
    assert losses[-1] < 0.5


def test_bfloat16_is_about_float32() -> None:
    model = make_model()
    encoder = model.image_encoder.train()
    images, index = random_tensor(6, 3, SIZE_PX, SIZE_PX).float(), torch.tensor([0, 0, 1, 1, 1, 2])
    grads = []
    for is_half in (False, True):
        delta = (0.3 * random_tensor(3, encoder.n_generated, seed=1)).float().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            out = encoder(images, delta, index)
        out.float().square().mean().backward()
        assert delta.grad is not None
        grads.append(delta.grad.flatten())

    assert functional.cosine_similarity(*grads, dim=0) > 0.9  # bfloat16 keeps 8 bits a value


@pytest.mark.parametrize("generates", [[], ["norms", "norms"], ["everything"]])
def test_wrong_choices_are_one_sentence(generates: list[str]) -> None:
    with pytest.raises(InputError, match="expected some of"):
        ImageEncoderConfig(name="compact_20k", generates=tuple(generates))
