"""Tasks to evaluate on."""

import numpy as np
import pytest

from hyperclip.data.fixed_tasks import neighbor_tasks, subtree_tasks
from hyperclip.data.hierarchy import Hierarchy
from hyperclip.errors import InputError


def make_hierarchy():
    leaves = [(f"l{index}", [f"leaf {index}"]) for index in range(40)]
    parents = {f"l{index}": [f"f{index // 8}"] for index in range(40)} | {f"f{i}": ["root"] for i in range(5)}
    return Hierarchy.build(leaves, parents=parents, names={})


def test_neighbor_tasks_hold_the_seed_and_its_nearest():
    embeddings = np.random.default_rng(0).normal(size=(60, 8))
    tasks = neighbor_tasks(embeddings, n_tasks=50, n_classes=10, rng=np.random.default_rng(1))
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)

    assert tasks.shape == (50, 10)
    assert len({frozenset(task) for task in tasks.tolist()}) == 50
    for task in tasks:
        similarity = unit @ unit[task[0]]
        others = np.setdiff1d(np.arange(60), task)
        assert len(set(task.tolist())) == 10
        assert similarity[task[1:]].min() >= similarity[others].max()


def test_neighbor_tasks_survive_equal_embeddings_and_repeat_with_the_seed():
    embeddings = np.random.default_rng(0).normal(size=(60, 8))[np.arange(60) // 2]
    tasks = neighbor_tasks(embeddings, n_tasks=5, n_classes=3, rng=np.random.default_rng(1))

    assert all(task[1] // 2 == task[0] // 2 and task[1] != task[0] for task in tasks)
    again = neighbor_tasks(embeddings, n_tasks=5, n_classes=3, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(tasks, again)


def test_subtree_tasks_stay_below_one_node():
    tasks = subtree_tasks(make_hierarchy(), n_tasks=30, n_classes=5, rng=np.random.default_rng(0))

    assert tasks.shape == (30, 5)
    assert len({frozenset(task) for task in tasks.tolist()}) == 30
    assert all(len(set(task // 8)) == 1 and len(set(task)) == 5 for task in tasks)
    assert np.bincount(tasks[:, 0] // 8).tolist() == [6] * 5  # nodes take turns


def test_more_tasks_than_there_are_is_one_clear_sentence():
    with pytest.raises(InputError, match="different neighbor tasks"):
        neighbor_tasks(np.eye(12), n_tasks=20, n_classes=10, rng=np.random.default_rng(0))
    with pytest.raises(InputError, match="gives 5 different tasks"):
        subtree_tasks(make_hierarchy(), n_tasks=6, n_classes=8, rng=np.random.default_rng(0))
    with pytest.raises(InputError, match="n_classes 1"):
        subtree_tasks(make_hierarchy(), n_tasks=6, n_classes=1, rng=np.random.default_rng(0))
