"""Tables of the comparison, from stored results."""

from typing import Any

import numpy as np
from benchmarks.claim_conditioning.differences import GOALS, Difference, Runs, headroom, is_met
from benchmarks.claim_conditioning.labels import CONTEXT_NAMES, FREEDOM_NAMES, GROUP_NAMES
from benchmarks.claim_conditioning.trainings import ARMS
from benchmarks.intervals import bootstrap_mean
from benchmarks.readme_tables import markdown_table, percent, signed_points

__all__ = ["tables"]

_CAPTURED_BY = {"norms": "hyper", "norms_pointwise": "hyper_weights"}
_COMPARED = (
    ("hyper_weights", "siglip"),
    ("hyper_weights", "token_weights"),
    ("token_weights", "siglip"),
    ("hyper", "siglip"),
    ("hyper", "token"),
    ("token", "siglip"),
)
_OWN_AGAINST = ("swapped", "none", "all_names")
_DIFFERENCE_GROUPS = (
    "all",
    "seen",
    "neighbors",
    "subtrees",
    "random",
    "held_out",
    "held_out_neighbors",
    "cifar10",
)
_HEADER_OF_DIFFERENCES = ["difference, points", "lists", "mean [95 %]", "each seed"]


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Return the tables that have figures, by name."""
    metrics = results["metrics"]
    all_runs = [Runs(metrics, encoder) for encoder in Runs.encoders(metrics)]
    if not all_runs:
        return {}
    made = {
        "arms": _arms(all_runs, metrics),
        "contexts": _contexts(all_runs),
        "differences": _differences(all_runs),
        "swaps": _swaps(all_runs),
        "ways": _ways(all_runs, metrics),
        "headroom": _headroom(all_runs, metrics),
        "oracle_first": _oracle_first(metrics),
        "shortcut": _shortcut(metrics),
        "goals": _goals(all_runs),
        "training": _training(all_runs),
    }
    return {name: table for name, table in made.items() if table}


def _label(runs: Runs, arm: str) -> str:
    return f"{runs.encoder} `{arm}`"


def _with_seeds(value: tuple[float, dict[int, float]] | None) -> str:
    if value is None:
        return "–"
    mean, by_seed = value
    seeds = "" if len(by_seed) < 2 else f" ({', '.join(percent(one) for one in by_seed.values())})"
    return percent(mean) + seeds


def _arms(all_runs: list[Runs], metrics: dict[str, Any]) -> str:
    groups = [group for group in GROUP_NAMES if group in metrics.get("lists", {})]
    rows = []
    for runs in all_runs:
        for arm in runs.arms():
            cells = [_with_seeds(runs.mean(arm, group)) for group in groups]
            rows.append([_label(runs, arm), len(runs.by_arm[arm]), *cells])
    chance = [percent(1 / metrics["lists"][group]["n_classes"]) for group in groups]
    rows.append(["chance", "", *chance])
    return markdown_table(["encoder, arm", "seeds", *(GROUP_NAMES[group] for group in groups)], rows)


def _contexts(all_runs: list[Runs]) -> str:
    rows = []
    for runs in all_runs:
        for arm in runs.arms():
            for group in ("neighbors", "held_out_neighbors", "all"):
                if arm != "siglip":
                    cells = [_with_seeds(runs.mean(arm, group, context)) for context in CONTEXT_NAMES]
                    rows.append([f"{_label(runs, arm)}, {GROUP_NAMES[group]}", *cells])
    return markdown_table(["encoder, arm, lists", *CONTEXT_NAMES.values()], rows) if rows else ""


def _row(name: str, group: str, difference: Difference) -> list[object]:
    seeds = ", ".join(f"{100 * value:+.1f}" for value in difference.by_seed.values())
    return [name, GROUP_NAMES[group], signed_points(**difference.over_units._asdict()), seeds]


def _differences(all_runs: list[Runs]) -> str:
    rows = []
    for runs in all_runs:
        for first, second in _COMPARED:
            for group in _DIFFERENCE_GROUPS:
                difference = runs.difference(first, second, group)
                if difference is not None:
                    rows.append(_row(f"{runs.encoder} `{first}` − `{second}`", group, difference))
    return markdown_table(_HEADER_OF_DIFFERENCES, rows) if rows else ""


def _swaps(all_runs: list[Runs]) -> str:
    rows = []
    for runs in all_runs:
        for arm in ("hyper_weights", "hyper"):
            for other in _OWN_AGAINST:
                for group in ("neighbors", "held_out_neighbors"):
                    difference = runs.difference(arm, arm, group, contexts=("own", other))
                    if difference is not None:
                        name = f"{_label(runs, arm)}: own − {CONTEXT_NAMES[other]}"
                        rows.append(_row(name, group, difference))
    return markdown_table(_HEADER_OF_DIFFERENCES, rows) if rows else ""


def _ways(all_runs: list[Runs], metrics: dict[str, Any]) -> str:
    lists = metrics.get("lists", {})
    by_size = sorted(
        (lists[group]["n_classes"], group)
        for group in lists
        if group in ("random", "seen") or group.startswith("random_")
    )
    rows = []
    for runs in all_runs:
        for arm in runs.arms():
            rows.append([_label(runs, arm), *(_with_seeds(runs.mean(arm, group)) for _, group in by_size)])
    return markdown_table(["encoder, arm", *(str(n) for n, _ in by_size)], rows)


def _headroom(all_runs: list[Runs], metrics: dict[str, Any]) -> str:
    rows = []
    for runs in all_runs:
        for group in ("neighbors", "held_out_neighbors"):
            found = headroom(metrics, runs.encoder, group)
            if found is None:
                continue
            for freedom, gain in found.gain.items():
                arm = _CAPTURED_BY.get(freedom)
                units = runs.units(arm, group).get(0) if arm else None
                captured = "" if units is None else units[found.places] - found.start
                share = ""
                if not isinstance(captured, str):
                    share = (
                        f"{100 * captured.mean() / gain.mean():+.0f} %" if gain.mean() > 0 else "no headroom"
                    )
                rows.append(
                    [
                        f"{runs.encoder}, {GROUP_NAMES[group]}: {FREEDOM_NAMES[freedom]}",
                        len(gain),
                        signed_points(**bootstrap_mean(gain)._asdict()),
                        "" if isinstance(captured, str) else f"`{arm}` {100 * captured.mean():+.1f}",
                        share,
                    ]
                )
    header = [
        "what is optimized",
        "lists",
        "gain over the control [95 %]",
        "gain of the arm",
        "share captured",
    ]
    return markdown_table(header, rows) if rows else ""


def _oracle_first(metrics: dict[str, Any]) -> str:
    stored = [value for key, value in metrics.items() if key.startswith("oracle_first ")]
    rows = []
    for encoder in sorted({one["encoder"] for one in stored}):
        seeds = [one for one in stored if one["encoder"] == encoder]
        explained = percent(float(np.mean([max(one["explained"].values()) for one in seeds])))
        for group in ("neighbors", "held_out_neighbors"):
            by_kind = {
                kind: np.mean([one["accuracy"][group][kind] for one in seeds], axis=0)
                for kind in ("none", "mean", "own", "swapped")
            }
            gains = [
                signed_points(**bootstrap_mean(by_kind["own"] - by_kind[other])._asdict())
                for other in ("none", "mean", "swapped")
            ]
            name = f"{encoder}, {len(seeds)} seeds, {GROUP_NAMES[group]}"
            accuracies = [percent(float(values.mean())) for values in by_kind.values()]
            rows.append([name, explained, *accuracies, *gains])
    header = [
        "encoder, lists", "of the oracle's changes explained, left out",
        "no change", "mean change", "predicted from the names", "from another list's names",
        "predicted − none", "predicted − mean", "predicted − another list's",
    ]  # fmt: skip
    return markdown_table(header, rows) if rows else ""


def _shortcut(metrics: dict[str, Any]) -> str:
    stored = [value for key, value in metrics.items() if key.startswith("shortcut ")]
    stored.sort(key=lambda one: (one["encoder"], one["seed"], ARMS.index(one["arm"])))
    rows = []
    for one in stored:
        for context, found in one["found"].items():
            if context == "none" and one["arm"].startswith("token"):
                continue  # never trained with
            cells = [percent(float(np.mean(values))) for values in found.values()]
            name = f"{one['encoder']} `{one['arm']}`, seed {one['seed']}: {CONTEXT_NAMES[context]}"
            rows.append([name, *cells])
    header = ["encoder, arm: told", "answers in the list", "right among the 160", "right within the list"]
    return markdown_table(header, rows) if rows else ""


def _goals(all_runs: list[Runs]) -> str:
    rows = []
    for runs in all_runs:
        for goal in GOALS:
            for group in goal.groups:
                found = {pair: runs.difference(*pair, group) for pair in goal.pairs}
                known = {pair: value for pair, value in found.items() if value is not None}
                if not known:
                    continue
                pair = max(known, key=lambda one: known[one].over_units.mean)
                verdict = "met" if is_met(known[pair], goal.at_least) else "**not met**"
                n_seeds = len(known[pair].by_seed)
                rows.append(
                    [
                        f"{runs.encoder}, {goal.name} ({GROUP_NAMES[group]})",
                        f"`{pair[0]}` − `{pair[1]}`",
                        signed_points(**known[pair].over_units._asdict()),
                        n_seeds,
                        verdict,
                    ]
                )
    return markdown_table(["part of the goal", "best pair", "points [95 %]", "seeds", "so far"], rows)


def _training(all_runs: list[Runs]) -> str:
    rows = []
    for runs in all_runs:
        for arm in runs.arms():
            for seed, run in runs.by_arm[arm].items():
                fifth = max(1, len(run["losses"]) // 5)
                _, before, _ = np.mean(run["losses"][-2 * fifth : -fifth], axis=0)
                _, last, task = np.mean(run["losses"][-fifth:], axis=0)
                cells = [run["n_encoder_parameters"], run["n_generated"], run["n_steps"]]
                losses = [f"{value:.2f}" for value in (before, last, task, last - task)]
                varies, size = run["change_relative_variance"], run["change_rms"]
                change = ["–" if value is None else f"{value:.3f}" for value in (varies, size)]
                rows.append([f"{_label(runs, arm)}, seed {seed}", *cells, *losses, *change])
    header = [
        "run",
        "parameters of the encoder",
        "generated",
        "steps",
        "loss, last fifth but one",
        "loss, last fifth",
        "of it: within the list",
        "of it: over all classes",
        "share of the change that varies between lists",
        "root mean square of the change",
    ]
    return markdown_table(header, rows)
