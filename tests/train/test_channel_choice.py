"""How many channels go when, and which."""

import itertools

import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install 'hyperclip[train]'")

import torch

from hyperclip.errors import InputError
from hyperclip.models.channel_groups import ChannelGroup
from hyperclip.train.channel_choice import PruningConfig, choose_channels, removed_share

pytestmark = pytest.mark.torch


def make_groups(*widths: int) -> list[ChannelGroup]:
    return [ChannelGroup(f"layer{i}", n, (), (f"layer{i}.weight",), ()) for i, n in enumerate(widths)]


def choose(groups: list[ChannelGroup], share: float, *, compares: bool, scores: dict | None = None) -> dict:
    random = torch.Generator().manual_seed(0)
    given = scores or {g.name: torch.rand(g.n_channels, generator=random) for g in groups}
    return choose_channels(
        groups, given, n_dense={g.name: g.n_channels for g in groups}, share=share, round_to=8,
        compares_layers=compares,
    )  # fmt: skip


def test_the_schedule_starts_quickly_and_ends_at_the_share() -> None:
    shares = [removed_share(0.5, progress) for progress in (0, 0.25, 0.5, 0.75, 1)]
    assert shares[0] == 0
    assert shares[-1] == 0.5
    gains = [after - before for before, after in itertools.pairwise(shares)]
    assert gains == sorted(gains, reverse=True)
    assert shares[1] == pytest.approx(0.5 * (1 - 0.75**3))


def test_removal_happens_between_start_and_end_and_reaches_the_share() -> None:
    config = PruningConfig(channels=0.5, start_share=0.2, end_share=0.4, every=30)
    due = [step for step in range(1, 1001) if config.is_due(step, 1000)]
    assert due == [*range(200, 400, 30), 400]
    shares = [config.share_at(step, 1000) for step in due]
    assert shares == sorted(shares)
    assert shares[-1] == 0.5
    assert 0 < shares[0] < 0.5
    assert not PruningConfig().is_due(200, 1000)


def test_every_layer_loses_its_share_in_multiples() -> None:
    groups = make_groups(24, 40, 40, 96, 12, 8)
    kept = choose(groups, 0.5, compares=False)
    left = [len(kept.get(g.name, range(g.n_channels))) for g in groups]
    assert all(n % 8 == 0 for n in left)
    assert left[-1] == 8  # one multiple stays
    assert abs(sum(left[:4]) - 100) <= 8  # what rounding adds to one layer is taken from the next


def test_the_least_important_channels_go() -> None:
    groups = make_groups(32)
    scores = {"layer0": torch.arange(32).flip(0).float()}
    assert choose(groups, 0.5, compares=False, scores=scores)["layer0"].tolist() == list(range(16))


def test_layers_compete_and_none_is_emptied() -> None:
    groups = make_groups(40, 40, 40)
    scores = {"layer0": torch.full((40,), 0.1), "layer1": torch.ones(40), "layer2": 10 * torch.ones(40)}
    kept = choose(groups, 0.5, compares=True, scores=scores)
    assert {name: len(channels) for name, channels in kept.items()} == {"layer0": 8, "layer1": 8}


def test_a_removed_share_is_not_removed_again() -> None:
    groups = make_groups(24, 40)
    n_dense = {"layer0": 48, "layer1": 80}
    scores = {"layer0": torch.rand(24), "layer1": torch.rand(40)}
    for compares in (False, True):
        assert not choose_channels(
            groups, scores, n_dense=n_dense, share=0.5, round_to=8, compares_layers=compares
        )


def test_nothing_goes_at_share_zero() -> None:
    for compares in (False, True):
        assert choose(make_groups(24, 41), 0.0, compares=compares).keys() <= {"layer1"}
        assert not choose(make_groups(24, 40), 0.0, compares=compares)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": 1.0}, "channels is 1.0"),
        ({"importance": "size"}, "'size'"),
        ({"start_share": 0.5, "end_share": 0.4}, "0.5 and 0.4"),
        ({"every": 0}, "every is 0"),
        ({"round_to": 0}, "round_to is 0"),
    ],
)
def test_wrong_settings_are_named(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        PruningConfig(**settings)
