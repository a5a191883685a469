"""Does it help that the names write the norms? Ten-way tasks of semantic neighbors, Tiny-ImageNet val.

    python -m benchmarks.conditioning.run model
    python -m benchmarks.conditioning.run arms runs/arms/hyper runs/arms/siglip runs/arms/token

`model` asks the bundled model; `arms` asks three finished runs that differ in the hypernetwork alone.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.command import data_folder, finish, make_parser, say
from benchmarks.conditioning.bundled import measure_bundled, read_pixels
from benchmarks.conditioning.tables import ARMS, draw_arms, tables
from benchmarks.conditioning.tasks import draw_tasks, group_tasks, read_classes
from benchmarks.intervals import paired_difference
from benchmarks.result_file import REPOSITORY, read_newest

N_TASKS = 100
TASK_SEED = 0


def main() -> None:
    """Command line of the benchmark."""
    parser = make_parser(__doc__)
    parser.add_argument("what", choices=["model", "arms"])
    parser.add_argument("runs", nargs="*", type=Path, help=f"run folders of the arms: {' '.join(ARMS)}")
    parser.add_argument("--model", default="small", help="name or folder of the model")
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder of the data sets")
    parser.add_argument("--per-class", type=int, help="only so many pictures a class, drawn with seed 0")
    parser.add_argument("--threads", type=int, help="threads of the sessions, or of PyTorch")
    options = parser.parse_args()
    if options.what == "arms" and len(options.runs) != len(ARMS):
        parser.error(f"arms takes {len(ARMS)} run folders, in this order: {' '.join(ARMS)}")
    n_tasks = N_TASKS if options.limit is None else max(2, min(N_TASKS, options.limit))

    folder = options.data / "tiny-imagenet"
    classes = read_classes(folder / "classes.json")
    pixels, labels = read_pixels(folder / "val.parquet")
    if options.per_class is not None:
        rows = _some_of_each(labels, options.per_class)
        pixels, labels = pixels[rows], labels[rows]
    say(f"{len(pixels)} pictures of {len(classes.names)} classes; reading names with MiniLM")
    from hyperclip.models.sentence_encoder import SentenceEncoder

    vectors = classes.vectors(SentenceEncoder().encode)
    if options.what == "model":
        import hyperclip

        model = hyperclip.load(options.model, n_threads=options.threads)
        tasks = draw_tasks(vectors, n_tasks=n_tasks, seed=TASK_SEED)
        metrics: dict[str, Any] = {
            "model": {
                "name": model.manifest.name,
                "version": model.manifest.version,
                "fingerprint": model.fingerprint,
            },
            "bundled": measure_bundled(model, classes, tasks, pixels, labels, on_progress=say),
        }
    else:
        metrics = _measure_arms(options, vectors, pixels, labels, n_tasks=n_tasks)
    config = {"n_tasks": n_tasks, "task_seed": TASK_SEED, "bootstrap_seed": 0}
    finish(
        "conditioning", metrics, options, tables=tables, n_threads=options.threads, part=options.what,
        config=config,
    )  # fmt: skip
    if options.limit is None and options.out is None:
        benchmark = REPOSITORY / "benchmarks" / "conditioning"
        results = read_newest(benchmark / "results")
        if results is not None:
            draw_arms(results, benchmark / "contexts.png")


def _measure_arms(
    options: argparse.Namespace, vectors: Any, pixels: Any, labels: Any, *, n_tasks: int
) -> dict[str, Any]:
    """Measure all arms on the same tasks, and compare them task by task."""
    import torch
    from benchmarks.conditioning.arms import measure_arm, open_arm

    if options.threads:
        torch.set_num_threads(options.threads)
    classes = read_classes(options.data / "tiny-imagenet" / "classes.json")
    arms = {name: open_arm(run, classes) for name, run in zip(ARMS, options.runs, strict=True)}
    held_out = arms["hyper"].held_out
    different = [name for name, arm in arms.items() if arm.held_out != held_out]
    if different:
        raise SystemExit(f"The runs of {', '.join(different)} held out other classes than hyper; train anew.")
    groups = group_tasks(vectors, held_out, n_tasks=n_tasks, seed=TASK_SEED)
    found = {}
    for name, arm in arms.items():
        say(f"measuring {name}")
        found[name] = measure_arm(arm, groups, pixels, labels, on_progress=say)
        for group, values in found[name]["groups"].items():
            say(f"{name}, {group}: " + ", ".join(f"{c} {m['mean']:.3f}" for c, m in values["mean"].items()))
    return {
        "arms": found,
        "arm_differences": {
            f"{first} ({first_context}) − {second} ({second_context}), {group}": paired_difference(
                found[first]["groups"][group]["accuracy_by_task"][first_context],
                found[second]["groups"][group]["accuracy_by_task"][second_context],
            )._asdict()
            for group in groups
            for first, first_context, second, second_context in (
                ("hyper", "own", "siglip", "neutral"),
                ("hyper", "own", "token", "own"),
                ("token", "own", "siglip", "neutral"),
                ("hyper", "neutral", "siglip", "neutral"),
            )
        },
    }


def _some_of_each(labels: Any, n_each: int) -> Any:
    """Return rows of at most `n_each` pictures of each class, drawn with seed 0."""
    order = np.random.default_rng(0).permutation(len(labels))
    kept = [order[labels[order] == label][:n_each] for label in np.unique(labels)]
    return np.sort(np.concatenate(kept))


if __name__ == "__main__":
    main()
