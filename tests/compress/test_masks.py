"""Exact counts, invariances and the pattern, as in section 3 of the paper."""

import itertools

import numpy as np
import pytest

from hyperclip.compress.masks import (
    GRANULARITIES,
    Pattern,
    check_sparsity,
    parse_pattern,
    pattern_mask,
    smallest_mask,
)
from hyperclip.compress.wanda import wanda_score
from hyperclip.errors import InputError

RNG = np.random.default_rng(0)
WEIGHT = RNG.normal(size=(7, 24))
NORMS = np.broadcast_to(RNG.uniform(0.1, 4, 24), (7, 24))
SHARES = (0.0, 0.1, 0.29, 0.3, 0.5, 0.6, 0.7, 0.99)


@pytest.mark.parametrize("share", SHARES)
def test_every_row_loses_exactly_its_share(share: float) -> None:
    mask = smallest_mask(wanda_score(WEIGHT, NORMS), share)
    assert mask.sum(axis=1).tolist() == [int(24 * share + 1e-9)] * 7


def test_a_share_that_floats_cannot_hold_is_counted_as_written() -> None:
    assert smallest_mask(np.ones((1, 100)), 0.29).sum() == 29  # 0.29 * 100 is 28.999999999999996


def test_a_layer_loses_exactly_its_share() -> None:
    mask = smallest_mask(wanda_score(WEIGHT, NORMS), 0.3, granularity="layer")
    assert mask.sum() == 50  # of 168
    score = wanda_score(WEIGHT, NORMS)
    assert score[mask].max() < score[~mask].min()


def bisected_mask(score: np.ndarray, share: float) -> np.ndarray:
    """Return the variant's mask in the way of the paper's code: alpha by bisection, a threshold a row."""
    ordered = np.sort(score, axis=1)
    total, low, high, alpha = np.cumsum(ordered, axis=1), 0.0, 1.0, 0.4
    mask = np.zeros(score.shape, np.bool_)
    for _ in range(60):
        n_gone = (total <= alpha * total[:, -1:]).sum(axis=1)
        mask = np.stack(
            [row <= (gone and kept[gone - 1]) for row, gone, kept in zip(score, n_gone, ordered, strict=True)]
        )
        mask[n_gone == 0] = False
        if abs(mask.mean() - share) <= 0.001:
            break
        low, high = (low, alpha) if mask.mean() > share else (alpha, high)
        alpha = (low + high) / 2
    return mask


@pytest.mark.parametrize("share", [0.1, 0.5, 0.6, 0.7, 0.9])
def test_the_variant_is_that_of_a_bisection(share: float) -> None:
    rng = np.random.default_rng(3)
    score = np.abs(rng.normal(size=(40, 200)) * rng.lognormal(0, 1.5, size=(40, 200)))
    mask, bisected = smallest_mask(score, share, granularity="cumulative"), bisected_mask(score, share)
    assert mask.sum() == int(8000 * share + 1e-9)
    assert abs(bisected.mean() - share) <= 0.001
    assert (mask != bisected).sum() <= 8  # 0.001 of 8,000, all on one side
    assert (mask <= bisected).all() or (mask >= bisected).all()


def test_the_variant_takes_the_longest_prefix_within_one_share_of_every_row() -> None:
    score = np.array([[1.0, 4, 2, 3], [10, 1, 1, 8], [0, 0, 5, 0]])
    # What each score brings its row to: .1 1 .3 .6 | 1 .05 .1 .5 | 0 0 1 0
    mask = smallest_mask(score, 7 / 12, granularity="cumulative")
    assert mask.tolist() == [
        [True, False, True, False],
        [False, True, True, False],
        [True, True, False, True],
    ]


def test_rows_of_the_variant_lose_the_same_share_of_their_total_not_of_their_weights() -> None:
    rng = np.random.default_rng(0)
    even, uneven = rng.uniform(0.9, 1.1, size=(1, 400)), rng.lognormal(0, 2, size=(1, 400))
    score = np.concatenate([even, uneven])
    mask = smallest_mask(score, 0.5, granularity="cumulative")
    assert mask[1].sum() > 300 > 100 > mask[0].sum()
    lost = (score * mask).sum(axis=1) / score.sum(axis=1)
    assert abs(lost[0] - lost[1]) < 0.03


@pytest.mark.parametrize("factor", [1e-6, 1e8])
def test_scaling_a_row_leaves_the_mask_of_the_variant(factor: float) -> None:
    expected = smallest_mask(np.abs(WEIGHT), 0.6, granularity="cumulative")
    scaled = np.abs(WEIGHT).copy()
    scaled[2] *= factor
    np.testing.assert_array_equal(smallest_mask(scaled, 0.6, granularity="cumulative"), expected)


def test_no_row_of_the_variant_goes_as_a_whole() -> None:
    score = np.concatenate([np.full((1, 24), 1e-9), np.abs(WEIGHT)])
    mask = smallest_mask(score, 0.9, granularity="cumulative")
    assert not mask.all(axis=1).any()


def test_equal_norms_give_the_mask_of_magnitude() -> None:
    # X with orthonormal columns: every norm is 1.
    inputs, _ = np.linalg.qr(RNG.normal(size=(60, 24)))
    norms = np.broadcast_to(np.linalg.norm(inputs, axis=0), WEIGHT.shape)
    expected = smallest_mask(np.abs(WEIGHT), 0.5)
    np.testing.assert_array_equal(smallest_mask(wanda_score(WEIGHT, norms), 0.5), expected)


@pytest.mark.parametrize("factor", [1e-6, 0.5, 3.0, 1e8])
def test_scaling_all_inputs_leaves_the_mask(factor: float) -> None:
    expected = smallest_mask(wanda_score(WEIGHT, NORMS), 0.6)
    np.testing.assert_array_equal(smallest_mask(wanda_score(WEIGHT, factor * NORMS), 0.6), expected)


def test_scaling_rows_leaves_the_mask_so_folding_a_norm_does() -> None:
    gamma = np.array([2.0, -0.01, 5, -3, 1e3, -1e-4, 0.7])[:, None]  # negative ones included
    expected = smallest_mask(wanda_score(WEIGHT, NORMS), 0.6)
    np.testing.assert_array_equal(smallest_mask(wanda_score(gamma * WEIGHT, NORMS), 0.6), expected)
    folded = pattern_mask(wanda_score(gamma * WEIGHT, NORMS), Pattern(2, 4))
    np.testing.assert_array_equal(folded, pattern_mask(wanda_score(WEIGHT, NORMS), Pattern(2, 4)))


def test_moving_a_factor_from_input_to_weight_leaves_the_scores() -> None:
    factor = RNG.uniform(0.1, 10, 24)
    moved = wanda_score(WEIGHT / factor, NORMS * factor)
    np.testing.assert_allclose(moved, wanda_score(WEIGHT, NORMS), rtol=1e-12)


def test_the_score_is_the_change_of_the_output_by_one_weight() -> None:
    inputs = RNG.normal(size=(50, 24))
    score = wanda_score(WEIGHT, np.broadcast_to(np.linalg.norm(inputs, axis=0), WEIGHT.shape))
    for row, column in ((0, 0), (3, 11), (6, 23)):
        without = WEIGHT.copy()
        without[row, column] = 0
        change = np.linalg.norm(inputs @ WEIGHT.T - inputs @ without.T)
        assert change == pytest.approx(score[row, column], rel=1e-9)


def test_weights_of_a_dead_input_go_first_and_change_nothing() -> None:
    norms = NORMS.copy()
    dead = [2, 9, 17]
    norms[:, dead] = 0
    inputs = RNG.normal(size=(30, 24))
    inputs[:, dead] = 0
    mask = smallest_mask(wanda_score(WEIGHT, norms), 3 / 24)
    assert all(set(np.flatnonzero(row)) == set(dead) for row in mask)
    np.testing.assert_array_equal(inputs @ np.where(mask, 0, WEIGHT).T, inputs @ WEIGHT.T)


def test_a_larger_share_contains_a_smaller_one() -> None:
    score = wanda_score(WEIGHT, NORMS)
    for granularity in GRANULARITIES:
        masks = [smallest_mask(score, share, granularity=granularity) for share in SHARES]
        for smaller, larger in itertools.pairwise(masks):
            assert not (smaller & ~larger).any()


def test_pruning_again_keeps_the_mask() -> None:
    norms = NORMS.copy()
    norms[:, 5] = 0
    mask = smallest_mask(wanda_score(WEIGHT, norms), 0.5)
    again = smallest_mask(wanda_score(np.where(mask, 0, WEIGHT), norms), 0.5)
    np.testing.assert_array_equal(again, mask)


def test_ties_go_by_position() -> None:
    np.testing.assert_array_equal(smallest_mask(np.ones((2, 4)), 0.5), [[True, True, False, False]] * 2)


@pytest.mark.parametrize(("kept", "run"), [(2, 4), (4, 8), (1, 4), (3, 4)])
def test_every_run_of_a_pattern_keeps_its_count(kept: int, run: int) -> None:
    score = wanda_score(WEIGHT, NORMS)
    mask = pattern_mask(score, Pattern(kept, run))
    runs = mask.reshape(-1, run)
    assert (runs.sum(axis=1) == run - kept).all()
    values = score.reshape(-1, run)
    assert all(values[i][runs[i]].max() < values[i][~runs[i]].min() for i in range(len(runs)))


def test_runs_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="expected a multiple of 4"):
        pattern_mask(np.ones((2, 6)), Pattern(2, 4))


@pytest.mark.parametrize("text", ["", "2", "4:2", "4:4", "0:4", "a:b", "2:4:8", "2:999", "-2:4", " 2:4"])
def test_texts_that_are_no_pattern_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="write 2:4"):
        parse_pattern(text)


@pytest.mark.parametrize("share", [-0.1, 1, 1.5, float("nan"), float("inf"), True, "0.5", None])
def test_shares_that_are_none_are_refused(share: object) -> None:
    with pytest.raises(InputError, match="below 1"):
        check_sparsity(share)  # type: ignore[arg-type]
