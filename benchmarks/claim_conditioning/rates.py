"""Which learning rate the oracle goes on with."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["FREEDOMS", "N_LISTS_FOR_RATES", "chosen_rates"]

FREEDOMS = ("head", "norms", "norms_pointwise", "everything")
"""What the oracle may move; see `benchmarks.claim_conditioning.oracle`."""
N_LISTS_FOR_RATES = 1
"""So many lists try every rate."""


def chosen_rates(lists: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return each freedom's best rate on pictures cut from training, over the lists that tried several.

    Parameters
    ----------
    lists : sequence of mapping
        As `headroom_of_list` gives them, the first with every rate.
    """
    best = {}
    for freedom in FREEDOMS:
        tried = [one["development"][freedom] for one in lists[:N_LISTS_FOR_RATES]]
        best[freedom] = max(tried[0], key=lambda rate: float(np.mean([one[rate] for one in tried])))
    return best
