"""Whatever goes wrong in a command ends in one sentence and an exit code."""

import errno

import pytest
import typer

from hyperclip.cli.exits import ends_in_a_sentence, to_sentence
from hyperclip.errors import BundleError, InputError


def failing(error: BaseException):
    """Return a command that fails."""

    def command(name: str = "cat") -> None:
        """Fail."""
        raise error

    return ends_in_a_sentence(command)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("No names; expected one; add it."), 1, "No names; expected one; add it.\n"),
        (BundleError("two\nlines \t here"), 1, "two lines here\n"),
        (KeyboardInterrupt(), 130, "Interrupted.\n"),
        (BrokenPipeError(), 1, ""),
        (
            PermissionError(errno.EACCES, "Permission denied", "a.onnx"),
            1,
            "The system refused access to 'a.onnx' (Permission denied); "
            "check the path and its permissions.\n",
        ),
    ],
)
def test_errors_become_one_line_and_an_exit_code(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, line: str
) -> None:
    with pytest.raises(typer.Exit) as ended:
        failing(error)()
    assert ended.value.exit_code == code
    assert capsys.readouterr().err == line


def test_wrong_usage_passes_through() -> None:
    with pytest.raises(typer.BadParameter):
        failing(typer.BadParameter("no"))()


def test_unexpected_errors_are_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        failing(KeyError("x\ny"))()
    message = capsys.readouterr().err
    assert message.startswith("hyperclip failed unexpectedly (KeyError: ")
    assert message.count("\n") == 1


def test_those_who_mend_hyperclip_see_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERCLIP_TRACEBACK", "1")
    with pytest.raises(KeyError):
        failing(KeyError("x"))()


@pytest.mark.parametrize("text", ["x" * 5000, "猫" * 2000, "\udcff" * 900])
def test_long_messages_stay_below_1500_bytes_of_valid_text(text: str) -> None:
    sentence = to_sentence(InputError(text))
    assert 1000 < len(sentence.encode()) < 1500


def test_a_wrapped_command_keeps_its_signature() -> None:
    import inspect

    assert list(inspect.signature(failing(KeyError())).parameters) == ["name"]
