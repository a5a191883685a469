"""Groups of channels: complete, coupled where layers add up, and never those of pictures or embedding."""

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install 'hyperclip[train]'")
pytest.importorskip("torch_pruning", reason="needs torch-pruning: pip install 'hyperclip[train]'")

import torch
from torch import nn

from hyperclip.models import ImageEncoder, ImageEncoderConfig
from hyperclip.models.channel_groups import ChannelScale, find_groups
from hyperclip.models.channel_removal import model_groups

pytestmark = pytest.mark.torch


def test_a_chain_has_one_group_a_layer_but_the_last() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 12, 3), nn.Flatten(), nn.Linear(192, 5)
    )
    first, second = find_groups(model, torch.zeros(1, 3, 8, 8))
    assert (first.name, first.n_channels, first.makers, first.norms) == ("0", 8, ("0.weight",), ("1.weight",))
    assert {(place.tensor, place.axis) for place in first.places} == {
        ("0.weight", 0), ("0.bias", 0), ("1.weight", 0), ("1.bias", 0), ("1.running_mean", 0),
        ("1.running_var", 0), ("3.weight", 1),
    }  # fmt: skip
    assert second.n_channels == 12
    columns = next(place.positions for place in second.places if place.tensor == "5.weight")
    assert columns.shape == (12, 16)  # 4 x 4 pixels of each channel
    assert columns[1].tolist() == list(range(16, 32))


def test_layers_that_are_added_are_one_group() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1)
            self.scale, self.last = ChannelScale(torch.ones(8), adds=False), nn.Linear(8, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(x)
            out: torch.Tensor = self.last(self.scale(x + self.second(x)).mean(dim=(2, 3)))
            return out

    (group,) = find_groups(Residual(), torch.zeros(1, 3, 4, 4))
    assert set(group.makers) == {"first.weight", "second.weight"}
    assert ("scale.weight", 0) in {(place.tensor, place.axis) for place in group.places}
    assert ("second.weight", 1) in {(place.tensor, place.axis) for place in group.places}


@pytest.mark.parametrize("name", ["compact_20k", "mobilenetv4_conv_small_050"])
def test_every_channel_inside_an_encoder_is_found_once(name: str) -> None:
    encoder = ImageEncoder(ImageEncoderConfig(name=name, embedding_dim=10))
    groups = model_groups(encoder)
    rows = [maker for group in groups for maker in group.makers]
    assert len(rows) == len(set(rows))
    weights = [n for n, p in encoder.named_parameters() if p.dim() > 1]
    (kept,) = set(weights) - set(rows)  # the projection, whose outputs the text side shares
    assert dict(encoder.named_parameters())[kept].shape[0] == 10
    norms = {norm for group in groups for norm in group.norms}
    assert len(norms) == len(encoder.norms())
    first = next(n for n in weights)
    assert (first, 1) not in {(p.tensor, p.axis) for group in groups for p in group.places}


def test_grouped_convolutions_stay_whole() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1, groups=2), nn.Flatten(), nn.Linear(8 * 16, 2)
    )
    assert find_groups(model, torch.zeros(1, 3, 4, 4)) == []


def test_finding_leaves_the_model_alone() -> None:
    encoder = ImageEncoder(ImageEncoderConfig(name="compact_20k", embedding_dim=10)).train()
    encoder.requires_grad_(False)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    model_groups(encoder)
    assert encoder.training
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, before[name])
