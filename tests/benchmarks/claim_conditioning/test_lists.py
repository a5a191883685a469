"""The lists on which the arms are measured."""

import numpy as np
import pytest
from benchmarks.claim_conditioning.lists import below_one_node, draw_groups, mean_similarity, random_lists

N_MAIN = 200
HELD_OUT = tuple(range(0, 200, 5))
VECTORS = np.random.default_rng(0).normal(size=(N_MAIN + 10, 16)).astype(np.float32)
COVERS = np.arange(N_MAIN)[None] // 40 == np.arange(5)[:, None]  # five nodes with 40 classes each


def test_groups_keep_to_their_classes() -> None:
    groups = draw_groups(VECTORS, n_main=N_MAIN, held_out=HELD_OUT, covers=COVERS, n_lists=12)

    seen = [groups[name] for name in groups if name not in ("all", "cifar10") and "held" not in name]
    assert not any(np.isin(one, HELD_OUT).any() for group in seen for one in group.lists)
    assert all(np.isin(one, HELD_OUT).all() for one in groups["held_out_neighbors"].lists)
    assert groups["cifar10"].lists[0].tolist() == list(range(N_MAIN, N_MAIN + 10))
    assert [name for name, group in groups.items() if group.is_wide] == ["all", "seen", "held_out", "cifar10"]


def test_lists_never_borrow_their_own_names() -> None:
    groups = draw_groups(VECTORS, n_main=N_MAIN, held_out=HELD_OUT, covers=COVERS, n_lists=12)

    for group in groups.values():
        assert len(group.partners) == len(group.lists)
        assert not any(
            np.array_equal(one, other) for one, other in zip(group.lists, group.partners, strict=True)
        )


def test_lists_are_the_same_for_a_seed() -> None:
    first, second = (
        draw_groups(VECTORS, n_main=N_MAIN, held_out=HELD_OUT, covers=COVERS, n_lists=12) for _ in range(2)
    )

    assert all(
        np.array_equal(a, b)
        for name in first
        for a, b in zip(first[name].lists, second[name].lists, strict=True)
    )


def test_classes_of_a_list_lie_below_one_node() -> None:
    among = np.arange(0, N_MAIN, 2)

    drawn = below_one_node(COVERS, among, n_lists=7)

    assert len(drawn) == 7
    assert all(len(set((one // 40).tolist())) == 1 for one in drawn)
    assert all(np.isin(one, among).all() and len(set(one.tolist())) == 10 for one in drawn)


def test_small_nodes_are_refused() -> None:
    with pytest.raises(ValueError, match="10 classes below"):
        below_one_node(COVERS, np.array([0, 1, 40, 41]), n_lists=1)


def test_random_lists_have_their_size() -> None:
    assert {len(set(one.tolist())) for one in random_lists(np.arange(50), 7, n_lists=5, seed=0)} == {7}


def test_similarity_is_that_between_different_classes() -> None:
    assert mean_similarity(np.array([[2.0, 0.0], [0.0, 3.0]])) == pytest.approx(0)
    assert mean_similarity(np.array([[2.0, 0.0], [5.0, 0.0]])) == pytest.approx(1)
