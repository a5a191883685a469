"""Properties that any correct HyperCLIP has: zero start, sets in, no images in, one plain encoder out."""

import copy
from collections.abc import Callable

import pytest

pytest.importorskip("torch", reason="models need PyTorch: pip install 'hyperclip[train]'")

import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperclip.errors import InputError
from hyperclip.losses import sigmoid_loss_from_logits
from hyperclip.models import (
    HeadConfig,
    HyperCLIP,
    HyperCLIPConfig,
    HypernetworkConfig,
    ImageEncoderConfig,
    TextEncoder,
    TextEncoderConfig,
    mean_by_class,
)

pytestmark = pytest.mark.torch

DIM, TEXT_DIM, SIZE_PX = 16, 8, 32
ENCODERS = ["test_efficientnet", "test_efficientnet_gn", "edgenext_xx_small"]  # Batch-, Group-, LayerNorm
SINGLE = {"atol": 1e-4, "rtol": 1e-4}  # float32 through some forty layers; embeddings are of size 1 to 10


def random_images(n_images: int = 4, seed: int = 0) -> Tensor:
    return torch.randn(n_images, 3, SIZE_PX, SIZE_PX, generator=torch.Generator().manual_seed(seed))


def unit_rows(n_rows: int, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(n_rows, TEXT_DIM, generator=rng), dim=-1)


def make_config(name: str, kind: str | None) -> HyperCLIPConfig:
    return HyperCLIPConfig(
        image_encoder=ImageEncoderConfig(name=name, embedding_dim=DIM),
        head=HeadConfig(text_dim=TEXT_DIM, dim=DIM),
        hypernetwork=None
        if kind is None
        else HypernetworkConfig(kind=kind, text_dim=TEXT_DIM, hidden_dim=16, bottleneck_dim=4, n_tokens=5),
    )


class Make:
    """Models of one image encoder whose weights look trained."""

    def __init__(self, name: str, look_trained: Callable[..., None]) -> None:
        self.name = name
        torch.manual_seed(0)
        self._plain = HyperCLIP(make_config(name, None))
        look_trained(self._plain.image_encoder, random_images(8, seed=5))
        self._plain.eval()

    def __call__(self, kind: str | None = "text", *, trained: bool = True) -> HyperCLIP:
        """A fresh model; `trained` gives the hypernetwork a last layer that is not zero."""
        if kind is None:
            return copy.deepcopy(self._plain)
        torch.manual_seed(1)
        model = HyperCLIP(make_config(self.name, kind))
        model.load_state_dict(self._plain.state_dict(), strict=False)
        if trained:
            nn.init.normal_(model.hypernetwork.out.weight, std=0.05)
        model.set_center(unit_rows(50, seed=8))
        return model.eval()


@pytest.fixture(scope="module", params=ENCODERS)
def make(request: pytest.FixtureRequest, look_trained: Callable[..., None]) -> Make:
    return Make(request.param, look_trained)


@pytest.mark.parametrize("kind", ["text", "token"])
@pytest.mark.parametrize("n_classes", [1, 4, 30])
def test_zero_start_equals_plain_siglip_bit_for_bit(make: Make, kind: str, n_classes: int) -> None:
    plain, hyper = make(None), make(kind, trained=False)
    images, names = random_images(), unit_rows(n_classes)
    positive = torch.zeros(4, n_classes, dtype=torch.bool)
    positive[:, 0] = True

    losses = []
    for model in (plain, hyper):
        logits = model(images, names)
        losses.append(sigmoid_loss_from_logits(logits, positive_BN=positive))
        losses[-1].backward()

    assert torch.equal(hyper(images, names), plain(images, names))
    assert torch.equal(losses[1], losses[0])
    for (name, found), expected in zip(
        hyper.image_encoder.named_parameters(), plain.image_encoder.parameters(), strict=True
    ):
        assert torch.equal(found.grad, expected.grad), name


def test_first_backward_pass_reaches_only_the_last_layer_of_the_hypernetwork(make: Make) -> None:
    model = make(trained=False)

    model(random_images(), unit_rows(4)).square().mean().backward()

    gradients = {name: p.grad for name, p in model.hypernetwork.named_parameters()}
    assert (gradients.pop("out.weight") != 0).any()
    assert all((gradient == 0).all() for gradient in gradients.values())


def test_order_of_the_classes_permutes_the_logits_and_leaves_the_encoder(make: Make) -> None:
    model, images, names = make(), random_images(), unit_rows(7)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(2))

    torch.testing.assert_close(
        model.generate(names[order][None]), model.generate(names[None]), atol=2e-6, rtol=0
    )
    torch.testing.assert_close(model(images, names[order]), model(images, names)[:, order], **SINGLE)


@pytest.mark.parametrize("rows", [[0, 1, 2, 3, 4, 0], [0, 1, 2, 3, 4] * 3], ids=["one twice", "all thrice"])
def test_repeated_names_leave_the_encoder(make: Make, rows: list[int]) -> None:
    model, images, names = make(), random_images(), unit_rows(5)

    torch.testing.assert_close(
        model.generate(names[rows][None]), model.generate(names[None]), atol=2e-6, rtol=0
    )
    torch.testing.assert_close(model(images, names[rows]), model(images, names)[:, rows], **SINGLE)


def test_padded_contexts_leave_the_encoder(make: Make) -> None:
    model, names = make(), unit_rows(5)
    padded = torch.stack([names, torch.cat([names[:2], unit_rows(3, seed=3)])])
    mask = torch.tensor([[True] * 5, [True, True, False, False, False]])

    found = model.generate(padded, mask)

    expected = torch.cat([model.generate(names[None]), model.generate(names[None, :2])])
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize("n_classes", [1, 2, 1000])
def test_any_number_of_classes_gives_finite_logits(make: Make, n_classes: int) -> None:
    with torch.no_grad():
        logits = make()(random_images(2), unit_rows(n_classes))

    assert logits.shape == (2, n_classes)
    assert torch.isfinite(logits).all()


def test_identical_names_give_finite_logits(make: Make) -> None:
    with torch.no_grad():
        assert torch.isfinite(make()(random_images(2), unit_rows(1).expand(6, -1))).all()


def test_scale_of_raw_text_embeddings_changes_nothing(make: Make) -> None:
    config = TextEncoderConfig(
        vocab_size=20, context_length=6, width=8, n_layers=1, n_heads=2, text_dim=TEXT_DIM
    )
    torch.manual_seed(0)
    text_encoder = TextEncoder(config).eval()
    ids = torch.randint(1, 20, (5, 6), generator=torch.Generator().manual_seed(1))
    classes = torch.tensor([0, 1, 1, 2, 0])
    model, results = make(), []

    for factor in (1.0, 40.0):
        with torch.no_grad():
            text_encoder.proj.weight.mul_(factor)
            text_encoder.proj.bias.mul_(factor)
            names = mean_by_class(text_encoder(ids, torch.ones_like(ids)), classes, 3)
            results.append((model.generate(names[None]), model(random_images(), names)))

    torch.testing.assert_close(results[1][0], results[0][0], atol=1e-5, rtol=0)
    torch.testing.assert_close(results[1][1], results[0][1], atol=1e-3, rtol=1e-3)


def test_batch_that_mixes_contexts_equals_single_passes(make: Make) -> None:
    model, images = make(), random_images(5)
    names = torch.stack([unit_rows(4, seed=1), unit_rows(4, seed=2)])
    index = torch.tensor([0, 1, 1, 0, 1])

    with torch.no_grad():
        delta = model.generate(names)
        mixed = model.embed_images(images, delta, index)
        apart = [model.embed_images(images, model.generate(names[i : i + 1])) for i in range(2)]

    expected = torch.stack([apart[row][i] for i, row in enumerate(index.tolist())])
    torch.testing.assert_close(mixed, expected, **SINGLE)
    assert (apart[0] - apart[1]).abs().max() > 1e-2


def test_images_have_no_part_in_what_is_generated(make: Make) -> None:
    model, names, generated = make(), unit_rows(4), []
    model.hypernetwork.register_forward_hook(lambda module, args, out: generated.append(out))

    for images in (random_images(), random_images(1, seed=9), torch.full((2, 3, SIZE_PX, SIZE_PX), 1e3)):
        model(images, names)
    model.generate(names[None])

    assert all(torch.equal(delta, generated[0]) for delta in generated[1:])


def test_result_of_an_image_does_not_depend_on_the_others(make: Make) -> None:
    model, images, names = make(), random_images(5), unit_rows(4)

    with torch.no_grad():
        together = model(images, names)
        alone = torch.cat([model(images[i : i + 1], names) for i in range(5)])
        reversed_order = model(images.flip(0), names).flip(0)

    torch.testing.assert_close(alone, together, **SINGLE)
    torch.testing.assert_close(reversed_order, together, **SINGLE)


def write_in(model: HyperCLIP, delta_P: Tensor, make: Make) -> HyperCLIP:
    """The plain SigLIP model with the same weights and the final scales and shifts of `delta_P`."""
    plain = make(None)
    plain.load_state_dict(
        {name: value for name, value in model.state_dict().items() if not name.startswith("hypernetwork.")}
    )
    final_P = model.image_encoder.final_parameters(delta_P[None])[0]
    with torch.no_grad():
        for norm in plain.image_encoder.norms():
            scale, shift = final_P[norm.offset :][: 2 * norm.n_channels].split(norm.n_channels)
            norm.norm.weight.copy_(scale)
            norm.norm.bias.copy_(shift)
    return plain


def test_token_control_is_one_plain_encoder_for_all_tasks(make: Make) -> None:
    control, images = make("token"), random_images()
    tasks = [unit_rows(n, seed=n) for n in (1, 4, 9)]

    with torch.no_grad():
        plain = write_in(control, control.generate(tasks[0][None])[0], make)

        for names in tasks:
            torch.testing.assert_close(plain(images, names), control(images, names), **SINGLE)
        assert (plain(images, tasks[1]) - make(None)(images, tasks[1])).abs().max() > 1e-2


def test_text_context_is_another_plain_encoder_for_each_task(make: Make) -> None:
    model, images, a, b = make(), random_images(), unit_rows(4, seed=1), unit_rows(4, seed=2)

    with torch.no_grad():
        plain = write_in(model, model.generate(a[None])[0], make)

        torch.testing.assert_close(plain(images, a), model(images, a), **SINGLE)
        assert (plain(images, b) - model(images, b)).abs().max() > 1e-2


@pytest.mark.parametrize("kind", ["text", "token"])
def test_plain_model_becomes_a_conditioned_one_with_a_zero_last_layer(make: Make, kind: str) -> None:
    model = make(kind)
    missing, unexpected = model.load_state_dict(make(None).state_dict(), strict=False)
    nn.init.zeros_(model.hypernetwork.out.weight)

    assert not unexpected
    assert all(name.startswith("hypernetwork.") for name in missing)
    with torch.no_grad():
        assert torch.equal(model(random_images(), unit_rows(4)), make(None)(random_images(), unit_rows(4)))


def test_mean_by_class_averages_the_texts_of_a_class() -> None:
    rows = unit_rows(4)

    found = mean_by_class(rows, torch.tensor([1, 0, 1, 2]), 3)

    expected = torch.stack([rows[1], functional.normalize(rows[0] + rows[2], dim=0), rows[3]])
    torch.testing.assert_close(found, expected)


def test_model_without_hypernetwork_generates_nothing(make: Make) -> None:
    model = make(None)
    model.set_center(unit_rows(3))

    assert model.generate(unit_rows(3)[None]) is None


def test_a_hypernetwork_needs_something_to_generate() -> None:
    config = make_config("nf_regnet_b0", "text")  # its convolutions are normalized, its channels are not

    with pytest.raises(InputError, match=r"nothing of \['norms'\] .*\['pointwise'\]"):
        HyperCLIP(config)
