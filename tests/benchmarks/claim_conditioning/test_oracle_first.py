"""What the oracle found for some lists, predicted from the names of others."""

import numpy as np
import pytest

pytest.importorskip("torch")

from benchmarks.claim_conditioning.oracle_first import (
    Collection,
    Predictor,
    draw_collection,
)

RNG = np.random.default_rng(0)
EMB = RNG.normal(size=(60, 16)).astype(np.float32)
LISTS = np.stack([RNG.choice(60, size=10, replace=False) for _ in range(120)])


def test_changes_that_follow_the_names_are_predicted_for_lists_left_out() -> None:
    direction = RNG.normal(size=(16, 30)).astype(np.float32)
    changes = EMB[LISTS].mean(axis=1) @ direction + 5
    predictor = Predictor(Collection(LISTS[:100], changes[:100]), EMB)
    assert predictor.explained[predictor.ridge] > 0.7
    error = np.stack([predictor(one) for one in LISTS[100:]]) - changes[100:]
    spread = changes[100:] - changes[:100].mean(axis=0)
    assert np.square(error).sum() < 0.3 * np.square(spread).sum()


def test_changes_that_do_not_follow_the_names_come_out_as_their_mean() -> None:
    changes = RNG.normal(size=(len(LISTS), 30)).astype(np.float32)
    predictor = Predictor(Collection(LISTS, changes), EMB)
    assert predictor.explained[predictor.ridge] < 0.05
    assert predictor.ridge == 10.0
    assert np.abs(predictor(LISTS[0]) - predictor.mean_P).mean() < 0.2


def test_collected_lists_differ_from_those_reported() -> None:
    reported = [np.sort(one) for one in LISTS[:5]]
    lists = draw_collection(EMB, among=np.arange(60), n_lists=30, reported=reported)
    assert len({tuple(one) for one in lists.tolist()}) == 30
    assert all(len(set(one.tolist())) == 10 for one in lists)
    assert max(len(set(one.tolist()) & set(other.tolist())) for one in lists for other in reported) <= 8
