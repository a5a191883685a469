"""Each metric against an independent reference, its ties, its edges and its refusals."""

import math

import numpy as np
import pytest

from hyperclip.errors import InputError
from hyperclip.evaluate.metrics import (
    confusion_matrix,
    mean_per_class_recall,
    per_class_recall,
    retrieval_recall,
    top1_accuracy,
    topk_accuracy,
    wilson_interval,
)


def random_case(seed: int, n: int = 300, n_classes: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, n_classes)).round(1)  # rounded, so that many are equal
    return logits, rng.integers(0, n_classes, size=n)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [1, 2, 5, 12, 40])
def test_topk_accuracy_equals_sorting_each_row(seed: int, k: int) -> None:
    logits, target = random_case(seed)
    expected = [
        wanted in sorted(range(len(row)), key=lambda i: (-row[i], i))[:k]
        for row, wanted in zip(logits.tolist(), target.tolist(), strict=True)
    ]
    assert topk_accuracy(logits, target, k=k) == sum(expected) / len(expected)


@pytest.mark.parametrize("seed", range(3))
def test_top1_accuracy_is_that_of_argmax(seed: int) -> None:
    logits, target = random_case(seed, n=3000)
    assert top1_accuracy(logits, target) == (logits.argmax(axis=1) == target).mean()


def test_constant_logits_are_not_called_right() -> None:
    target = np.arange(10)
    assert top1_accuracy(np.zeros((10, 10)), target) == 0.1
    assert topk_accuracy(np.zeros((10, 10)), target, k=5) == 0.5


def test_infinite_logits_are_ranked() -> None:
    assert top1_accuracy([[-np.inf, 0.0], [np.inf, 0.0]], [1, 0]) == 1.0


def test_reordering_classes_changes_nothing() -> None:
    logits, target = (
        np.random.default_rng(1).normal(size=(50, 7)),
        np.random.default_rng(2).integers(0, 7, 50),
    )
    order = np.random.default_rng(3).permutation(7)
    place = np.argsort(order)
    for k in (1, 3):
        assert topk_accuracy(logits[:, order], place[target], k=k) == topk_accuracy(logits, target, k=k)


@pytest.mark.parametrize("seed", range(3))
def test_confusion_matrix_equals_counting(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pred, target = rng.integers(0, 6, 400), rng.integers(0, 6, 400)
    matrix = confusion_matrix(pred, target, 7)
    for true in range(7):
        for predicted in range(7):
            expected = sum(p == predicted and t == true for p, t in zip(pred, target, strict=True))
            assert matrix[true, predicted] == expected
    assert matrix.dtype == np.int64


@pytest.mark.parametrize("seed", range(3))
def test_recall_a_class_equals_counting(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pred, target = rng.integers(0, 5, 60).astype(np.uint8), rng.integers(0, 5, 60).astype(np.int32)
    recall = per_class_recall(pred, target, 6)
    for index in range(5):
        assert recall[index] == pytest.approx((pred[target == index] == index).mean())
    assert math.isnan(recall[5])
    assert mean_per_class_recall(pred, target, 6) == pytest.approx(np.mean(recall[:5]))


def test_metrics_agree_with_scikit_learn() -> None:
    reference = pytest.importorskip("sklearn.metrics")
    logits, target = random_case(11)
    pred = logits.argmax(axis=1)
    assert np.array_equal(confusion_matrix(pred, target, 12), reference.confusion_matrix(target, pred))
    assert mean_per_class_recall(pred, target, 12) == pytest.approx(
        reference.balanced_accuracy_score(target, pred)
    )
    smooth = np.random.default_rng(4).normal(size=logits.shape)  # scikit-learn breaks ties otherwise
    assert topk_accuracy(smooth, target, k=3) == pytest.approx(
        reference.top_k_accuracy_score(target, smooth, k=3, labels=np.arange(12))
    )


@pytest.mark.parametrize(
    ("n_correct", "n", "level", "low", "high"),
    [
        (81, 263, 0.95, 0.2553, 0.3662),  # Newcombe, Statistics in Medicine 17 (1998), table I, method 3
        (15, 148, 0.95, 0.0624, 0.1605),
        (0, 20, 0.95, 0.0, 0.1611),
        (1, 29, 0.95, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_equals_published_values(
    n_correct: int, n: int, level: float, low: float, high: float
) -> None:
    assert wilson_interval(n_correct, n, level) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("n_correct", "n"), [(3, 10), (500, 1000), (1, 1), (0, 1), (9999, 10_000)])
def test_wilson_interval_inverts_the_score_test(n_correct: int, n: int) -> None:
    for bound in wilson_interval(n_correct, n, 0.9):
        if 0 < bound < 1:
            z = (n_correct / n - bound) / math.sqrt(bound * (1 - bound) / n)
            assert abs(z) == pytest.approx(1.6448536269514722, rel=1e-9)


def test_wilson_interval_mirrors_and_stays_in_range() -> None:
    for n in (1, 7, 100):
        for n_correct in range(n + 1):
            low, high = wilson_interval(n_correct, n)
            assert 0.0 <= low <= n_correct / n <= high <= 1.0
            mirrored = wilson_interval(n - n_correct, n)
            assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("k", [1, 3, 10, 100])
def test_retrieval_recall_equals_sorting_each_row(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    similarity = rng.normal(size=(80, 30)).round(1)
    positives = rng.random((80, 30)) < 0.1
    positives[np.arange(80), rng.integers(0, 30, 80)] = True
    expected = [
        bool(set(np.argsort(-row, kind="stable")[:k]) & set(np.flatnonzero(fits)))
        for row, fits in zip(similarity, positives, strict=True)
    ]
    assert retrieval_recall(similarity, positives, k) == np.mean(expected)


def test_retrieval_recall_of_one_candidate_each_is_top_k_accuracy() -> None:
    logits, target = random_case(8)
    positives = np.eye(12, dtype=bool)[target]
    assert retrieval_recall(logits, positives, 3) == topk_accuracy(logits, target, k=3)


@pytest.mark.parametrize(
    ("logits", "target", "words"),
    [
        ([1.0, 2.0], [0], r"logits has shape \(2,\)"),
        (np.zeros((0, 3)), np.zeros(0, int), r"logits has shape \(0, 3\)"),
        ([["a", "b"]], [0], "expected one row of numbers"),
        ([[0.0, np.nan]], [0], "NaN in row 0"),
        ([[0.0, 1.0]], [0, 1], "target has 2 entries; expected 1"),
        ([[0.0, 1.0]], [2], "target holds 2; expected class indices from 0 to 1"),
        ([[0.0, 1.0]], [-1], "target holds -1"),
        ([[0.0, 1.0]], [0.0], "expected one integer a picture"),
    ],
)
def test_values_that_make_no_sense_are_refused(logits: object, target: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        top1_accuracy(logits, target)  # type: ignore[arg-type]


def test_counts_and_levels_that_make_no_sense_are_refused() -> None:
    for n_correct, n in [(-1, 5), (6, 5), (0, 0)]:
        with pytest.raises(InputError, match="is no share"):
            wilson_interval(n_correct, n)
    for level in (0.0, 1.0, 95.0):
        with pytest.raises(InputError, match="between 0 and 1"):
            wilson_interval(1, 2, level)
    with pytest.raises(InputError, match="k is 0"):
        topk_accuracy([[1.0]], [0], k=0)
    with pytest.raises(InputError, match="Query 1 has no fitting candidate"):
        retrieval_recall(np.zeros((2, 2)), [[1, 0], [0, 0]], 1)
    with pytest.raises(InputError, match=r"positives has shape \(1, 2\)"):
        retrieval_recall(np.zeros((2, 2)), [[1, 0]], 1)
    with pytest.raises(InputError, match="pred has 1 entries"):
        confusion_matrix([0], [0, 1], 2)
