"""What commands print: results on stdout; messages, warnings and progress on stderr."""

import io
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

__all__ = [
    "Progress",
    "as_table",
    "duration",
    "prepare_streams",
    "print_json",
    "print_table",
    "printable",
    "readable_size",
    "say",
    "show",
    "shown_warnings",
]

QUIET_SECONDS = 2.0  # a job that ends sooner shows no progress
SECONDS_BETWEEN = {True: 0.2, False: 10.0}  # updates on a terminal, lines in a log


def prepare_streams() -> None:
    """Let every name be printed: a character that the terminal lacks is written as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def show(text: str = "") -> None:
    """Print a part of the result."""
    print(text)


def say(text: str) -> None:
    """Print a message that is not part of the result."""
    print(text, file=sys.stderr, flush=True)


class _Warnings(logging.Handler):
    """Prints what the library logs; looks up stderr each time, as it may be replaced."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record on one line."""
        prefix = "Warning: " if record.levelno >= logging.WARNING else ""
        say(prefix + record.getMessage())


@contextmanager
def shown_warnings() -> Iterator[None]:
    """Print what the library warns of on stderr for the time being."""
    logger = logging.getLogger("hyperclip")
    handler = _Warnings()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def print_json(value: Mapping[str, object]) -> None:
    """Print one JSON object on one line of stdout."""
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        line.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # the same object, in ASCII
        line = json.dumps(value, allow_nan=False)
    print(line, flush=True)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on stdout: ruled on a terminal, plain aligned text otherwise."""
    if not sys.stdout.isatty():
        show(as_table(columns, rows))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # Text: brackets in names are no markup
    Console().print(table)


def as_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows as lines of aligned cells below a line of column names.

    Examples
    --------
    >>> print(as_table(["name", "share"], [["cat", "90 %"], ["elephant", "10 %"]]))
    name      share
    cat       90 %
    elephant  10 %
    """
    cells = [list(columns), *(list(row) for row in rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


def readable_size(size_bytes: int) -> str:
    """Return a size as people say it: ``12.3 MB`` or ``5.1 kB``."""
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 100_000 else f"{size_bytes / 1e3:.1f} kB"


def printable(text: str) -> str:
    """Return a text that cannot move the cursor or forge lines; file names may hold anything."""
    return text if text.isprintable() else ascii(text)


class Progress:
    """Tells on stderr how far a job is, once it has taken longer than two seconds.

    Parameters
    ----------
    n_total : int
        Number of steps of the job.
    unit : str
        What a step is, in the plural.
    clock : callable
        Gives the time in seconds.
    """

    def __init__(
        self, n_total: int, *, unit: str = "pictures", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._n_total = n_total
        self._unit = unit
        self._clock = clock
        self._start = clock()
        self._next = self._start + QUIET_SECONDS
        self._n_done = 0
        self._has_line = False

    @property
    def n_done(self) -> int:
        """How many steps are done."""
        return self._n_done

    def advance(self, n_steps: int) -> None:
        """Count steps as done and tell about it when it is time to."""
        self._n_done += n_steps
        now = self._clock()
        if now < self._next:
            return
        is_terminal = sys.stderr.isatty()
        self._next = now + SECONDS_BETWEEN[is_terminal]
        rate = self._n_done / (now - self._start)
        left = max(0, self._n_total - self._n_done) / rate if rate else 0
        text = f"{self._n_done:,} of {self._n_total:,} {self._unit}, {rate:.0f}/s, {duration(left)} left"
        if is_terminal:
            sys.stderr.write(f"\r{text}\x1b[K")
            sys.stderr.flush()
            self._has_line = True
        else:
            say(text)

    def close(self) -> None:
        """Clear the line of a terminal."""
        if self._has_line:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._has_line = False


def duration(seconds: float) -> str:
    """Return a time as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
