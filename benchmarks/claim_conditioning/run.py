"""When does telling an encoder its task help? Arms that differ in the hypernetwork alone.

    python -m benchmarks.claim_conditioning.run train --seeds 0 1 2
    python -m benchmarks.claim_conditioning.run measure
    python -m benchmarks.claim_conditioning.run oracle
    python -m benchmarks.claim_conditioning.run oracle_first
    python -m benchmarks.claim_conditioning.run shortcut
    python -m benchmarks.claim_conditioning.run report

Each may be stopped and started again: it goes on with what is missing. `report` makes tables and plots of
stored results alone.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.claim_conditioning.trainings import ARMS, trainings
from benchmarks.command import data_folder, make_parser, say
from benchmarks.readme_tables import fill_readmes
from benchmarks.result_file import REPOSITORY, read_newest, write_result

HERE = REPOSITORY / "benchmarks" / "claim_conditioning"
LIST_SEED = 0
COMMANDS = ("measure", "oracle", "oracle_first", "shortcut")  # functions of `session`


def main() -> None:
    """Command line of the benchmark."""
    parser = make_parser(__doc__)
    parser.add_argument("what", choices=["train", *COMMANDS, "report"])
    parser.add_argument("--encoder", nargs="+", default=["compact_20k"], help="image encoders")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), metavar="ARM")
    parser.add_argument("--runs", type=Path, default=Path("runs") / "claim", help="folder of the run folders")
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder of the data sets")
    parser.add_argument(
        "--lists", type=int, default=60, help="lists of neighbors; of other kinds half as many"
    )
    parser.add_argument("--per-class", type=int, help="only so many pictures a class of Tiny-ImageNet")
    parser.add_argument("--cifar", type=int, default=2000, help="pictures of CIFAR-10")
    parser.add_argument("--oracle-lists", type=int, nargs=2, default=[8, 4], help="seen, held out")
    parser.add_argument("--collected", type=int, default=320, help="lists that `oracle_first` optimizes")
    parser.add_argument("--steps", type=int, default=150, help="steps of each optimization of the oracle")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--again", action="store_true", help="measure what is stored already, too")
    options = parser.parse_args()
    if options.what == "train":
        _train(options)
        return
    if options.what in COMMANDS:
        import torch

        from benchmarks.claim_conditioning import session

        torch.set_num_threads(options.threads)
        getattr(session, options.what)(options, _store(options))
    _report(options)


def _train(options: argparse.Namespace) -> None:
    """Train what is missing, one after another; a training that was stopped goes on."""
    import torch

    from hyperclip.train.engine import fit

    torch.set_num_threads(options.threads)
    planned = list(trainings(options.encoder, options.arms, options.seeds))
    for number, training in enumerate(planned, start=1):
        if training.is_finished(options.runs):
            say(f"{number}/{len(planned)} {training.key}: finished before")
            continue
        folder = training.folder(options.runs)
        folder.parent.mkdir(parents=True, exist_ok=True)
        start = f"{number}/{len(planned)} {training.key}"

        def show(step: int, n_steps: int, figures: dict[str, float], start: str = start) -> None:
            shown = ", ".join(f"{name} {value:.3g}" for name, value in figures.items())
            say(f"{start}: {step}/{n_steps} {shown}")

        fit(training.recipe, training.overrides, folder, on_step=show)


def _store(options: argparse.Namespace) -> Callable[[str, dict[str, Any]], None]:
    """Return what stores one part; a limited try is stored only where ``--out`` says so."""

    def store(part: str, metrics: dict[str, Any]) -> None:
        if options.limit is not None and options.out is None:
            return
        given = {key: value for key, value in vars(options).items() if value is not None and key != "out"}
        config = {**given, "list_seed": LIST_SEED, "bootstrap_seed": 0}
        path = write_result(
            options.out or HERE / "results", metrics, config=config, n_threads=options.threads, part=part
        )
        say(f"wrote {path}")

    return store


def _report(options: argparse.Namespace) -> None:
    """Make tables and plots from stored results."""
    from benchmarks.claim_conditioning.plots import draw_all
    from benchmarks.claim_conditioning.tables import tables

    results = read_newest(options.out or HERE / "results")
    if results is None:
        raise SystemExit("There are no results; run `measure` first.")
    if options.out is None:
        fill_readmes()
        for path in draw_all(results, REPOSITORY / "docs" / "concepts"):
            say(f"drew {path.relative_to(REPOSITORY)}")
    for title, table in tables(results).items():
        print(f"\n{title}\n\n{table}")


if __name__ == "__main__":
    main()
