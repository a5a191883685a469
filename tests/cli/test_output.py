"""What is printed: JSON that always parses, tables, and progress that waits two seconds."""

import io
import json
import sys

import pytest

from hyperclip.cli.output import Progress, print_json, print_table, printable, readable_size


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_json_parses_back_whatever_the_terminal_can_show(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    monkeypatch.setattr(sys, "stdout", stream)
    value = {"name": "猫 \N{SMILING CAT FACE WITH OPEN MOUTH} café\n", "path": "bad\udcff.jpg"}
    print_json(value)
    data = stream.buffer.getvalue()  # type: ignore[attr-defined]
    assert json.loads(data.decode(encoding)) == value
    assert data.count(b"\n") == 1


def test_a_table_that_is_not_for_a_terminal_is_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name", "meaning"], [("[red]cat", "a pet"), ("ox", "")])
    assert capsys.readouterr().out == "name      meaning\n[red]cat  a pet\nox\n"


def test_brackets_in_names_are_no_markup_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    print_table(["name"], [("[red]cat[/red]",)])
    assert "[red]cat[/red]" in capsys.readouterr().out


def test_progress_is_silent_for_two_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 1.0, 1.9, 4.0, 4.1])
    progress = Progress(100, clock=lambda: next(times))
    progress.advance(10)
    progress.advance(10)
    assert capsys.readouterr().err == ""
    progress.advance(20)
    assert capsys.readouterr().err == "40 of 100 pictures, 10/s, 6 s left\n"
    progress.advance(20)
    progress.close()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("size_bytes", "text"), [(0, "0.0 kB"), (99_949, "99.9 kB"), (100_000, "0.1 MB"), (12_345_678, "12.3 MB")]
)
def test_sizes_are_readable(size_bytes: int, text: str) -> None:
    assert readable_size(size_bytes) == text


def test_file_names_cannot_move_the_cursor() -> None:
    assert printable("a\x1b[2J\nb.jpg") == r"'a\x1b[2J\nb.jpg'"
    assert printable("schön 猫.jpg") == "schön 猫.jpg"
