"""A hypernetwork reads a set of names: order, repetition and padding change nothing."""

import pytest

pytest.importorskip("torch", reason="models need PyTorch: pip install 'hyperclip[train]'")

import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperclip.errors import InputError
from hyperclip.models import Hypernetwork, HypernetworkConfig, TokenContext
from hyperclip.models.hypernetwork import unique_weights

pytestmark = pytest.mark.torch

TEXT_DIM, N_GENERATED = 16, 40
ROUNDING = 2e-6  # float32 sums in another order, on outputs of size 0.1 to 0.5


def unit_rows(*shape: int, seed: int = 0) -> Tensor:
    return functional.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def make_hypernetwork(cls: type[Hypernetwork] = Hypernetwork, **options: object) -> Hypernetwork:
    """A small one that looks trained: its last layer is not zero."""
    torch.manual_seed(0)
    sizes = {"text_dim": TEXT_DIM, "hidden_dim": 32, "bottleneck_dim": 8} | options
    hypernetwork = cls(HypernetworkConfig(**sizes), N_GENERATED)
    nn.init.normal_(hypernetwork.out.weight, std=0.05)
    hypernetwork.center.copy_(0.2 * unit_rows(1, TEXT_DIM, seed=9)[0])
    return hypernetwork.eval()


def assert_same(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=ROUNDING, rtol=0)


def test_untrained_hypernetwork_changes_nothing() -> None:
    hypernetwork = Hypernetwork(HypernetworkConfig(text_dim=TEXT_DIM), N_GENERATED)

    assert (hypernetwork(unit_rows(3, 7, TEXT_DIM)) == 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_order_of_the_names_changes_nothing(seed: int) -> None:
    hypernetwork, emb = make_hypernetwork(), unit_rows(2, 9, TEXT_DIM, seed=seed)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(seed))

    assert_same(hypernetwork(emb[:, order]), hypernetwork(emb))


@pytest.mark.parametrize("repeated", [[0], [0, 0, 0, 4], list(range(6)), list(range(6)) * 3], ids=len)
def test_repeating_one_row_or_all_rows_changes_nothing(repeated: list[int]) -> None:
    hypernetwork, emb = make_hypernetwork(), unit_rows(1, 6, TEXT_DIM)

    assert_same(hypernetwork(torch.cat([emb, emb[:, repeated]], dim=1)), hypernetwork(emb))


def test_repeated_names_count_once_also_where_they_were_stored_in_half_precision() -> None:
    hypernetwork, emb = make_hypernetwork(), unit_rows(1, 6, TEXT_DIM).half()

    assert_same(hypernetwork(emb[:, [0, 0, 0, 1, 2, 3, 4, 5]]), hypernetwork(emb))


def test_length_of_raw_embeddings_changes_nothing() -> None:
    hypernetwork, emb = make_hypernetwork(), unit_rows(2, 6, TEXT_DIM)
    length = torch.logspace(-2, 2, 6)[:, None]

    assert_same(hypernetwork(emb * length), hypernetwork(emb))


@pytest.mark.parametrize("n_padding", [1, 20])
def test_padding_rows_change_nothing(n_padding: int) -> None:
    hypernetwork, emb = make_hypernetwork(), unit_rows(2, 6, TEXT_DIM)
    padding = 100 * torch.randn(2, n_padding, TEXT_DIM, generator=torch.Generator().manual_seed(3))
    padding[:, 0] = emb[:, 0]  # a padded copy of a name is no repetition
    mask = torch.cat([torch.ones(2, 6), torch.zeros(2, n_padding)], dim=1).bool()

    assert_same(hypernetwork(torch.cat([emb, padding], dim=1), mask), hypernetwork(emb))


def test_contexts_of_one_batch_do_not_see_each_other() -> None:
    hypernetwork, emb = make_hypernetwork(), unit_rows(4, 6, TEXT_DIM)
    mask = torch.arange(6)[None] < torch.tensor([[6], [1], [4], [2]])

    together = hypernetwork(emb, mask)

    apart = torch.cat([hypernetwork(emb[i : i + 1, : int(mask[i].sum())]) for i in range(4)])
    assert_same(together, apart)


def names_with_a_large_common_part(n_contexts: int, n_names: int) -> Tensor:
    """As sentence encoders give them: the common part is several times as long as the rest."""
    common = 3 * unit_rows(1, TEXT_DIM, seed=7)[0]
    return functional.normalize(common + unit_rows(n_contexts, n_names, TEXT_DIM), dim=-1)


def relative_variance(rows: Tensor) -> float:
    """Share of the mean square that differs between contexts: 0 where all are equal."""
    return (rows.var(dim=0, correction=0).sum() / rows.square().mean(dim=0).sum()).item()


@pytest.mark.parametrize("n_names", [1, 10, 100])
def test_code_varies_between_contexts_from_the_first_step(n_names: int) -> None:
    emb = names_with_a_large_common_part(50, n_names)
    torch.manual_seed(0)
    hypernetwork = Hypernetwork(HypernetworkConfig(text_dim=TEXT_DIM), N_GENERATED)
    hypernetwork.center.copy_(emb.mean(dim=(0, 1)))

    assert relative_variance(hypernetwork.context_code(emb)) > 0.2


def test_centering_makes_the_context_vary_where_names_share_a_large_part() -> None:
    hypernetwork, emb = make_hypernetwork(), names_with_a_large_common_part(50, 10)

    hypernetwork.center.zero_()
    raw = relative_variance(hypernetwork(emb))
    hypernetwork.center.copy_(emb.mean(dim=(0, 1)))

    assert relative_variance(hypernetwork(emb)) > 4 * raw


def test_changes_stay_within_the_bound_however_large_the_last_layer_grows() -> None:
    hypernetwork = make_hypernetwork(bound=0.3)
    nn.init.normal_(hypernetwork.out.weight, std=100.0)

    delta = hypernetwork(unit_rows(4, 10, TEXT_DIM))

    assert delta.abs().max() <= 0.3 * (1 + 1e-6)  # one float32 rounding of the product
    assert delta.abs().max() > 0.29


def test_small_changes_pass_the_bound_nearly_unchanged() -> None:
    hypernetwork, emb = make_hypernetwork(), unit_rows(1, 5, TEXT_DIM)
    nn.init.normal_(hypernetwork.out.weight, std=1e-4)

    linear = hypernetwork.out(hypernetwork.context_code(emb))
    torch.testing.assert_close(hypernetwork(emb), linear, atol=1e-8, rtol=1e-5)


@pytest.mark.parametrize("n_names", [1, 2, 10_000])
def test_one_name_and_ten_thousand_are_fine(n_names: int) -> None:
    with torch.no_grad():
        code = make_hypernetwork().context_code(unit_rows(1, n_names, TEXT_DIM))

    assert torch.isfinite(code).all()
    assert code.norm().item() == pytest.approx(8**0.5, rel=1e-5)  # constant length: sqrt(bottleneck_dim)


@pytest.mark.parametrize("n_names", [1, 6])
def test_identical_rows_have_finite_changes_and_gradients(n_names: int) -> None:
    hypernetwork = make_hypernetwork()
    row = unit_rows(1, 1, TEXT_DIM).requires_grad_()

    delta = hypernetwork(row.expand(1, n_names, TEXT_DIM))
    delta.sum().backward()

    assert torch.isfinite(delta).all()
    assert torch.isfinite(row.grad).all()


def test_empty_context_is_finite() -> None:
    mask = torch.zeros(1, 4, dtype=torch.bool)

    assert torch.isfinite(make_hypernetwork()(torch.zeros(1, 4, TEXT_DIM), mask)).all()


def test_changes_are_float32_and_equal_under_autocast() -> None:
    hypernetwork, emb = make_hypernetwork(), unit_rows(3, 6, TEXT_DIM)
    expected = hypernetwork(emb)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = hypernetwork(emb)

    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_weights_of_a_context_sum_to_its_number_of_different_names() -> None:
    emb = unit_rows(1, 4, TEXT_DIM)[:, [0, 1, 0, 2, 3, 0]]
    mask = torch.tensor([[True, True, True, True, False, True]])

    weight = unique_weights(emb, mask)

    expected = torch.tensor([[1 / 3, 1, 1 / 3, 1, 0, 1 / 3]])
    torch.testing.assert_close(weight, expected)


def test_first_backward_pass_reaches_the_last_layer_alone_and_the_second_reaches_all() -> None:
    torch.manual_seed(0)
    hypernetwork = Hypernetwork(HypernetworkConfig(text_dim=TEXT_DIM), N_GENERATED)
    emb, goal = unit_rows(3, 6, TEXT_DIM), torch.randn(3, N_GENERATED)
    optimizer = torch.optim.SGD(hypernetwork.parameters(), lr=1.0)

    (hypernetwork(emb) - goal).square().mean().backward()
    for name, parameter in hypernetwork.named_parameters():
        assert bool((parameter.grad != 0).any()) == (name == "out.weight"), name

    optimizer.step()
    optimizer.zero_grad()
    (hypernetwork(emb) - goal).square().mean().backward()
    assert all((parameter.grad != 0).any() for parameter in hypernetwork.parameters())


def test_token_context_is_the_same_for_every_list() -> None:
    control = make_hypernetwork(TokenContext, kind="token", n_tokens=5)

    delta = control(unit_rows(3, 6, TEXT_DIM))
    other = control(unit_rows(1, 100, TEXT_DIM, seed=4), torch.rand(1, 100) < 0.5)

    assert delta.shape == (3, N_GENERATED)
    assert (delta == delta[:1]).all()
    assert_same(other[0], delta[0])
    assert delta.abs().max() > 0


def test_token_context_learns_its_tokens() -> None:
    control = make_hypernetwork(TokenContext, kind="token", n_tokens=5)

    control(unit_rows(3, 6, TEXT_DIM)).square().sum().backward()

    assert control.tokens.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "image"}, "expected 'text' or 'token'"),
        ({"bottleneck_dim": 0}, "below 1"),
        ({"hidden_dim": 30}, "multiple of n_heads = 4"),
        ({"bound": 0.0}, "bound is 0"),
        ({"bound": 1.5}, "bound is 1.5"),
    ],
)
def test_sizes_that_cannot_work_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        HypernetworkConfig(**options)


def test_even_routing_is_neutral_and_codes_sum_to_zero() -> None:
    hypernetwork, emb = make_hypernetwork(code="softmax"), unit_rows(2, 5, TEXT_DIM)
    code = hypernetwork.context_code(emb)

    torch.testing.assert_close(code.sum(dim=1), torch.zeros(2), atol=1e-5, rtol=0)
    assert code.min() > -1
    assert code.abs().max() > 0.01
    nn.init.zeros_(hypernetwork.bottleneck.weight)
    nn.init.zeros_(hypernetwork.bottleneck.bias)
    assert (hypernetwork(emb) == 0).all()


def test_weights_have_a_bound_of_their_own() -> None:
    hypernetwork = Hypernetwork(
        HypernetworkConfig(text_dim=TEXT_DIM, bound=0.5, weight_bound=2.0), N_GENERATED, n_weights=3
    )
    nn.init.normal_(hypernetwork.out.weight, std=100.0)
    change = hypernetwork(unit_rows(4, 5, TEXT_DIM)).detach().abs()

    assert change[:, :-3].max() == pytest.approx(0.5, abs=1e-3)
    assert change[:, -3:].max() == pytest.approx(2.0, abs=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight_bound": 0.0}, "weight_bound is 0.0; expected a number in"),
        ({"code": "cube"}, "code is 'cube'; expected 'sphere', 'softmax' or 'whitened'"),
        ({"code": "softmax", "bottleneck_dim": 1}, "at least 2 experts"),
    ],
)
def test_wrong_codes_and_bounds_are_one_sentence(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        HypernetworkConfig(**options)  # type: ignore[arg-type]


# Whitened code ----------------------------------------------------------------------------------------


def make_whitened(kind: type[Hypernetwork] = Hypernetwork) -> tuple[Hypernetwork, Tensor]:
    """A hypernetwork that has seen a vocabulary of five clusters, and the vocabulary."""
    generator = torch.Generator().manual_seed(3)
    clusters = torch.randn(5, 16, generator=generator).repeat_interleave(20, dim=0)
    vocabulary = functional.normalize(clusters + 0.4 * torch.randn(100, 16, generator=generator), dim=-1)
    config = HypernetworkConfig(text_dim=16, hidden_dim=8, bottleneck_dim=4, code="whitened")
    network = kind(config, 12)
    network.look_at(vocabulary)
    return network, vocabulary


def test_a_whitened_code_varies_between_lists_and_is_small_for_everything() -> None:
    network, vocabulary = make_whitened()
    lists = vocabulary.reshape(5, 20, 16)

    codes = network.context_code(lists)
    everything = network.context_code(vocabulary[None])

    varies = codes.var(dim=0, correction=0).sum() / codes.square().sum(dim=1).mean()
    assert varies > 0.9
    assert everything.norm() < 0.3 * codes.norm(dim=1).mean()
    assert (codes.norm(dim=1) <= 1.5 * 2 + 1e-5).all()


def test_a_whitened_code_ignores_order_and_repetition() -> None:
    network, vocabulary = make_whitened()
    names = vocabulary[:6]

    code = network.context_code(names[None])

    torch.testing.assert_close(network.context_code(names.flip(0)[None]), code, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        network.context_code(torch.cat([names, names])[None]), code, atol=1e-4, rtol=1e-4
    )


def test_tokens_give_a_whitened_code_of_usual_size_that_learns() -> None:
    network, vocabulary = make_whitened(TokenContext)

    code = network.context_code(vocabulary.reshape(5, 20, 16))

    torch.testing.assert_close(code, code[:1].expand(5, -1))
    torch.testing.assert_close(code.norm(dim=1), torch.full((5,), 2.0))
    torch.nn.init.normal_(network.out.weight)
    network(vocabulary[None]).sum().backward()
    assert isinstance(network, TokenContext)
    assert network.tokens.grad is not None
    assert network.tokens.grad.abs().max() > 0


def test_a_whitened_code_cannot_be_wider_than_the_text() -> None:
    with pytest.raises(InputError, match="expected at most text_dim = 16"):
        HypernetworkConfig(text_dim=16, bottleneck_dim=32, code="whitened")
