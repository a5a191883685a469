"""Optimizing a control for one list."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the arms are PyTorch models: pip install 'hyperclip[train]'")

import torch
from benchmarks.claim_conditioning.lists import Group
from benchmarks.claim_conditioning.measure import Pictures, measure_run
from benchmarks.claim_conditioning.oracle import accuracy, free_parameters, optimize
from benchmarks.claim_conditioning.rates import FREEDOMS, chosen_rates
from benchmarks.claim_conditioning.shortcut import measure_shortcut
from benchmarks.claim_conditioning.trainings import Training, finished
from benchmarks.conditioning.arms import Arm

from hyperclip.models import HeadConfig, HyperCLIP, HyperCLIPConfig, HypernetworkConfig, ImageEncoderConfig

pytestmark = pytest.mark.torch
ASKED = np.array([2, 5, 7])


def make_arm(kind: str | None = None) -> Arm:
    torch.manual_seed(0)
    network = None if kind is None else HypernetworkConfig(kind=kind, text_dim=16, bottleneck_dim=4)
    model = HyperCLIP(
        HyperCLIPConfig(
            image_encoder=ImageEncoderConfig(name="compact_20k", embedding_dim=16),
            head=HeadConfig(text_dim=16, dim=16),
            hypernetwork=network,
        )
    )
    if model.hypernetwork is not None:
        torch.nn.init.normal_(model.hypernetwork.out.weight, std=0.1)
    emb = torch.nn.functional.normalize(torch.randn(8, 16), dim=-1)
    return Arm(model.eval(), emb, held_out=(), size_px=32, recipe={})


def make_pictures() -> Pictures:
    """Each class is a color with noise."""
    generator = torch.Generator().manual_seed(0)
    labels = np.repeat(ASKED, 20)
    colors = {label: torch.rand(3, 1, 1, generator=generator) for label in ASKED.tolist()}
    images = [colors[label] + 0.2 * torch.randn(3, 32, 32, generator=generator) for label in labels.tolist()]
    return Pictures(torch.stack(images), labels)


@pytest.mark.parametrize("freedom", FREEDOMS)
def test_optimizing_helps_and_leaves_the_control_alone(freedom: str) -> None:
    arm, pictures = make_arm(), make_pictures()
    before = {name: value.clone() for name, value in arm.model.state_dict().items()}

    model, head = optimize(arm, ASKED, pictures, freedom, peak_lr=0.02, n_steps=30)

    start = arm.model.make_head(arm.class_emb_CE[ASKED])
    assert accuracy(model, head, ASKED, pictures) > accuracy(arm.model, start, ASKED, pictures)
    after = arm.model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_freedoms_contain_one_another() -> None:
    model = make_arm().model

    sizes = [sum(p.numel() for p in free_parameters(model, freedom)) for freedom in FREEDOMS]

    assert sizes[0] == 0
    assert sizes == sorted(sizes)
    assert sizes[-1] == sum(p.numel() for p in model.image_encoder.parameters())


def test_rates_are_chosen_on_the_first_lists() -> None:
    lists = [{"development": dict.fromkeys(FREEDOMS, rates)} for rates in ({"1": 0.5, "2": 0.7}, {"2": 0.1})]

    assert chosen_rates(lists) == dict.fromkeys(FREEDOMS, "2")


def test_runs_are_measured_under_every_context_and_tokens_give_all_lists_the_same() -> None:
    pictures = make_pictures()
    groups = {
        "neighbors": Group(
            (np.array([2, 5]), np.array([5, 7])), (np.array([5, 7]), np.array([2, 5])), (0.1, 0.2)
        ),
        "all": Group((ASKED,), (np.array([2, 5]),), (0.1,)),
    }

    text, token, plain = (
        measure_run(make_arm(kind), groups, pictures, n_main=8) for kind in ("text", "token", None)
    )

    assert set(text["accuracy"]["neighbors"]) == {"own", "swapped", "all_names", "none"}
    assert len(text["accuracy"]["all"]["own"]) == 3
    assert token["accuracy"]["neighbors"]["own"] == token["accuracy"]["neighbors"]["swapped"]
    assert token["change_relative_variance"] == pytest.approx(0, abs=1e-6)
    assert text["change_relative_variance"] > 0.01
    assert set(plain["accuracy"]["all"]) == {"none"}
    assert plain["n_generated"] == 0


def test_answers_among_all_classes_are_told_apart_from_those_within_the_list() -> None:
    pictures, lists = make_pictures(), [np.array([2, 5]), np.array([5, 7])]

    found = measure_shortcut(make_arm("text"), lists, np.arange(8), pictures)

    assert set(found) == {"own", "none"}
    for values in found.values():
        inside, among_all, within = (
            np.array(values[name]) for name in ("inside", "right_among_all", "right_within")
        )
        assert len(inside) == 2
        assert (among_all <= np.minimum(inside, within)).all()


def test_only_trainings_with_weights_are_finished(tmp_path: Path) -> None:
    for name in ("hyper-0", "hyper_weights-1", "hyper-2"):
        (tmp_path / "compact_20k" / name).mkdir(parents=True)
    for name in ("hyper-0", "hyper_weights-1"):
        (tmp_path / "compact_20k" / name / "weights.safetensors").touch()

    found = finished(tmp_path, ["compact_20k"], ["hyper", "hyper_weights"])

    assert found == [Training("compact_20k", "hyper", 0), Training("compact_20k", "hyper_weights", 1)]
