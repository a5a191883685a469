"""The oracle over many lists: what is optimized, on which pictures, and what is stored.

The first list is optimized with every rate; the rate that is best on pictures cut from training serves all
lists. Figures are on val.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from benchmarks.claim_conditioning.measure import Pictures
from benchmarks.claim_conditioning.oracle import TrainingPictures, accuracy, optimize
from benchmarks.claim_conditioning.rates import FREEDOMS
from benchmarks.conditioning.arms import Arm

__all__ = ["RATES", "Budget", "headroom_of_list", "more_of_the_same"]

RATES = {
    "head": (0.003, 0.03),
    "norms": (0.003, 0.01),
    "norms_pointwise": (0.001, 0.004),
    "everything": (0.001, 0.004),
}
"""Peak rates that are tried for each freedom."""


class Budget(NamedTuple):
    """How long each optimization goes on."""

    n_steps: int
    n_at_most: int = 2500  # training pictures of a list
    rates: Mapping[str, Sequence[float]] = RATES


def headroom_of_list(
    arm: Arm,
    asked: npt.NDArray[np.int64],
    pictures: TrainingPictures,
    val: Pictures,
    budget: Budget,
    *,
    others: Mapping[str, Any] = {},
    on_progress: Callable[[str], None] = lambda message: None,
) -> dict[str, Any]:
    """Optimize one list with every freedom and rate.

    Parameters
    ----------
    arm : Arm
        The control that everything starts from.
    asked : ndarray of shape (C,), int64
    pictures : TrainingPictures
    val : Pictures
        With pictures of other classes too.
    budget : Budget
    others : mapping of str to model
        Further models under the head of the names, see `more_of_the_same`.

    Returns
    -------
    dict
        ``start`` and, by freedom and rate, ``development`` and ``val`` accuracies.
    """
    train = pictures.of(asked, is_development=False, n_at_most=budget.n_at_most)
    development = pictures.of(asked, is_development=True)
    rows = val.rows_of(asked)
    test = Pictures(val.images_N3HW[rows], val.labels[rows])
    own = arm.model.make_head(arm.class_emb_CE[asked])
    found: dict[str, Any] = {
        "list": " ".join(map(str, asked)),
        "n_train": len(train.labels),
        "n_development": len(development.labels),
        "start": accuracy(arm.model, own, asked, test),
        "more_of_the_same": {name: accuracy(model, own, asked, test) for name, model in others.items()},
        "development": {},
        "val": {},
    }
    for freedom in FREEDOMS:
        for rate in budget.rates[freedom]:
            model, head = optimize(arm, asked, train, freedom, peak_lr=rate, n_steps=budget.n_steps)
            for name, shown in (("development", development), ("val", test)):
                found[name].setdefault(freedom, {})[str(rate)] = accuracy(model, head, asked, shown)
        on_progress(
            f"{freedom}: " + ", ".join(f"{r} {100 * v:.1f}" for r, v in found["val"][freedom].items())
        )
    return found


def more_of_the_same(
    arm: Arm, seen: npt.NDArray[np.int64], pictures: TrainingPictures, budget: Budget
) -> dict[str, Any]:
    """Optimize norms and weights on pictures of all classes, as long as for one list; a model a rate."""
    train = pictures.of(seen, is_development=False, n_at_most=4 * budget.n_at_most)
    return {
        str(rate): optimize(arm, seen, train, "norms_pointwise", peak_lr=rate, n_steps=budget.n_steps)[0]
        for rate in budget.rates["norms_pointwise"]
    }
