"""Proportions of tasks are checked when they are read."""

import pytest

from hyperclip.data.task_config import TASK_KINDS, TaskConfig
from hyperclip.errors import InputError


@pytest.mark.parametrize(
    "values",
    [
        {"n_min": 0},
        {"n_min": 5, "n_max": 4},
        {"synonyms": 1.5},
        {"empty_context": -0.1},
        {"distractor_share": 1.0},
        {"siblings": -1.0},
        {"siblings": float("nan")},
        {"neighbor_temperature": -1.0},
        {"min_inner_leaves": 0},
        dict.fromkeys(TASK_KINDS, 0.0),
    ],
)
def test_impossible_proportions_are_refused(values):
    with pytest.raises(InputError, match="expected"):
        TaskConfig(**values)
