"""Which classes are recognized and which are not: tables for the pages of the models.

Legend: C classes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from benchmarks.readme_tables import markdown_table

__all__ = ["confusions", "confusions_table", "read_confusion", "recall_table"]

N_ENDS = 6  # classes at either end
N_CONFUSIONS = 5


def read_confusion(rows: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return a stored matrix of counts, shape (C, C): rows are true classes, columns answers."""
    return np.array([[int(cell) for cell in row.split()] for row in rows], dtype=np.int64)


def confusions(counts_CC: npt.NDArray[np.int64], names: Sequence[str]) -> list[tuple[str, str, int, int]]:
    """Return the most frequent confusions: true name, answer, how often, and of how many pictures."""
    wrong_CC = counts_CC.copy()
    np.fill_diagonal(wrong_CC, 0)
    n_true_C = counts_CC.sum(axis=1)
    found = []
    for index in np.argsort(-wrong_CC, axis=None, kind="stable"):
        true, answer = divmod(int(index), len(names))
        if wrong_CC[true, answer] == 0:
            break
        found.append((names[true], names[answer], int(wrong_CC[true, answer]), int(n_true_C[true])))
    return found


def recall_table(sets: Mapping[str, Any]) -> str:
    """Return for each set how the recall spreads over classes, and which classes are at the ends."""
    rows = []
    for name, found in sets.items():
        recall = {key: value for key, value in found["model"]["recall_by_class"].items() if value is not None}
        ranked = sorted(recall.items(), key=lambda pair: (pair[1], pair[0]))
        n_ends = min(N_ENDS, len(ranked) // 2)
        middle = float(np.median(list(recall.values())))
        ends = (ranked[:n_ends], ranked[: -n_ends - 1 : -1])
        shown = [", ".join(f"{key} {100 * value:.0f}" for key, value in end) for end in ends]
        n_zero = sum(value == 0 for value in recall.values())
        rows.append([name, len(recall), f"{100 * middle:.0f}", n_zero, *shown])
    return markdown_table(["set", "classes", "median, %", "never recognized", "worst, %", "best, %"], rows)


def confusions_table(sets: Mapping[str, Any]) -> str:
    """Return the most frequent confusions of each set."""
    rows = []
    for name, found in sets.items():
        if "confusion" in found:
            counts = read_confusion(found["confusion"])
            worst = confusions(counts, list(found["model"]["recall_by_class"]))[:N_CONFUSIONS]
            shown = [f"{true} → {answer} ({n} of {of})" for true, answer, n, of in worst]
            rows.append([name, "; ".join(shown)])
    return markdown_table(["set", "shown → answered"], rows) if rows else "(not measured yet)"
