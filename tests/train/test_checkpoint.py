"""Checkpoints: whole or not at all, and refused where they do not belong."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install 'hyperclip[train]'")

import torch
from torch import nn

from hyperclip.errors import InputError
from hyperclip.train import checkpoint
from hyperclip.train.checkpoint import WeightAverage, load_checkpoint, save_checkpoint

pytestmark = pytest.mark.torch


def make(width: int = 3, **settings: float) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A model that has taken a step, and its optimizer."""
    torch.manual_seed(width)
    model = nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width))
    optimizer = torch.optim.AdamW(model.parameters(), **settings)  # type: ignore[arg-type]
    model(torch.randn(4, 2)).square().sum().backward()
    optimizer.step()
    return model, optimizer


def save(folder: Path, step: int = 7, *, average: WeightAverage | None = None) -> nn.Module:
    model, optimizer = make()
    save_checkpoint(folder, step=step, model=model, optimizer=optimizer, average=average)
    return model


def load(folder: Path, width: int = 3, *, average: WeightAverage | None = None) -> int:
    model, optimizer = make(width)
    return load_checkpoint(folder, model=model, optimizer=optimizer, average=average)


def test_no_checkpoint_is_no_step(tmp_path: Path) -> None:
    assert load(tmp_path) == 0


def test_weights_optimizer_average_and_step_come_back(tmp_path: Path) -> None:
    model, optimizer = make()
    average = WeightAverage(model, 0.9)
    average.state["0.weight"].add_(1.0)
    save_checkpoint(tmp_path, step=7, model=model, optimizer=optimizer, average=average)

    other, other_optimizer = make()
    with torch.no_grad():
        other[0].weight.zero_()  # type: ignore[index,operator]
    other_average = WeightAverage(other, 0.9)
    step = load_checkpoint(tmp_path, model=other, optimizer=other_optimizer, average=other_average)

    assert step == 7
    for key, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[key], value)
        assert torch.equal(other_average.state[key], average.state[key])
    found, expected = (o.state_dict()["state"] for o in (other_optimizer, optimizer))
    assert torch.equal(found[0]["exp_avg"], expected[0]["exp_avg"])


def test_what_the_recipe_says_of_decay_and_rates_holds(tmp_path: Path) -> None:
    save(tmp_path)
    model, optimizer = make(weight_decay=0.3, lr=0.5)

    load_checkpoint(tmp_path, model=model, optimizer=optimizer, average=None)

    assert optimizer.param_groups[0]["weight_decay"] == 0.3
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_another_model_is_refused_in_one_sentence(tmp_path: Path) -> None:
    save(tmp_path)

    with pytest.raises(InputError, match=r"does not fit this recipe \(.*size mismatch") as caught:
        load(tmp_path, width=4)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_without_the_average_that_the_recipe_asks_for_is_refused(tmp_path: Path) -> None:
    model = save(tmp_path)

    with pytest.raises(InputError, match="does not fit this recipe"):
        load(tmp_path, average=WeightAverage(model, 0.9))


@pytest.mark.parametrize("n_bytes", [0, 10, 1000])
def test_a_damaged_checkpoint_is_one_sentence(tmp_path: Path, n_bytes: int) -> None:
    save(tmp_path)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:n_bytes])

    with pytest.raises(InputError, match="is damaged") as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_is_never_unpickled(tmp_path: Path) -> None:
    ran = []

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (ran.append, ("ran",))

    torch.save({"step": 1, "model": Trap()}, tmp_path / "checkpoint.pt")

    with pytest.raises(InputError, match="is damaged"):
        load(tmp_path)
    assert ran == []


@pytest.mark.parametrize("moment", ["in the middle of the file", "before the rename"])
def test_a_kill_while_writing_leaves_the_old_checkpoint_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    save(tmp_path, step=7)
    before = (tmp_path / "checkpoint.pt").read_bytes()

    def write_half(state: object, file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    def refuse(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    if moment == "before the rename":
        monkeypatch.setattr(checkpoint.os, "replace", refuse)
    else:
        monkeypatch.setattr(checkpoint.torch, "save", write_half)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path, step=8)
    monkeypatch.undo()

    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert load(tmp_path) == 7


def test_what_a_killed_process_left_beside_it_does_not_matter(tmp_path: Path) -> None:
    save(tmp_path, step=7)
    (tmp_path / "checkpoint.pt.tmp").write_bytes(b"half")

    assert load(tmp_path) == 7
    save(tmp_path, step=8)
    assert load(tmp_path) == 8
    assert not (tmp_path / "checkpoint.pt.tmp").exists()


def test_the_average_forgets_the_start_and_copies_counters() -> None:
    model = nn.BatchNorm1d(2)
    average = WeightAverage(model, 0.99)
    with torch.no_grad():
        model.weight.fill_(2.0)
        model.num_batches_tracked.fill_(5)  # type: ignore[operator]

    average.update(model, 0)
    torch.testing.assert_close(average.state["weight"], torch.full((2,), 1.9))  # decay 1/10 at first
    assert average.state["num_batches_tracked"] == 5
    for step in range(1, 2000):
        average.update(model, step)
    torch.testing.assert_close(average.state["weight"], torch.full((2,), 2.0))
