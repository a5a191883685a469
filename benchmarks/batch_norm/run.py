"""What BatchNorm's statistics do to generated norms: accuracy by running statistics against batch ones.

    python -m benchmarks.batch_norm.run runs/arms/hyper runs/arms/hyper-two-thirds runs/arms/hyper-never

Three runs of the arm `hyper` that differ in `freeze_statistics_after`. Deployment knows running statistics
alone, so an accuracy that only batch statistics reach is lost.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from benchmarks.batch_norm.statistics import batch_statistics
from benchmarks.batch_norm.tables import RULES, tables
from benchmarks.command import data_folder, finish, make_parser, say
from benchmarks.conditioning.arms import Arm, context_delta, embed, open_arm, task_accuracy
from benchmarks.conditioning.bundled import read_pixels
from benchmarks.conditioning.tasks import group_tasks, read_classes
from benchmarks.intervals import bootstrap_mean, paired_difference
from torch import Tensor

N_TASKS = 100
TASK_SEED = 0


def main() -> None:
    """Command line of the benchmark."""
    parser = make_parser(__doc__)
    parser.add_argument("runs", nargs=len(RULES), type=Path, help=f"run folders: {' '.join(RULES)}")
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder of the data sets")
    parser.add_argument("--threads", type=int, help="threads of PyTorch")
    options = parser.parse_args()
    n_tasks = N_TASKS if options.limit is None else max(2, min(N_TASKS, options.limit))
    if options.threads:
        torch.set_num_threads(options.threads)

    folder = options.data / "tiny-imagenet"
    classes = read_classes(folder / "classes.json")
    pixels, labels = read_pixels(folder / "val.parquet")
    from hyperclip.models.sentence_encoder import SentenceEncoder

    say("reading names with MiniLM")
    vectors = classes.vectors(SentenceEncoder().encode)
    found: dict[str, Any] = {}
    for rule, run in zip(RULES, options.runs, strict=True):
        arm = open_arm(run, classes)
        groups = group_tasks(vectors, arm.held_out, n_tasks=n_tasks, seed=TASK_SEED)
        found[rule] = {
            "freeze_statistics_after": arm.recipe["hyperclip"]["freeze_statistics_after"],
            "n_steps": arm.recipe["run"]["n_steps"],
            "groups": {name: _gap(arm, tasks, pixels, labels) for name, tasks in groups.items()},
        }
        for name, values in found[rule]["groups"].items():
            means = [f"{kind} {values[kind]['mean']:.3f}" for kind in ("running", "batch")]
            say(f"{rule}, {name}: {', '.join(means)}")
    config = {"n_tasks": n_tasks, "task_seed": TASK_SEED, "bootstrap_seed": 0}
    finish("batch_norm", {"rules": found}, options, tables=tables, n_threads=options.threads, config=config)


def _gap(
    arm: Arm,
    tasks: npt.NDArray[np.int64],
    pixels: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
) -> dict[str, Any]:
    """Measure each task under its own context with both kinds of statistics, and neutral."""
    accuracy: dict[str, list[float]] = {
        "running": [],
        "batch": [],
        "neutral_running": [],
        "neutral_batch": [],
    }
    for task in tasks:
        rows = np.flatnonzero(np.isin(labels, task))
        own = context_delta(arm, task)
        for name, delta in (("", own), ("neutral_", None)):
            accuracy[f"{name}running"].append(_accuracy(arm, pixels, labels, rows, task, delta))
            with batch_statistics(arm.model.image_encoder):  # all pictures of the task are one batch
                accuracy[f"{name}batch"].append(_accuracy(arm, pixels, labels, rows, task, delta))
    return {
        "n_tasks": len(tasks),
        **{name: bootstrap_mean(values)._asdict() for name, values in accuracy.items()},
        "batch_minus_running": paired_difference(accuracy["batch"], accuracy["running"])._asdict(),
        "accuracy_by_task": accuracy,
    }


def _accuracy(
    arm: Arm,
    pixels: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    task: npt.NDArray[np.int64],
    delta: Tensor | None,
) -> float:
    embedding = embed(arm, pixels[rows], delta, batch_size=len(rows))
    return task_accuracy(arm, embedding, labels[rows], task)


if __name__ == "__main__":
    main()
