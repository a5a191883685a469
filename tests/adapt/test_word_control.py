"""Descriptions count only if they beat every draw of random phrases; the drawing stops once that is lost."""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="adapting needs scikit-learn: pip install 'hyperclip[adapt]'")

from hyperclip.adapt.slr_avd import SLRAVD
from hyperclip.adapt.text_features import TextFeatures
from hyperclip.adapt.word_control import (
    FALSE_ALARM_RATE,
    FEWEST_DRAWS,
    N_DRAWS,
    compare_with_draws,
    verdict,
    words_carry,
)
from hyperclip.runtime.adaptation import Words
from tiny_clusters import N_CLASSES, NAMES, make_clusters

N_TRIALS = 40


def texts_along(rows: np.ndarray) -> TextFeatures:
    """Descriptions of these directions, with no class prompts."""
    n = len(rows)
    return TextFeatures(
        texts=tuple(f"phrase {index}" for index in range(n)),
        kinds=("description",) * n,
        classes=tuple((index % N_CLASSES,) for index in range(n)),
        rows=rows / np.linalg.norm(rows, axis=1, keepdims=True),
    )


def words_of(seed: int, *, meaningful: bool) -> Words:
    """Return what is found for four phrases that point to the classes, or anywhere."""
    points = make_clusters(seed=seed, shots=8)
    means = np.stack([points.embeddings[points.target == index].mean(axis=0) for index in range(N_CLASSES)])

    def draw(number: int) -> TextFeatures:
        return texts_along(np.random.default_rng((seed, number)).normal(size=means.shape))

    texts = texts_along(means) if meaningful else draw(1000)
    adapter = SLRAVD(points.prior, texts=texts, control=draw, n_strengths=2, smallest=0.1, shares=(1.0,))
    words = adapter.fit(points.embeddings, points.labels).words_
    assert words is not None
    return words


@pytest.mark.slow
def test_phrases_that_mean_nothing_seldom_count() -> None:
    """At most 1 in 20 by the rule: of 40 such sets at most 2 on average, and 7 or more in 3 of 1,000 runs."""
    assert FALSE_ALARM_RATE == 0.05
    alarms = sum(words_carry(words_of(seed, meaningful=False)) is True for seed in range(N_TRIALS))
    assert alarms <= 6


def test_phrases_that_point_to_the_classes_count() -> None:
    words = [words_of(seed, meaningful=True) for seed in range(4)]
    assert len(NAMES) == N_CLASSES
    assert sum(words_carry(found) is True for found in words) >= 3
    assert all(len(set(found.random)) > 1 for found in words)  # draws, not copies of one


def test_ranks_of_equals_win_once_in_twenty() -> None:
    """The rule alone, on 4,000 sets of twenty equals: 200 alarms expected, 14 the standard deviation."""
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(4000):
        values = rng.random(N_DRAWS + 1)
        found = compare_with_draws(50, float(values[0]), lambda draw, values=values: float(values[1 + draw]))
        alarms += words_carry(found) is True
    assert abs(alarms - 200) < 4 * 14


def test_drawing_stops_once_a_draw_has_done_as_well() -> None:
    asked: list[int] = []

    def judge(draw: int) -> float:
        asked.append(draw)
        return 0.5 if draw == 9 else 0.1

    words = compare_with_draws(30, 0.5, judge)
    assert asked == list(range(10))
    assert words.n_as_good == 1
    early = compare_with_draws(30, 0.5, lambda draw: 0.9)
    assert len(early.random) == FEWEST_DRAWS


@pytest.mark.parametrize(
    ("texts", "random", "carry", "says"),
    [
        (0.9, (0.5, 0.8) + (0.6,) * 17, True, "worse in all 19 draws (0.500 to 0.800 right against 0.900)"),
        (0.9, (0.5, 0.9) + (0.6,) * 5, False, "as well in 1 of 7 draws (0.500 to 0.900 right against 0.900)"),
        (0.6, (0.5,) + (0.6,) * 6, False, "as well in 6 of 7 draws (0.500 to 0.600 right against 0.600)"),
        (0.9, (0.5,), None, "worse in the only draw (0.500 right against 0.900), but 19 draws are needed"),
        (0.9, (0.9,), False, "as well in the only draw (0.900 right against 0.900): the words do not carry"),
    ],
)
def test_the_verdict_follows_the_draws(
    texts: float, random: tuple[float, ...], carry: bool | None, says: str
) -> None:
    words = Words(n=40, texts=texts, random=random)
    assert words_carry(words) is carry
    assert says in verdict(words)


def test_the_verdict_does_not_claim_more_than_it_knows() -> None:
    few = Words(n=40, texts=0.9, random=(0.9, *(0.5,) * 6))
    most = Words(n=40, texts=0.6, random=(0.6,) * 7)
    assert verdict(few).endswith("it is not shown that the words carry the decision.")
    assert verdict(most).endswith("the words do not carry the decision.")
    assert verdict(None).startswith("Nothing is known about whether the words matter")
