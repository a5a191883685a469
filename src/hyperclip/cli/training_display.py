"""What a training shows while it runs: a live table on a terminal, lines in a log."""

import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from hyperclip.cli.output import duration, say

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

__all__ = ["TrainingDisplay", "format_figures"]

EVALUATED = "eval/"  # how the names of evaluated figures begin
SECONDS_BETWEEN_LINES = 30.0


class TrainingDisplay:
    """Shows the step, the time left, and the latest figures on stderr; call it after a step.

    Parameters
    ----------
    clock : callable
        Gives the time in seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next_line = clock()
        self._figures: dict[str, float] = {}
        self._live: Live | None = None

    def __enter__(self) -> "TrainingDisplay":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __call__(self, step: int, n_steps: int, figures: Mapping[str, float]) -> None:
        """Show where a training is.

        Parameters
        ----------
        step, n_steps : int
            Steps done, and to do in all.
        figures : mapping of str to float
            What was measured at this step; names of evaluated figures begin with ``eval/``.
        """
        self._figures.update(figures)
        if self._live is not None:
            self._live.update(self._table(step, n_steps))
            return
        is_evaluation = any(name.startswith(EVALUATED) for name in figures)
        if is_evaluation or step >= n_steps or self._clock() >= self._next_line:
            self._next_line = self._clock() + SECONDS_BETWEEN_LINES
            say(f"step {step:,} of {n_steps:,}{self._left(step, n_steps)}: {format_figures(figures)}")

    def _left(self, step: int, n_steps: int) -> str:
        """Say how long it will still take, once that is known."""
        seconds = self._figures.get("seconds_per_step")
        return f", {duration(seconds * (n_steps - step))} left" if seconds and step < n_steps else ""

    def _table(self, step: int, n_steps: int) -> "Table":
        """Return the live table."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        table = Table.grid(padding=(0, 2))
        table.add_row(
            f"step {step:,} of {n_steps:,}{self._left(step, n_steps)}", ProgressBar(n_steps, step, 40)
        )
        for title, is_evaluation in (("training", False), ("evaluation", True)):
            shown = {
                name.removeprefix(EVALUATED): value
                for name, value in self._figures.items()
                if name.startswith(EVALUATED) is is_evaluation
            }
            if shown:
                table.add_row(f"[bold]{title}", "")
            for name, value in shown.items():
                table.add_row(f"  {name}", f"{value:.4g}")
        return table


def format_figures(figures: Mapping[str, float]) -> str:
    """Return figures as one line.

    Examples
    --------
    >>> format_figures({"loss": 1.23456, "eval/acc1": 0.5})
    'loss 1.235, eval/acc1 0.5'
    """
    return ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
