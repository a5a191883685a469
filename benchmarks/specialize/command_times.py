"""How long commands take from the start of the process to its end."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.latency.rounds import spread

__all__ = ["hyperclip_command", "time_command"]


def hyperclip_command() -> list[str]:
    """Return the installed console script, or the module where there is none."""
    script = Path(sys.executable).with_name("hyperclip")
    return [str(script)] if script.is_file() else [sys.executable, "-m", "hyperclip"]


def time_command(arguments: Sequence[str], *, n_repeats: int) -> dict[str, Any]:
    """Run a command several times, each in a new process, after one run that is not counted.

    Parameters
    ----------
    arguments : sequence of str
        The program and its arguments; it must end with code 0.
    n_repeats : int

    Returns
    -------
    dict
        Medians and spreads of the wall clock and of the CPU time (user and system), in seconds.
    """
    wall, cpu = [], []
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    for number in range(n_repeats + 1):  # the first run writes Python's compiled files, as installing does
        started = time.perf_counter()
        process = subprocess.Popen(
            arguments, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise RuntimeError(
                f"{' '.join(arguments)} ended with {process.returncode}; expected 0; run it by hand."
            )
        if number:
            wall.append(seconds)
            cpu.append(usage.ru_utime + usage.ru_stime)
    return {
        "wall_s": statistics.median(wall),
        "wall_s_spread": spread(wall),
        "cpu_s": statistics.median(cpu),
        "cpu_s_spread": spread(cpu),
        "n_repeats": n_repeats,
    }
