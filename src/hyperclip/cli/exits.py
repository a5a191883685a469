"""How commands end: 0 fine, 1 an error in one sentence, 2 wrong usage, 130 interrupted."""

import contextlib
import functools
import os
import sys
import traceback
from collections.abc import Callable
from typing import ParamSpec

import typer

from hyperclip.cli.output import say, shown_warnings
from hyperclip.errors import HyperclipError

__all__ = ["FAILED", "INTERRUPTED", "SHOW_TRACEBACK", "ends_in_a_sentence", "to_sentence"]

FAILED = 1
INTERRUPTED = 130  # as shells count: 128 + SIGINT
SHOW_TRACEBACK = "HYPERCLIP_TRACEBACK"  # environment variable for those who mend hyperclip
MAX_MESSAGE_BYTES = 1400
PACKAGE = os.path.join("hyperclip", "")

P = ParamSpec("P")


def ends_in_a_sentence(command: Callable[P, None]) -> Callable[P, None]:
    """Wrap a command so that whatever goes wrong ends in one sentence on stderr and an exit code."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            with shown_warnings():
                command(*args, **kwargs)
            sys.stdout.flush()
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except KeyboardInterrupt:
            say("Interrupted.")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            _silence_stdout()
            raise typer.Exit(FAILED) from None
        except Exception as error:
            if os.environ.get(SHOW_TRACEBACK):
                raise
            say(to_sentence(error))
            raise typer.Exit(FAILED) from None

    return wrapped


def to_sentence(error: Exception) -> str:
    """Return what went wrong as one line of at most 1,400 bytes."""
    if isinstance(error, HyperclipError):
        text = str(error)
    elif isinstance(error, MemoryError):
        text = "The memory is full; expected more to be free; close other programs or use fewer names."
    elif isinstance(error, OSError) and error.strerror:
        path = "a file" if error.filename is None else repr(str(error.filename))
        text = f"The system refused access to {path} ({error.strerror}); check the path and its permissions."
    else:
        reason = str(error).partition("\n")[0][:200]
        text = (
            f"hyperclip failed unexpectedly ({type(error).__name__}: {reason}, {_place(error)}); please "
            f"report it with what you typed; {SHOW_TRACEBACK}=1 shows where it comes from."
        )
    line = " ".join(text.split())
    data = line.encode("utf-8", errors="backslashreplace")
    if len(data) > MAX_MESSAGE_BYTES:
        return data[:MAX_MESSAGE_BYTES].decode("utf-8", errors="ignore") + " ..."
    return data.decode("utf-8")


def _place(error: Exception) -> str:
    """Return file and line of the innermost call inside hyperclip."""
    frames = [
        f"{frame.filename.rpartition(PACKAGE)[2]} line {frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if PACKAGE in frame.filename
    ]
    return frames[-1] if frames else "unknown place"


def _silence_stdout() -> None:
    """Send what is still buffered nowhere: the reader of the pipe has seen enough."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
