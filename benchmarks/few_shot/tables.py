"""Tables of few shots, from a stored result."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from benchmarks.readme_tables import markdown_table, percent

__all__ = ["METHOD_NAMES", "half_width", "tables"]

METHOD_NAMES = {
    "zero_shot": "zero_shot",
    "prototype": "prototype",
    "linear_probe": "linear_probe",
    "gda": "gda",
    "wise": "wise",
    "slr_avd": "slr_avd",
    "auto": "auto",
}
TEXT_ROWS = {
    "slr_prompts": "L1, class prompts alone",
    "slr_descriptions": "L1, prompts and descriptions",
    "slr_random": "L1, prompts and random phrases",
    "l2_prompts": "L2, class prompts alone",
    "l2_descriptions": "L2, prompts and descriptions",
    "l2_random": "L2, prompts and random phrases",
}
# Two-sided 95 % quantiles of Student's t for few draws, by degrees of freedom.
STUDENT = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


def half_width(values: Sequence[float]) -> float:
    """Return half the 95 % interval of the mean over draws of the shots."""
    n = len(values)
    if n < 2:
        return 0.0
    return float(STUDENT.get(n - 1, 1.96) * np.std(values, ddof=1) / np.sqrt(n))


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Return ``SET`` for each set, and ``summary``, ``spaces``, ``texts``, ``corrupted``, ``seconds``.

    Where the part was measured, ``fine_tuned`` and ``fine_tuned_fits`` too.
    """
    sets = results["metrics"].get("sets")
    trained = results["metrics"].get("fine_tuned")
    more = {} if trained is None else {
        "fine_tuned": _fine_tuned(trained["sets"]), "fine_tuned_fits": _fine_tuned_fits(trained["sets"]),
    }  # fmt: skip
    if not sets:
        return more
    made = {name.replace("-", "_"): _accuracy(found) for name, found in sets.items()}
    made["summary"] = _summary(sets)
    made["auto"] = _auto(sets)
    made["spaces"] = _spaces(sets)
    made["texts"] = _texts(sets)
    made["corrupted"] = _corrupted(sets)
    made["seconds"] = _seconds(sets)
    return {**made, **more}


def _cell(values: Sequence[float]) -> str:
    """Return a mean and half its interval, in percent."""
    return f"{percent(float(np.mean(values)))} ± {100 * half_width(values):.1f}"


def _accuracy(found: Mapping[str, Any]) -> str:
    """One row a method, one column a number of shots."""
    shots = sorted(map(int, found["shots"]))
    rows = [
        [title, *(_cell(found["shots"][str(n)]["own"][method]["acc1"]) for n in shots)]
        for method, title in METHOD_NAMES.items()
    ]
    return markdown_table(["right, %", *(f"{n} shots" if n > 1 else "1 shot" for n in shots)], rows)


def _mean(found: Mapping[str, Any], n: int, method: str, part: str = "own") -> float:
    return float(np.mean(found["shots"][str(n)][part][method]["acc1"]))


def _all_shots(sets: Mapping[str, Any]) -> list[int]:
    return sorted({int(n) for found in sets.values() for n in found["shots"]})


def _summary(sets: Mapping[str, Any]) -> str:
    """Mean over the sets that have so many shots."""
    shots = _all_shots(sets)
    rows = []
    for method, title in METHOD_NAMES.items():
        cells = [
            percent(float(np.mean([_mean(f, n, method) for f in sets.values() if str(n) in f["shots"]])))
            for n in shots
        ]
        rows.append([title, *cells])
    counts = [sum(str(n) in found["shots"] for found in sets.values()) for n in shots]
    header = [f"{n} shot{'s' if n > 1 else ''}, {count} sets" for n, count in zip(shots, counts, strict=True)]
    return markdown_table(["mean over the sets, %", *header], rows)


def _auto(sets: Mapping[str, Any]) -> str:
    """How far `auto` is from the best single method and from names alone, and what it chose."""
    others = [method for method in METHOD_NAMES if method != "auto"]
    rows = []
    for name, found in sets.items():
        for n in sorted(map(int, found["shots"])):
            best = max(others, key=lambda method, n=n, found=found: _mean(found, n, method))
            auto = _mean(found, n, "auto")
            chose = found["shots"][str(n)]["own"]["auto"]["chose"]
            counts = {method: chose.count(method) for method in METHOD_NAMES if method in chose}
            rows.append(
                [
                    f"{name}, {n}",
                    percent(auto),
                    f"{100 * (auto - _mean(found, n, 'zero_shot')):+.1f}",
                    f"{100 * (auto - _mean(found, n, best)):+.1f}",
                    best,
                    ", ".join(f"{method} {count}" for method, count in counts.items()),
                ]
            )
    mean = [float(np.mean([float(row[column]) for row in rows])) for column in (2, 3)]
    rows.append(["**mean**", "", f"**{mean[0]:+.1f}**", f"**{mean[1]:+.1f}**", "", ""])
    return markdown_table(
        ["set, shots", "auto, %", "− names alone", "− best method", "best method", "auto chose"], rows
    )


def _spaces(sets: Mapping[str, Any]) -> str:
    """The specialized encoder's embedding minus the neutral one's, the same shots, in points."""
    shots = _all_shots(sets)
    rows = []
    for method in ("zero_shot", "linear_probe", "gda", "wise"):
        for name, found in sets.items():
            cells = []
            for n in shots:
                if str(n) not in found["shots"]:
                    cells.append("–")
                    continue
                own, neutral = (
                    np.array(found["shots"][str(n)][part][method]["acc1"]) for part in ("own", "neutral")
                )
                cells.append(f"{100 * (own - neutral).mean():+.1f} ± {100 * half_width(own - neutral):.1f}")
            rows.append([f"{method}, {name}", *cells])
    return markdown_table(["own − neutral, points", *map(str, shots)], rows)


def _texts(sets: Mapping[str, Any]) -> str:
    """Texts as features, nothing mixed in: mean over sets, and the share of coefficients that count."""
    shots = _all_shots(sets)
    rows = []
    for key, title in TEXT_ROWS.items():
        cells = []
        for n in shots:
            having = [
                found["shots"][str(n)]["texts"][key] for found in sets.values() if str(n) in found["shots"]
            ]
            cells.append(percent(float(np.mean([np.mean(row["acc1"]) for row in having]))))
        rows.append([title, *cells])
    for key, title in (("slr_descriptions", "share of coefficients that are not 0, descriptions"),):
        cells = []
        for n in shots:
            having = [
                found["shots"][str(n)]["texts"][key] for found in sets.values() if str(n) in found["shots"]
            ]
            cells.append(percent(float(np.mean([np.mean(row["share_nonzero"]) for row in having]))))
        rows.append([title, *cells])
    return markdown_table(["mean over the sets, %", *map(str, shots)], rows)


def _corrupted(sets: Mapping[str, Any]) -> str:
    """Clean accuracy, mean over the corruptions, and how much of the clean accuracy is kept."""
    rows = []
    parts = [("own", method, title) for method, title in METHOD_NAMES.items()]
    parts += [("texts", key, title) for key, title in TEXT_ROWS.items()]
    for part, method, title in parts:
        cells = [title]
        for n in (1, 4, 8):
            having = [
                found["shots"][str(n)][part][method]
                for found in sets.values()
                if str(n) in found["shots"] and "corrupted" in found["shots"][str(n)][part][method]
            ]
            clean = float(np.mean([np.mean(row["acc1"]) for row in having]))
            corrupted = float(np.mean([np.mean(list(row["corrupted"].values())) for row in having]))
            cells += [percent(clean), percent(corrupted), percent(corrupted / clean)]
        rows.append(cells)
    header = [f"{what}, {n}" for n in (1, 4, 8) for what in ("clean", "corrupted", "kept")]
    return markdown_table(["mean over the sets, %", *header], rows)


def _seconds(sets: Mapping[str, Any]) -> str:
    """Processor seconds of a fit, the slowest set's mean, and on which set that was."""
    shots = _all_shots(sets)
    rows = []
    for method, title in METHOD_NAMES.items():
        cells = []
        for n in shots:
            seconds = {
                name: float(np.mean(found["shots"][str(n)]["own"][method]["fit_seconds"]))
                for name, found in sets.items()
                if str(n) in found["shots"]
            }
            slowest = max(seconds, key=lambda name, seconds=seconds: seconds[name])
            cells.append(f"{seconds[slowest]:.1f} ({slowest})")
        rows.append([title, *cells])
    return markdown_table(["seconds", *map(str, shots)], rows)


def _fine_tuned(sets: Mapping[str, Any]) -> str:
    """Clean accuracy of each method, and the mean over the corruptions."""
    shots = _all_shots(sets)
    rows = []
    for name, found in sets.items():
        for method in found["shots"][str(shots[0])]:
            cells = []
            for n in shots:
                row = found["shots"][str(n)][method]
                corrupted = np.mean(list(row["corrupted"].values()), axis=0)  # of each seed
                cells += [_cell(row["acc1"]), _cell(corrupted.tolist())]
            rows.append([f"{name}, {method}", *cells])
    header = [f"{what}, {n} shot{'s' if n > 1 else ''}" for n in shots for what in ("clean", "corrupted")]
    return markdown_table(["right, %", *header], rows)


def _fine_tuned_fits(sets: Mapping[str, Any]) -> str:
    """Processor seconds of a fit, the share that was chosen, and the difference to where it started."""
    shots = _all_shots(sets)
    rows = []
    for name, found in sets.items():
        for n in shots:
            row, start = (found["shots"][str(n)][method] for method in ("slr_ft", "slr_avd"))
            clean = np.array(row["acc1"]) - np.array(start["acc1"])
            corrupted = np.mean(list(row["corrupted"].values()), axis=0) - np.mean(
                list(start["corrupted"].values()), axis=0
            )
            rows.append(
                [
                    f"{name}, {n}",
                    *(f"{100 * d.mean():+.1f} ± {100 * half_width(d):.1f}" for d in (clean, corrupted)),
                    ", ".join(f"{share:g}" for share in row["share"]),
                    f"{np.mean(row['fit_seconds']):.0f}",
                    f"{np.mean(start['fit_seconds']):.1f}",
                ]
            )
    return markdown_table(
        ["set, shots", "slr_ft − slr_avd, clean, points", "corrupted, points", "shares of the draws",
         "slr_ft, seconds", "slr_avd, seconds"], rows,
    )  # fmt: skip
