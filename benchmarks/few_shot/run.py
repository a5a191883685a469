"""A few pictures of each class: every method against names alone and the linear probe, on six sets.

    python -m benchmarks.few_shot.run            # the table and the plots
    python -m benchmarks.few_shot.run fine_tuned # slr_ft beside three of them, on two sets (PyTorch)
    python -m benchmarks.few_shot.run --sets waste --seeds 2 --out /tmp/few-shot   # a quick try

Every picture is embedded once and kept in --cache; all fits run on what is kept there.
"""

import argparse
import time
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.command import data_folder, finish, make_parser, say
from benchmarks.few_shot.embeddings import SETS, SEVERITY, SPACES, embed, embed_corrupted, open_parts, stored
from benchmarks.few_shot.measure import Task, draw_shots, fit_all, text_controls
from benchmarks.few_shot.plots import draw_plots
from benchmarks.few_shot.tables import tables
from benchmarks.few_shot.texts import descriptions_of

import hyperclip
from hyperclip.adapt.text_features import random_control, text_features
from hyperclip.runtime.head_features import default_features
from hyperclip.runtime.head_part import HeadPart
from hyperclip.runtime.specialize import Model

SHOTS = (1, 2, 4, 8, 16)
MOST_SHOTS = {"groceries": 8}
N_SEEDS = 5
N_TRAINED_SEEDS = 3
N_TEXT_SEEDS = 3  # of the controls, which take most of the time
NEUTRAL_METHODS = ("zero_shot", "linear_probe", "gda", "wise")


def main() -> None:
    """Command line of the benchmark."""
    parser = make_parser(__doc__)
    parser.add_argument("part", nargs="?", choices=("methods", "fine_tuned"), default="methods")
    parser.add_argument("--model", default="small", help="name or folder of the model")
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder of the data sets")
    parser.add_argument("--cache", type=Path, default=Path("runs") / "few-shot", help="folder of embeddings")
    parser.add_argument("--sets", nargs="+", choices=SETS, metavar="SET", help="default: all of the part")
    parser.add_argument("--seeds", type=int, help=f"draws of the shots (default: {N_SEEDS}, trained: 3)")
    parser.add_argument("--threads", type=int, default=1, help="threads of the sessions")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="The number of unique classes")
    model = hyperclip.load(options.model, n_threads=options.threads)
    manifest = model.manifest
    about = {"name": manifest.name, "version": manifest.version, "fingerprint": model.fingerprint}
    if options.part == "fine_tuned":
        _measure_fine_tuned(model, about, options)
        return
    sets: dict[str, Any] = {}
    for name in options.sets or SETS:
        say(f"{name}: embedding")
        sets[name] = _measure_set(model, options.data, options.cache, name, n_seeds=options.seeds or N_SEEDS)
    metrics = {"sets": sets, "model": about, "severity": SEVERITY}
    finish("few_shot", metrics, options, tables=tables, n_threads=options.threads)
    draw_plots(sets, Path(__file__).parent if options.out is None else options.out)


def _measure_fine_tuned(model: Model, about: dict[str, str], options: argparse.Namespace) -> None:
    """Measure and store the part that needs PyTorch."""
    import torch
    from benchmarks.few_shot.fine_tuned import TRAINED_SETS, measure_fine_tuned

    torch.set_num_threads(options.threads)
    found = measure_fine_tuned(
        model,
        options.data,
        options.cache,
        options.sets or list(TRAINED_SETS),
        n_seeds=options.seeds or N_TRAINED_SEEDS,
    )
    metrics = {"fine_tuned": {"sets": found, "model": about, "severity": SEVERITY}}
    finish("few_shot", metrics, options, tables=tables, n_threads=options.threads, part="fine_tuned")


def _measure_set(model: Model, data: Path, cache: Path, name: str, *, n_seeds: int) -> dict[str, Any]:
    """Measure one set in both feature spaces."""
    pool_images, test_images = open_parts(data, name)
    source, descriptions = descriptions_of(data, model, pool_images.class_names)
    texts = text_features(model, model.texts(pool_images.class_names), descriptions)
    control = random_control(model, texts)
    tasks: dict[str, Task] = {}
    for space in SPACES:
        classifier = model.specialize(pool_images.class_names, context=space)
        start = cache / model.fingerprint[:8]
        tasks[space] = Task(
            prior=HeadPart(classifier),
            features=default_features(classifier.metadata.head.kind),
            pool=stored(start / f"{name}-{space}-train.npz", lambda c=classifier: embed(c, pool_images)),
            test=stored(start / f"{name}-{space}-test.npz", lambda c=classifier: embed(c, test_images)),
            corrupted=embed_corrupted(classifier, test_images, start, name) if space == "own" else {},
            texts=texts,
            control=control,
        )
    most = MOST_SHOTS.get(name, max(SHOTS))
    by_shots: dict[str, Any] = {}
    for n_shots in [count for count in SHOTS if count <= most]:
        started = time.monotonic()
        rows: dict[str, list[Any]] = defaultdict(list)
        for seed in range(n_seeds):
            places = draw_shots(tasks["own"].pool.target, n_shots, seed=seed)
            rows["own"].append(fit_all(tasks["own"], places))
            rows["neutral"].append(fit_all(tasks["neutral"], places, methods=NEUTRAL_METHODS))
            if seed < N_TEXT_SEEDS:
                rows["texts"].append(text_controls(tasks["own"], places))
        by_shots[str(n_shots)] = {part: _joined(found) for part, found in rows.items()}
        say(f"{name}, {n_shots} shots: {time.monotonic() - started:.0f} s")
    return {
        "n_classes": len(pool_images.class_names),
        "n_test": len(tasks["own"].test.target),
        "descriptions": {"source": source, "n": texts.n_descriptions},
        "zero_shot_corrupted": {
            kind: float((part.logits.argmax(axis=1) == part.target).mean())
            for kind, part in tasks["own"].corrupted.items()
        },
        "shots": by_shots,
    }


def _joined(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return seeds side by side: of each method, lists where each run had one value."""
    joined: dict[str, Any] = {}
    for method in rows[0]:
        runs = [row[method] for row in rows]
        joined[method] = {key: [run[key] for run in runs] for key in runs[0] if key != "corrupted"}
        if "corrupted" in runs[0]:
            joined[method]["corrupted"] = {
                kind: [run["corrupted"][kind] for run in runs] for kind in runs[0]["corrupted"]
            }
    return joined


if __name__ == "__main__":
    main()
