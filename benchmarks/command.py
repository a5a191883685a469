"""What the commands of all benchmarks share: options, progress on stderr, and where results go."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.readme_tables import fill_readmes
from benchmarks.result_file import REPOSITORY, read_newest, write_result

__all__ = ["data_folder", "finish", "make_parser", "say"]

_STARTED = time.monotonic()


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark has."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--limit", type=int, help="a quick try with so many items; nothing is stored")
    parser.add_argument("--out", type=Path, help="folder of the result (default: results beside the program)")
    return parser


def say(message: str) -> None:
    """Report progress on stderr, with the seconds since the start."""
    print(f"[{time.monotonic() - _STARTED:7.1f} s] {message}", file=sys.stderr, flush=True)


def data_folder() -> Path:
    """Return the folder of data sets: HYPERCLIP_DATA, or ``shared/data`` beside the repository."""
    return Path(os.environ.get("HYPERCLIP_DATA") or Path("..") / "shared" / "data")


def finish(
    name: str,
    metrics: Mapping[str, Any],
    options: argparse.Namespace,
    *,
    tables: Callable[[dict[str, Any]], dict[str, str]],
    n_threads: int | None,
    part: str = "",
    config: Mapping[str, Any] | None = None,
) -> None:
    """Store a result, refresh the tables of the READMEs, and print the tables.

    Parameters
    ----------
    name : str
        Folder of the benchmark in ``benchmarks``.
    metrics, n_threads, part
        As in `write_result`.
    options : argparse.Namespace
        With `limit` and `out`: a limited try is stored only where ``--out`` says so.
    tables : callable
        From a result to named Markdown tables.
    config : mapping, optional
        Joined with the options.
    """
    everything: dict[str, Any] = {"metrics": dict(metrics)}
    folder = REPOSITORY / "benchmarks" / name / "results" if options.out is None else options.out
    if options.limit is None or options.out is not None:
        given = {key: value for key, value in vars(options).items() if value is not None and key != "out"}
        path = write_result(
            folder, metrics, config={**given, **(config or {})}, n_threads=n_threads, part=part
        )
        say(f"wrote {path}")
        everything = read_newest(folder) or everything
        if options.out is None:
            fill_readmes()
    for title, table in tables(everything).items():
        print(f"\n{title}\n\n{table}")
