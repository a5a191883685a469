"""What `measure` and `oracle` of the command do: open runs, draw lists, store part by part."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from benchmarks.claim_conditioning.headroom import Budget, headroom_of_list, more_of_the_same
from benchmarks.claim_conditioning.lists import Group, draw_groups, with_partners
from benchmarks.claim_conditioning.measure import Pictures, digest, measure_run, training_figures
from benchmarks.claim_conditioning.oracle import TrainingPictures
from benchmarks.claim_conditioning.oracle_first import (
    Predictor,
    collect,
    draw_collection,
    measure_lists,
    summary,
)
from benchmarks.claim_conditioning.pictures import read_all_classes, read_pictures
from benchmarks.claim_conditioning.rates import N_LISTS_FOR_RATES, chosen_rates
from benchmarks.claim_conditioning.shortcut import measure_shortcut
from benchmarks.claim_conditioning.trainings import finished
from benchmarks.command import say
from benchmarks.conditioning.arms import Arm, open_arm
from benchmarks.conditioning.tasks import Classes
from benchmarks.result_file import REPOSITORY, read_newest

__all__ = ["measure", "oracle", "oracle_first", "shortcut"]

HERE = REPOSITORY / "benchmarks" / "claim_conditioning"
Store = Callable[[str, dict[str, Any]], None]


def measure(options: argparse.Namespace, store: Store) -> None:
    """Measure every finished run that has no result, or was trained anew since."""
    known = _known(options)
    runs = finished(options.runs, options.encoder, options.arms)
    missing = [
        run
        for run in runs
        if options.again
        or known.get(f"run {run.key}", {}).get("weights_sha256") != digest(run.folder(options.runs))
    ]
    say(f"{len(runs)} finished runs, {len(missing)} to measure")
    if not missing:
        return
    classes, n_main = read_all_classes(options.data)
    held_out = _held_out(classes)
    groups = _groups(options, classes, n_main, held_out)
    if "lists" not in known or options.again:
        store("lists", {"lists": {name: _shown(group) for name, group in groups.items()}})
    pictures: Pictures | None = None
    size_px = 0
    for number, run in enumerate(missing[: options.limit], start=1):
        arm = open_arm(run.folder(options.runs), classes)
        _check_held_out(arm, held_out, run.key)
        if pictures is None or size_px != arm.size_px:
            size_px = arm.size_px
            pictures = read_pictures(
                options.data,
                n_main=n_main,
                size_px=size_px,
                n_cifar=options.cifar,
                n_each=options.per_class,
            )
        say(f"{number}/{len(missing)} {run.key}")
        found = measure_run(arm, groups, pictures, n_main=n_main, on_progress=say)
        folder = run.folder(options.runs)
        about = {
            "encoder": run.encoder, "arm": run.arm, "seed": run.seed, "weights_sha256": digest(folder),
            "n_steps": arm.recipe["run"]["n_steps"], **training_figures(folder),
        }  # fmt: skip
        store(f"run-{run.key.replace('/', '-')}", {f"run {run.key}": {**about, **found}})


def oracle(options: argparse.Namespace, store: Store) -> None:
    """Optimize the controls for single lists; goes on where it was stopped."""
    classes, n_main = read_all_classes(options.data)
    held_out = _held_out(classes)
    groups = _groups(options, classes, n_main, held_out)
    seen = groups["seen"].lists[0]
    budget = Budget(n_steps=options.steps)
    n_seen, n_held = options.oracle_lists
    asked = [("neighbors", one) for one in groups["neighbors"].lists[:n_seen]]
    asked += [("held_out_neighbors", one) for one in groups["held_out_neighbors"].lists[:n_held]]
    controls = [
        run for run in finished(options.runs, options.encoder, ["siglip"]) if run.seed in options.seeds
    ]
    for run in controls:
        key = f"oracle {run.key}"
        before = {} if options.again else _known(options).get(key, {})
        done: dict[str, Any] = before.get("lists", {}) if before.get("n_steps") == options.steps else {}
        todo = [(group, one) for group, one in asked if f"{group}: {_name(one)}" not in done][: options.limit]
        say(f"{run.key}: {len(todo)} of {len(asked)} lists to optimize")
        if not todo:
            continue
        arm = open_arm(run.folder(options.runs), classes)
        _check_held_out(arm, held_out, run.key)
        val = read_pictures(options.data, n_main=n_main, size_px=arm.size_px, n_cifar=1)
        pictures = _training_pictures(arm, classes, n_main)
        say("optimizing for all classes")
        others = more_of_the_same(arm, seen, pictures, budget)
        for group, one in todo:
            say(f"{run.key}, {group}: " + ", ".join(classes.names[index] for index in one))
            if len(done) >= N_LISTS_FOR_RATES:
                best = chosen_rates(list(done.values()))
                budget = budget._replace(rates={freedom: (float(rate),) for freedom, rate in best.items()})
            found = headroom_of_list(arm, one, pictures, val, budget, others=others, on_progress=say)
            done[f"{group}: {_name(one)}"] = {"group": group, **found}
            store(f"oracle-{run.key.replace('/', '-')}", {key: {"n_steps": options.steps, "lists": done}})


def oracle_first(options: argparse.Namespace, store: Store) -> None:
    """Optimize the controls for many lists, and predict what other lists need from their names."""
    from hyperclip.models.sentence_encoder import SentenceEncoder

    classes, n_main = read_all_classes(options.data)
    groups = _groups(options, classes, n_main, _held_out(classes))
    lists = draw_collection(
        classes.vectors(SentenceEncoder().encode),
        among=groups["seen"].lists[0],
        n_lists=options.collected,
        reported=groups["neighbors"].lists,
    )
    controls = finished(options.runs, options.encoder, ["siglip"])
    for run in (one for one in controls if one.seed in options.seeds):
        key = f"oracle_first {run.key}"
        if key in _known(options) and not options.again:
            continue
        say(f"{run.key}: {len(lists)} lists to optimize")
        arm = open_arm(run.folder(options.runs), classes)
        folder = options.runs / "oracle_first" / run.key.replace("/", "-")
        collection = collect(
            arm,
            lists,
            _training_pictures(arm, classes, n_main),
            folder,
            n_steps=options.steps,
            on_progress=say,
        )
        predictor = Predictor(collection, arm.class_emb_CE.numpy())
        val = read_pictures(
            options.data, n_main=n_main, size_px=arm.size_px, n_cifar=1, n_each=options.per_class
        )
        accuracy = {}
        for group in ("neighbors", "held_out_neighbors"):
            accuracy[group] = measure_lists(arm, groups[group], predictor, val)
            say(f"{run.key}, {group}: {summary(accuracy[group])}")
        about = {
            "encoder": run.encoder, "seed": run.seed, "n_lists": len(lists), "n_steps": options.steps,
            "explained": {str(ridge): value for ridge, value in predictor.explained.items()},
            "ridge": predictor.ridge,
        }  # fmt: skip
        store(f"oracle_first-{run.key.replace('/', '-')}", {key: {**about, "accuracy": accuracy}})


def shortcut(options: argparse.Namespace, store: Store) -> None:
    """Ask pictures of lists of neighbors among all classes trained on, with every finished run."""
    known = _known(options)
    classes, n_main = read_all_classes(options.data)
    groups = _groups(options, classes, n_main, _held_out(classes))
    lists, seen = groups["neighbors"].lists[: options.limit], groups["seen"].lists[0]
    runs = [run for run in finished(options.runs, options.encoder, options.arms) if run.seed in options.seeds]
    pictures: Pictures | None = None
    size_px = 0
    for run in runs:
        key = f"shortcut {run.key}"
        if key in known and not options.again:
            continue
        arm = open_arm(run.folder(options.runs), classes)
        if pictures is None or size_px != arm.size_px:
            size_px = arm.size_px
            pictures = read_pictures(
                options.data, n_main=n_main, size_px=size_px, n_cifar=1, n_each=options.per_class
            )
        found = measure_shortcut(arm, lists, seen, pictures)
        say(
            f"{run.key}: "
            + str({c: {k: np.mean(v).round(3) for k, v in f.items()} for c, f in found.items()})
        )
        store(
            f"shortcut-{run.key.replace('/', '-')}",
            {key: {"encoder": run.encoder, "arm": run.arm, "seed": run.seed, "found": found}},
        )


def _known(options: argparse.Namespace) -> dict[str, Any]:
    results = read_newest(options.out or HERE / "results")
    return {} if results is None else dict(results["metrics"])


def _held_out(classes: Classes) -> tuple[int, ...]:
    """Indices of the classes in ``held_out_classes.json``."""
    rows = json.loads((HERE / "held_out_classes.json").read_text(encoding="utf-8"))
    return tuple(classes.wnids.index(row["wnid"]) for row in rows)


def _check_held_out(arm: Arm, held_out: tuple[int, ...], key: str) -> None:
    if set(arm.held_out) != set(held_out):
        raise SystemExit(f"{key} held out other classes than held_out_classes.json lists; train it anew.")


def _groups(
    options: argparse.Namespace, classes: Classes, n_main: int, held_out: tuple[int, ...]
) -> dict[str, Group]:
    from hyperclip.data.wordnet import read_hierarchy
    from hyperclip.models.sentence_encoder import SentenceEncoder

    stored = _known(options).get("lists")
    if stored and not options.again and len(stored["neighbors"]["lists"]) == options.lists:
        return {name: _read(one, stored["neighbors"]["lists"][0]) for name, one in stored.items()}
    vectors = classes.vectors(SentenceEncoder().encode)
    hierarchy = read_hierarchy(
        options.data / "tiny-imagenet" / "classes.json", text_knowledge=options.data / "text-knowledge"
    )
    covers = hierarchy.covers[hierarchy.n_leaves :]
    return draw_groups(vectors, n_main=n_main, held_out=held_out, covers=covers, n_lists=options.lists)


def _shown(group: Group) -> dict[str, Any]:
    return {
        "n_classes": len(group.lists[0]),
        "lists": [_name(one) for one in group.lists],
        "similarity": list(group.similarity),
    }


def _read(stored: dict[str, Any], first_neighbors: str) -> Group:
    """The group that `_shown` stored."""
    lists = [np.array(one.split(), dtype=np.int64) for one in stored["lists"]]
    return with_partners(lists, stored["similarity"], np.array(first_neighbors.split(), dtype=np.int64))


def _name(one: npt.NDArray[np.int64]) -> str:
    return " ".join(str(index) for index in one)


def _training_pictures(arm: Arm, classes: Classes, n_main: int) -> TrainingPictures:
    section = arm.recipe["hyperclip"]
    only = section["data"]["sets"][0]
    rows = json.loads(Path(section["label_classes"]).read_text(encoding="utf-8"))
    return TrainingPictures.open(
        Path(only["cache"]),
        wnids=classes.wnids[:n_main],
        label_wnids=[row["wnid"] for row in rows],
        n_development=only["n_held_out"],
        size_px=arm.size_px,
    )
