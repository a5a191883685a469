"""Removing equals masking, everywhere where a channel lies: rows, norms, columns, generated parameters."""

import copy
from collections.abc import Callable

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install 'hyperclip[train]'")
pytest.importorskip("torch_pruning", reason="needs torch-pruning: pip install 'hyperclip[train]'")

import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperclip.errors import InputError
from hyperclip.models import (
    HeadConfig,
    HyperCLIP,
    HyperCLIPConfig,
    HypernetworkConfig,
    ImageEncoderConfig,
)
from hyperclip.models.channel_groups import ChannelGroup, find_groups
from hyperclip.models.channel_removal import cut_tensors, cuts_of, model_groups, remove_channels, shrink_to

pytestmark = pytest.mark.torch
TEXT_DIM = 8


def make_model(name: str = "compact_20k", generates: tuple[str, ...] = ("norms",)) -> HyperCLIP:
    torch.manual_seed(0)
    model = HyperCLIP(
        HyperCLIPConfig(
            image_encoder=ImageEncoderConfig(name=name, embedding_dim=10, generates=generates),
            head=HeadConfig(dim=10, text_dim=TEXT_DIM),
            hypernetwork=HypernetworkConfig(text_dim=TEXT_DIM, hidden_dim=16, bottleneck_dim=4, n_heads=2),
        )
    ).eval()
    assert model.hypernetwork is not None
    nn.init.normal_(model.hypernetwork.out.weight, std=0.3)
    with torch.no_grad():
        for name, buffer in model.image_encoder.named_buffers():  # statistics that matter
            if name.endswith("running_mean"):
                buffer.normal_()
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 2)
        for norm in model.image_encoder.norms():
            norm.norm.bias.normal_()
    return model


def odd_channels(groups: list[ChannelGroup]) -> dict[str, Tensor]:
    return {group.name: torch.arange(1, group.n_channels, 2) for group in groups}


@torch.no_grad()
def masked(model: HyperCLIP, groups: list[ChannelGroup], *, norms_too: bool = True) -> HyperCLIP:
    """The same model with zeros in the even channels: rows, scale and shift, and generated shifts."""
    model = copy.deepcopy(model)
    parameters = dict(model.named_parameters())
    is_gone = {}
    for group in groups:
        for name in group.makers:
            parameters[name][::2] = 0
        for name in group.norms if norms_too else ():
            parameters[name][::2] = 0
            parameters[name.removesuffix("weight") + "bias"][::2] = 0
            is_gone[name] = torch.arange(group.n_channels) % 2 == 0
    if norms_too:
        assert model.hypernetwork is not None
        for name, size, offset in model.image_encoder.layout:
            gone = is_gone.get(f"image_encoder.trunk.{name.rpartition('.')[0]}.norm.weight")
            if name.endswith(".shift") and gone is not None:
                model.hypernetwork.out.weight[offset : offset + size][gone] = 0
    return model


def inputs() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    names = functional.normalize(torch.randn(3, TEXT_DIM, generator=random), dim=-1)
    return torch.randn(2, 3, 64, 64, generator=random), names


@pytest.mark.parametrize("generates", [("norms",), ("norms", "pointwise"), ("pointwise",)])
@pytest.mark.parametrize("name", ["compact_20k", "mobilenetv4_conv_small_050"])
def test_removal_equals_masking_rows_and_norms(name: str, generates: tuple[str, ...]) -> None:
    model = make_model(name, generates)
    groups = model_groups(model)
    with torch.no_grad():
        expected = masked(model, groups)(*inputs())
        remove_channels(model, groups, odd_channels(groups))
        # The sums have half as many terms, in another order.
        torch.testing.assert_close(model(*inputs()), expected, rtol=1e-4, atol=1e-5)
        assert expected.std() > 1e-3


def test_masking_the_convolution_alone_is_another_function() -> None:
    model = make_model()
    groups = model_groups(model)
    with torch.no_grad():
        leaking = masked(model, groups, norms_too=False)(*inputs())
        remove_channels(model, groups, odd_channels(groups))
        assert (model(*inputs()) - leaking).abs().max() > 1e-2


def test_shapes_follow_the_plan_and_parameters_the_formula() -> None:
    model = make_model()
    groups = model_groups(model)
    n_before = sum(p.numel() for p in model.parameters())
    cuts = remove_channels(model, groups, odd_channels(groups))
    fresh = make_model().state_dict()
    expected = 0
    for name, parameter in model.named_parameters():
        wanted = list(fresh[name].shape)
        for axis, positions in cuts.get(name, {}).items():
            wanted[axis] = len(positions)
        assert list(parameter.shape) == wanted, name
        expected += torch.Size(wanted).numel()
    assert sum(p.numel() for p in model.parameters()) == expected < 0.6 * n_before
    encoder = model.image_encoder
    assert encoder.n_generated == sum(2 * norm.n_channels for norm in encoder.norms())
    assert model.hypernetwork is not None
    assert model.hypernetwork.out.weight.shape[0] == encoder.n_generated
    offset = 0
    for _, size, place in encoder.layout:
        assert place == offset
        offset += size
    again = model_groups(model)
    assert [group.n_channels for group in again] == [len(kept) for kept in odd_channels(groups).values()]


def test_a_flattened_map_loses_all_pixels_of_a_channel() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.Flatten(), nn.Linear(24, 4))
    groups = find_groups(model, torch.zeros(1, 3, 4, 4))
    image = torch.randn(2, 3, 4, 4)
    kept = torch.tensor([0, 3, 5])
    with torch.no_grad():
        maps = model[0](image)
        maps[:, [1, 2, 4]] = 0
        expected = model[2](maps.flatten(1))
        remove_channels(model, groups, {"0": kept})
        torch.testing.assert_close(model(image), expected, rtol=1e-5, atol=1e-6)


def test_keeping_all_channels_changes_nothing() -> None:
    model = make_model()
    groups = model_groups(model)
    before = model(*inputs())
    remove_channels(model, groups, {group.name: torch.arange(group.n_channels) for group in groups})
    assert torch.equal(model(*inputs()), before)
    remove_channels(model, groups, {})
    assert torch.equal(model(*inputs()), before)


@pytest.mark.parametrize(
    "make",
    [
        lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9),
        lambda parameters: torch.optim.AdamW(parameters, lr=0.01),
    ],
)
def test_momentum_is_cut_with_the_weights(make: Callable[..., torch.optim.Optimizer]) -> None:
    model = make_model()
    optimizer = make(model.parameters())
    model(*inputs()).square().sum().backward()
    optimizer.step()
    before = {
        name: {k: v.clone() for k, v in optimizer.state[p].items() if torch.is_tensor(v)}
        for name, p in model.named_parameters()
    }
    groups = model_groups(model)
    cuts = remove_channels(model, groups, odd_channels(groups), optimizer=optimizer)
    for name, parameter in model.named_parameters():
        for key, memory in optimizer.state[parameter].items():
            if torch.is_tensor(memory) and memory.dim():
                assert memory.shape == parameter.shape
                expected = cut_tensors({name: before[name][key]}, cuts)[name]
                assert torch.equal(memory, expected)
    model(*inputs()).square().sum().backward()
    optimizer.step()  # goes on with what is left


@pytest.mark.parametrize("generates", [("norms",), ("norms", "pointwise")])
def test_a_dense_model_takes_the_shapes_of_a_pruned_one(generates: tuple[str, ...]) -> None:
    pruned = make_model(generates=generates)
    groups = model_groups(pruned)
    remove_channels(pruned, groups, odd_channels(groups))
    dense = make_model(generates=generates)
    assert shrink_to(dense, pruned.state_dict())
    dense.load_state_dict(pruned.state_dict())
    assert torch.equal(dense(*inputs()), pruned(*inputs()))
    assert dense.image_encoder.layout == pruned.image_encoder.layout
    assert not shrink_to(dense, pruned.state_dict())


def test_a_state_of_another_model_is_refused() -> None:
    state = dict(make_model().state_dict())
    state["head.proj.weight"] = torch.zeros(11, TEXT_DIM)
    with pytest.raises(InputError, match=r"head.proj.weight has shape \(11, 8\)"):
        shrink_to(make_model(), state)


def test_a_layer_cannot_lose_all_channels() -> None:
    groups = model_groups(make_model())
    with pytest.raises(InputError, match="All 12 channels"):
        cuts_of(groups, {groups[0].name: torch.zeros(0, dtype=torch.int64)})
