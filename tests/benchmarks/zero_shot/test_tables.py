"""Tables of zero-shot results: two models side by side, classes at either end, confusions."""

from typing import Any

import numpy as np
from benchmarks.zero_shot.measure import compact_rows, summary
from benchmarks.zero_shot.recall_tables import confusions, read_confusion, recall_table
from benchmarks.zero_shot.tables import tables
from benchmarks.zero_shot.trunk import trunk_size

from hyperclip.evaluate.metrics import confusion_matrix

NAMES = ("cat", "dog", "fox")
TARGET = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 1, 1, 1, 1, 0])


def make_metrics(name: str) -> dict[str, Any]:
    own = {**summary(PREDICTED, TARGET, NAMES), "acc5": 1.0}
    kinds = ("names_conse", "gloss_conse", "gloss_mixture_0", "gloss_mixture_half", "clip_mixture_0")
    found = {
        "n_images": 6,
        "n_classes": 3,
        "chance": 1 / 3,
        "model": own,
        "baseline": {kind: own for kind in (*kinds, "clip_mixture_half")},
        "difference": {"clip_mixture_0": {"mean": 0.0, "low": -0.1, "high": 0.1}},
        "calibration": {"temperature": 0.9, "error": 0.123, "mean_confidence": 0.6},
        "confusion": compact_rows(confusion_matrix(PREDICTED, TARGET, 3)),
    }
    return {
        "model": {"name": name, "image_size_px": 224},
        "sets": {"cifar10": found},
        "sizes": {"64": found},
        "retrieval": {},
    }


def test_a_second_model_stands_beside_the_first() -> None:
    metrics = {**make_metrics("small"), "micro": make_metrics("micro")}

    made = tables({"metrics": metrics})

    assert "`small`, 224 px" in made["micro_accuracy"]
    assert "`small`" not in made["accuracy"]
    assert made["micro_sizes"] == made["sizes"]


def test_a_second_model_alone_has_tables_too() -> None:
    made = tables({"metrics": {"micro": make_metrics("micro")}})

    assert "micro_accuracy" in made
    assert "accuracy" not in made


def test_chance_stands_beside_every_figure() -> None:
    made = tables({"metrics": make_metrics("small")})

    for table in ("accuracy", "baselines", "sizes"):
        header, _, row = made[table].splitlines()
        assert "chance" in header
        assert "33.3" in row


def test_calibration_shows_error_and_temperature() -> None:
    made = tables({"metrics": make_metrics("small")})

    assert "| cifar10 | 0.9 | 60.0 | 50.0 | **12.3** |" in made["calibration"]


def test_results_from_before_confusions_were_stored_still_have_tables() -> None:
    metrics = make_metrics("small")
    del metrics["sets"]["cifar10"]["confusion"], metrics["sets"]["cifar10"]["calibration"]

    made = tables({"metrics": metrics})

    assert made["confusions"] == made["calibration"] == "(not measured yet)"


def test_the_ends_of_the_recall_are_told_apart() -> None:
    row = recall_table(make_metrics("small")["sets"]).splitlines()[2]

    assert row == "| cifar10 | 3 | 33 | 1 | fox 0 | dog 100 |"


def test_confusions_are_read_back_and_ranked() -> None:
    counts = confusion_matrix(PREDICTED, TARGET, 3)

    assert read_confusion(compact_rows(counts)).tolist() == counts.tolist()
    assert confusions(counts, NAMES) == [("cat", "dog", 2, 3), ("fox", "cat", 1, 1)]


def test_the_trunk_gets_the_next_size_that_it_takes() -> None:
    assert [trunk_size(px) for px in (64, 65, 80, 96)] == [64, 96, 96, 96]
