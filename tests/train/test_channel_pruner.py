"""AdaSAP in a loop: phases, removal, and a training run that goes on where it stopped."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install 'hyperclip[train]'")
pytest.importorskip("torch_pruning", reason="needs torch-pruning: pip install 'hyperclip[train]'")

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from hyperclip.errors import InputError
from hyperclip.export.bundle import load_run
from hyperclip.models import ImageEncoder, ImageEncoderConfig
from hyperclip.train import fit
from hyperclip.train.channel_choice import PruningConfig
from hyperclip.train.channel_pruner import ChannelPruner
from hyperclip.train.sam import SharpnessConfig

pytestmark = pytest.mark.torch
N_STEPS = 20
ADASAP = SharpnessConfig(method="adasap", radius=0.5)


def make_encoder() -> ImageEncoder:
    torch.manual_seed(0)
    return ImageEncoder(ImageEncoderConfig(name="compact_20k", embedding_dim=10))


def run(
    pruning: PruningConfig, sharpness: SharpnessConfig = ADASAP
) -> tuple[ImageEncoder, ChannelPruner, list]:
    encoder = make_encoder().train()
    pruner = ChannelPruner(encoder, sharpness, pruning, n_steps=N_STEPS, seed=0)
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.05, momentum=0.9)
    images = torch.randn(10, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    shares = []

    def compute() -> Tensor:
        return functional.cross_entropy(encoder(images), torch.arange(10))

    for step in range(N_STEPS):
        optimizer.zero_grad()
        pruner.backward(encoder, compute, step=step)
        optimizer.step()
        pruner.prune(encoder, n_done=step + 1, optimizer=optimizer)
        shares.append(pruner.share_left)
    return encoder, pruner, shares


@pytest.mark.parametrize("importance", ["magnitude", "taylor", "latency", "random"])
def test_channels_go_in_the_second_phase_alone(importance: str) -> None:
    _, _, shares = run(PruningConfig(channels=0.5, importance=importance, every=2))
    assert shares[:3] == [1.0] * 3  # steps 1 to 3; removal begins after the fourth
    assert shares[7] == pytest.approx(0.5, abs=0.05)
    assert shares[8:] == shares[7:8] * 12
    assert sorted(shares, reverse=True) == shares


def test_a_pruned_encoder_still_computes_and_keeps_its_embedding() -> None:
    encoder, _, _ = run(PruningConfig(channels=0.5, every=2))
    n_dense = sum(p.numel() for p in make_encoder().parameters())
    assert sum(p.numel() for p in encoder.parameters()) < 0.6 * n_dense
    assert encoder(torch.zeros(2, 3, 64, 64)).shape == (2, 10)


def test_without_pruning_and_sharpness_it_is_a_plain_step() -> None:
    encoder, pruner, shares = run(PruningConfig(), SharpnessConfig())
    assert shares == [1.0] * N_STEPS
    assert pruner.n_dense == {}
    plain = make_encoder().train()
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.05, momentum=0.9)
    images = torch.randn(10, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for _ in range(N_STEPS):
        optimizer.zero_grad()
        functional.cross_entropy(plain(images), torch.arange(10)).backward()
        optimizer.step()
    for one, other in zip(encoder.parameters(), plain.parameters(), strict=True):
        assert torch.equal(one, other)


def radii_at(step: int) -> dict[str, Tensor]:
    encoder = make_encoder()
    pruner = ChannelPruner(encoder, ADASAP, PruningConfig(channels=0.5), n_steps=N_STEPS, seed=0)
    return pruner._radii(encoder, step)


def test_radii_adapt_before_and_are_constant_after_removal() -> None:
    for radius in radii_at(0).values():
        assert radius.min().item() == pytest.approx(ADASAP.radius_min)
        assert radius.max().item() == pytest.approx(ADASAP.radius)
    after = radii_at(N_STEPS - 1)
    assert set(after) == {name for name, p in make_encoder().named_parameters() if p.dim() > 1}
    assert {value for radius in after.values() for value in radius.tolist()} == {ADASAP.radius}


def test_a_model_without_channels_to_remove_is_refused() -> None:
    with pytest.raises(InputError, match="No channel of this model"):
        ChannelPruner(nn.Conv2d(3, 4, 1), ADASAP, PruningConfig(channels=0.5), n_steps=10, seed=0)


def pruned_recipe(recipe: dict[str, Any], **pruning: Any) -> dict[str, Any]:
    changed = copy.deepcopy(recipe)
    changed["run"] |= {"n_steps": 10, "evaluate_every": 10, "ema_decay": 0.9}
    changed["hyperclip"]["model"]["image_encoder"]["name"] = "compact_20k"
    changed["sharpness"] = {"method": "adasap", "radius": 0.3}
    changed["pruning"] = {"channels": 0.5, "start_share": 0.2, "end_share": 0.6, "every": 2, **pruning}
    return changed


@pytest.mark.parametrize("importance", ["magnitude", "taylor"])
def test_an_interrupted_run_that_prunes_ends_bit_for_bit_the_same(
    hyperclip_recipe: dict[str, Any],
    write_recipe: Callable[[dict[str, Any]], Path],
    tmp_path: Path,
    importance: str,
) -> None:
    recipe = write_recipe(pruned_recipe(hyperclip_recipe, importance=importance))
    whole = fit(recipe, out=tmp_path / "whole")
    for stop in (3, 5, 8):
        fit(recipe, out=tmp_path / "parts", stop_after=stop)
    fit(recipe, out=tmp_path / "parts")
    first, second = (load_file(folder / "weights.safetensors") for folder in (whole, tmp_path / "parts"))
    assert {k: v.shape for k, v in first.items()} == {k: v.shape for k, v in second.items()}
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    model, _ = load_run(whole)
    assert model.hypernetwork is not None
    encoder = model.image_encoder
    assert model.hypernetwork.out.weight.shape[0] == encoder.n_generated
    assert encoder.n_generated < 0.6 * ImageEncoder(encoder.config).n_generated


def test_pruning_is_refused_where_no_image_encoder_learns(
    text_recipe: dict[str, Any], write_recipe: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    recipe = copy.deepcopy(text_recipe) | {"pruning": {"channels": 0.5}}
    with pytest.raises(InputError, match="trains no image encoder"):
        fit(write_recipe(recipe), out=tmp_path / "run")


def test_sharpness_works_for_every_objective(
    text_recipe: dict[str, Any], write_recipe: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    plain = fit(write_recipe(text_recipe), out=tmp_path / "plain")
    for method, radius in (("sam", 0.0), ("sam", 0.1)):
        recipe = copy.deepcopy(text_recipe) | {"sharpness": {"method": method, "radius": radius}}
        folder = fit(write_recipe(recipe), out=tmp_path / f"{method}-{radius}")
        one, other = (load_file(run / "weights.safetensors") for run in (plain, folder))
        is_same = all(torch.equal(value, other[name]) for name, value in one.items())
        assert is_same == (radius == 0)
