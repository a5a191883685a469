"""What a training shows: few lines in a log, a table on a terminal."""

import sys

import pytest

from hyperclip.cli.training_display import TrainingDisplay


def test_a_log_gets_a_line_every_half_minute_and_each_evaluation(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    with TrainingDisplay(clock=lambda: now) as display:
        for step in range(1, 61):
            now = float(step)
            display(step, 100, {"loss": 1 / step, "seconds_per_step": 1.0})
        display(60, 100, {"eval/acc1": 0.5})
        display(100, 100, {"loss": 0.01})
    assert capsys.readouterr().err.splitlines() == [
        "step 1 of 100, 2 min left: loss 1, seconds_per_step 1",
        "step 31 of 100, 69 s left: loss 0.03226, seconds_per_step 1",
        "step 60 of 100, 40 s left: eval/acc1 0.5",
        "step 100 of 100: loss 0.01",
    ]


def test_a_terminal_gets_a_table_that_keeps_the_latest_evaluation(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with TrainingDisplay() as display:
        display(1, 2, {"eval/acc1": 0.5})
        display(2, 2, {"loss": 0.125})
    shown = capsys.readouterr()
    assert shown.out == ""
    last = shown.err[shown.err.rindex("step 2 of 2") :]
    assert "0.125" in last
    assert "acc1" in last
    assert "evaluation" in last
