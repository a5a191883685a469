"""Retrieval of captions and photographs."""

import numpy as np
import pytest
from benchmarks.zero_shot.retrieval import best_ranks, chance, recalls

from hyperclip.evaluate.metrics import retrieval_recall


@pytest.mark.parametrize("k", [1, 5, 10])
def test_ranks_agree_with_the_packages_recall(k: int) -> None:
    rng = np.random.default_rng(k)
    scores = rng.integers(0, 40, (30, 60)).astype(np.float32)  # with ties
    fits = rng.random((30, 60)) < 0.1
    fits[:, 0] = True

    assert np.mean(best_ranks(scores, fits) < k) == pytest.approx(retrieval_recall(scores, fits, k))


def test_both_directions_are_perfect_where_every_caption_finds_its_photograph() -> None:
    photo_of_caption = np.repeat(np.arange(12), 5)
    scores = (photo_of_caption[None, :] == np.arange(12)[:, None]).astype(np.float32)

    found = recalls(scores, photo_of_caption)

    assert found["image_to_text"]["r1"] == {"mean": 1.0, "low": 1.0, "high": 1.0}
    assert found["text_to_image"]["r1"] == {"mean": 1.0, "low": 1.0, "high": 1.0}


def test_directions_are_not_confused() -> None:
    photo_of_caption = np.array([0, 0, 1, 1])
    scores = np.array([[0.9, 0.1, 0.8, 0.2], [0.95, 0.05, 0.1, 0.3]], np.float32)

    found = recalls(scores, photo_of_caption)

    # Photograph 0 finds its caption 0; photograph 1 prefers caption 0, which is not its own.
    assert found["image_to_text"]["r1"]["mean"] == 0.5
    # Caption 0 prefers photograph 1, caption 1 finds 0, caption 2 prefers 0, caption 3 finds 1.
    assert found["text_to_image"]["r1"]["mean"] == 0.5


def test_chance_is_that_of_random_scores() -> None:
    rng = np.random.default_rng(0)
    fits = np.repeat(np.arange(20), 5)[None, :] == np.arange(20)[:, None]
    expected = chance(20, 5)

    drawn = [best_ranks(rng.random((20, 100)).astype(np.float32), fits) for _ in range(400)]
    turned = [best_ranks(rng.random((100, 20)).astype(np.float32), fits.T) for _ in range(100)]

    for k in (1, 5, 10):  # 8,000 and 10,000 queries: standard errors below 0.006
        assert np.mean(np.concatenate(drawn) < k) == pytest.approx(
            expected["image_to_text"][f"r{k}"], abs=0.02
        )
        assert np.mean(np.concatenate(turned) < k) == pytest.approx(
            expected["text_to_image"][f"r{k}"], abs=0.02
        )
