"""Tasks of neighbors and their partners in the swap test."""

import numpy as np
import pytest
from benchmarks.conditioning.tasks import Classes, draw_tasks, group_tasks, swap_partners

VECTORS = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)


def test_partners_share_no_class_where_that_is_possible() -> None:
    tasks = np.array([[0, 1], [1, 2], [3, 4], [0, 5]])

    assert swap_partners(tasks).tolist() == [2, 2, 3, 1]


def test_a_task_is_never_its_own_partner() -> None:
    tasks = np.array([[0, 1], [0, 2], [1, 2]])

    assert all(partner != index for index, partner in enumerate(swap_partners(tasks)))


def test_groups_keep_to_their_classes() -> None:
    held_out = [1, 5, 9, *range(30, 50)]

    groups = group_tasks(VECTORS, held_out, n_tasks=20)

    assert groups["seen"].shape == (20, 10)
    assert not np.isin(groups["seen"], held_out).any()
    assert np.isin(groups["held_out"], held_out).all()


def test_tasks_are_the_same_for_the_same_seed() -> None:
    first, second = (draw_tasks(VECTORS, n_tasks=10, seed=4) for _ in range(2))

    np.testing.assert_array_equal(first, second)


def test_a_class_without_a_gloss_is_read_by_its_name() -> None:
    seen: list[list[str]] = []

    def encode(texts: list[str]) -> np.ndarray:
        seen.append(texts)
        return np.zeros((len(texts), 2), np.float32)

    Classes(("alp", "cat"), ("n1", "n2"), (None, "a small pet")).vectors(encode)

    assert seen == [["alp", "cat"], ["alp", "cat: a small pet"]]


def test_too_few_held_out_classes_make_no_tasks_of_their_own() -> None:
    assert list(group_tasks(VECTORS, [1, 2, 3], n_tasks=5)) == ["seen"]


@pytest.mark.parametrize("n_tasks", [2, 7])
def test_there_are_as_many_tasks_as_asked(n_tasks: int) -> None:
    assert len(draw_tasks(VECTORS, n_tasks=n_tasks)) == n_tasks
