"""What the swap test says: accuracies of tasks under their own context, none, and others' contexts."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from benchmarks.intervals import bootstrap_mean, paired_difference

__all__ = ["CONTEXTS", "relative_variance", "summarize"]

CONTEXTS = ("own", "neutral", "swapped", "all_names")


def summarize(accuracy: Mapping[str, npt.NDArray[np.float64]]) -> dict[str, Any]:
    """Return means over tasks with intervals, and own minus each other context, task by task.

    Parameters
    ----------
    accuracy : mapping of str to ndarray of shape (n_tasks,)
        One array a context, ``own`` among them; fractions of 1.
    """
    return {
        "n_tasks": len(accuracy["own"]),
        "mean": {context: bootstrap_mean(values)._asdict() for context, values in accuracy.items()},
        "own_minus": {
            context: paired_difference(accuracy["own"], values)._asdict()
            for context, values in accuracy.items()
            if context != "own"
        },
        "accuracy_by_task": {context: values.tolist() for context, values in accuracy.items()},
    }


def relative_variance(changes_TP: npt.NDArray[np.floating]) -> float | None:
    """Return the share of the generated changes that differs from task to task.

    Parameters
    ----------
    changes_TP : ndarray of shape (n_tasks, n_generated)
        Generated minus neutral values, or any other form of the changes.

    Returns
    -------
    float or None
        Summed variance over tasks, divided by the mean squared length: 0 where every task gets the same,
        1 where the changes have no common part. None where nothing is generated or changed.
    """
    changes = changes_TP.astype(np.float64)
    length = float(np.square(changes).sum(axis=1).mean()) if changes.size else 0.0
    return float(changes.var(axis=0).sum() / length) if length > 0 else None
