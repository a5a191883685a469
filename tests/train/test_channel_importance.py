"""Importance of channels against independent computations."""

import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install 'hyperclip[train]'")
pytest.importorskip("torch_pruning", reason="needs torch-pruning: pip install 'hyperclip[train]'")

import torch
from torch import Tensor, nn

from hyperclip.models.channel_groups import find_groups
from hyperclip.train.channel_importance import (
    TaylorScores,
    magnitudes,
    milliseconds_per_channel,
    per_millisecond,
)

pytestmark = pytest.mark.torch


def make_network(*, norm: bool) -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 6, 3, padding=1), *([nn.BatchNorm2d(6)] if norm else []), nn.ReLU()]
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(6 * 16, 4)).double()
    if norm:
        nn.init.normal_(network[1].weight)
        nn.init.normal_(network[1].bias)
    return network


@pytest.mark.parametrize("norm", [False, True])
def test_taylor_is_activation_times_gradient_squared_after_the_sum(norm: bool) -> None:
    network = make_network(norm=norm).train()
    groups = find_groups(network, torch.zeros(1, 3, 4, 4))
    scores = TaylorScores()
    expected = []
    for seed in range(3):
        images = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(seed)).double()
        maps: list[Tensor] = []
        layer = network[1] if norm else network[0]

        def keep(module: nn.Module, given: object, out: Tensor, maps: list[Tensor] = maps) -> None:
            out.retain_grad()
            maps.append(out)

        hook = layer.register_forward_hook(keep)
        network.zero_grad()
        network(images).square().sum().backward()
        hook.remove()
        scores.add(network, groups)
        assert maps[0].grad is not None
        expected.append((maps[0].detach() * maps[0].grad).sum(dim=(0, 2, 3)) ** 2)
    torch.testing.assert_close(
        scores.scores()["0"].double(), torch.stack(expected).mean(dim=0), rtol=1e-5, atol=1e-7
    )


def test_a_channel_that_nobody_reads_has_taylor_score_zero() -> None:
    network = make_network(norm=True)
    with torch.no_grad():
        network[-1].weight[:, 2 * 16 : 3 * 16] = 0
        network[1].bias.abs_()  # no channel is dead behind the ReLU
    groups = find_groups(network, torch.zeros(1, 3, 4, 4))
    network(torch.randn(5, 3, 4, 4).double()).square().sum().backward()
    scores = TaylorScores()
    scores.add(network, groups)
    found = scores.scores()["0"]
    assert found[2] == 0
    assert (found[torch.arange(6) != 2] > 0).all()


def test_taylor_scores_are_kept_and_forgotten() -> None:
    network = make_network(norm=False)
    groups = find_groups(network, torch.zeros(1, 3, 4, 4))
    network(torch.randn(5, 3, 4, 4).double()).sum().backward()
    scores, again = TaylorScores(), TaylorScores()
    scores.add(network, groups)
    again.load_state_dict(scores.state_dict())
    assert torch.equal(again.scores()["0"], scores.scores()["0"])
    scores.forget()
    assert scores.n_batches == 0
    assert again.n_batches == 1


def test_magnitude_is_the_length_of_a_row() -> None:
    network = make_network(norm=False)
    groups = find_groups(network, torch.zeros(1, 3, 4, 4))
    expected = [row.norm().item() for row in network[0].weight.detach()]
    assert magnitudes(network, groups)["0"].tolist() == pytest.approx(expected)


def test_a_channel_over_many_pixels_costs_more_than_one_over_few() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1), nn.Conv2d(64, 64, 3, padding=1), nn.AvgPool2d(16),
        nn.Conv2d(64, 64, 3, padding=1), nn.Conv2d(64, 64, 3, padding=1), nn.Flatten(), nn.Linear(1024, 2),
    )  # fmt: skip
    groups = find_groups(network, torch.zeros(1, 3, 64, 64))
    cost = milliseconds_per_channel(network, network, groups, size_px=64)
    assert set(cost) == {group.name for group in groups}
    assert cost["0"] > 3 * cost["3"]
    assert min(cost.values()) >= 0


def test_importance_is_divided_by_cost() -> None:
    scores = {"a": torch.tensor([1.0, 4.0]), "b": torch.tensor([2.0]), "c": torch.tensor([3.0])}
    found = per_millisecond(scores, {"a": 2.0, "b": 0.5, "c": 0.0})
    assert {name: value.tolist() for name, value in found.items()} == {
        "a": [0.5, 2.0],
        "b": [4.0],
        "c": [6.0],
    }
