"""The log of a run: valid JSON, whole rows, and a picture where matplotlib is there."""

import json
import logging
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install 'hyperclip[train]'")

from hyperclip.errors import MissingExtraError
from hyperclip.train import log
from hyperclip.train.log import RunLog, read_log

pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True)
def no_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_open_tensorboard", lambda folder, first_step: None)


def test_small_numbers_keep_their_digits_and_what_is_not_finite_is_left_out(tmp_path: Path) -> None:
    run_log = RunLog(tmp_path, first_step=0)

    run_log.write(3, {"learning_rate": 1.23456789e-9, "loss": float("nan"), "big": 123456.789})

    def refuse(word: str) -> float:
        raise AssertionError(word)

    (line,) = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert json.loads(line, parse_constant=refuse) == {
        "step": 3,
        "learning_rate": 1.234568e-9,
        "big": 123456.8,
    }


def test_rows_after_the_checkpoint_are_dropped_and_others_kept(tmp_path: Path) -> None:
    first = RunLog(tmp_path, first_step=0)
    for step in (1, 2, 3, 4):
        first.write(step, {"loss": 1.0})

    again = RunLog(tmp_path, first_step=2)
    again.write(3, {"loss": 2.0})

    assert read_log(tmp_path / "metrics.jsonl") == [
        {"step": 1, "loss": 1.0}, {"step": 2, "loss": 1.0}, {"step": 3, "loss": 2.0},
    ]  # fmt: skip
    assert again.rows == read_log(tmp_path / "metrics.jsonl")


@pytest.mark.parametrize("rest", ['{"step": 2, "lo', "\xff", "17", "[1]", '{"loss": 1}', '{"step": "2"}'])
def test_a_line_that_a_kill_cut_short_is_left_out(tmp_path: Path, rest: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + rest.encode("latin-1"))

    assert read_log(path) == [{"step": 1}]


def test_without_matplotlib_a_run_goes_on_and_says_once_what_it_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(rows: object, path: object) -> None:
        raise MissingExtraError("matplotlib is not installed")

    monkeypatch.setattr(log, "draw_curves", refuse)
    run_log = RunLog(tmp_path, first_step=0)

    with caplog.at_level(logging.WARNING):
        for step in (1, 2):
            run_log.write(step, {"loss": 1.0})
            run_log.draw()

    assert [record.getMessage() for record in caplog.records] == [
        "curves.png is left out: matplotlib is not installed"
    ]


def test_curves_are_drawn_only_when_there_is_something_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []
    monkeypatch.setattr(log, "draw_curves", lambda rows, path: drawn.append(len(rows)))
    run_log = RunLog(tmp_path, first_step=0)

    run_log.draw()
    run_log.write(1, {"loss": 1.0})
    run_log.draw()
    run_log.draw()

    assert drawn == [1]


def test_tensorboard_gets_the_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, float, int]] = []

    class Writer:
        def add_scalar(self, key: str, value: float, step: int) -> None:
            written.append((key, value, step))

        def close(self) -> None:
            written.append(("closed", 0, 0))

    monkeypatch.setattr(log, "_open_tensorboard", lambda folder, first_step: Writer())
    run_log = RunLog(tmp_path, first_step=0)
    run_log.write(1, {"loss": 0.5})
    run_log.close()

    assert written == [("loss", 0.5, 1), ("closed", 0, 0)]
