"""One set, so many shots, one seed: every method fitted to stored embeddings and asked about the test part.

Legend: N pictures, C classes, K concepts or numbers of an embedding.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from benchmarks.few_shot.embeddings import Embedded
from sklearn.linear_model import LogisticRegression

from hyperclip.adapt.adapter import Adapter
from hyperclip.adapt.auto import Auto
from hyperclip.adapt.gain import paired_gain
from hyperclip.adapt.methods import METHODS
from hyperclip.adapt.slr_avd import SLRAVD, measure_likeness
from hyperclip.adapt.text_features import TextFeatures
from hyperclip.runtime.head_features import head_features
from hyperclip.runtime.head_part import HeadPart

__all__ = ["Task", "draw_shots", "fit_all", "text_controls"]

Indices = npt.NDArray[np.int64]
L2_STRENGTH = 10.0


@dataclass(frozen=True, kw_only=True)
class Task:
    """A set in one feature space."""

    prior: HeadPart
    features: str
    pool: Embedded  # shots are drawn from it
    test: Embedded
    corrupted: Mapping[str, Embedded]  # the test part under each corruption
    texts: TextFeatures
    control: TextFeatures

    @property
    def names(self) -> npt.NDArray[np.str_]:
        """Class names in the order of the logits."""
        return np.array(self.prior.class_names)


def draw_shots(target_N: Indices, n_shots: int, *, seed: int) -> Indices:
    """Return the places of so many pictures of each class; more shots with one seed hold the fewer."""
    order = np.random.default_rng(seed).permutation(len(target_N))
    return np.concatenate(
        [order[target_N[order] == index][:n_shots] for index in range(int(target_N.max()) + 1)]
    )


def fit_all(task: Task, places: Indices, *, methods: tuple[str, ...] = tuple(METHODS)) -> dict[str, Any]:
    """Return accuracy, corrupted accuracies and seconds of each method; `auto` is fitted like the others."""
    embeddings, labels = task.pool.embedding[places], task.names[task.pool.target[places]]
    found: dict[str, Any] = {}
    fitted: dict[str, Adapter] = {}
    seconds: dict[str, float] = {}
    for name in sorted(methods, key=lambda name: name != "auto"):  # it fits the others, mostly
        if name not in fitted:
            more: dict[str, Any] = {"texts": task.texts} if name in ("slr_avd", "auto") else {}
            started = time.process_time()
            adapter = METHODS[name](prior=task.prior, features=task.features, **more)
            fitted[name] = adapter.fit(embeddings, labels)
            seconds[name] = time.process_time() - started
            if isinstance(adapter, Auto):
                fitted |= adapter.fitted_
                seconds |= adapter.seconds_
    for name in methods:
        adapter = fitted[name]
        found[name] = {"fit_seconds": seconds[name], **_accuracies(adapter, task)}
        if isinstance(adapter, SLRAVD):
            found[name]["share_nonzero"] = adapter.share_nonzero_
        if isinstance(adapter, Auto):
            found[name]["chose"] = adapter.method_
            found[name]["expected_gain"] = _expected_gain(adapter, task, places)
    return found


def _expected_gain(adapter: Adapter, task: Task, places: Indices) -> dict[str, float] | None:
    """Return what the user is told about the gain, from the shots alone."""
    held_out = adapter.held_out_
    if held_out is None:
        return None
    zero_shot = task.pool.logits[places][held_out.rows].argmax(axis=1) == held_out.target
    gain = paired_gain(zero_shot, held_out.correct[0])
    return {"gain": gain.mean, "low": gain.low, "high": gain.high}


def _accuracies(adapter: Adapter, task: Task) -> dict[str, Any]:
    """Return the accuracy on the test part, clean and corrupted."""

    def accuracy(part: Embedded) -> float:
        return float((adapter.predict(part.embedding) == task.names[part.target]).mean())

    return {
        "acc1": accuracy(task.test),
        **(
            {"corrupted": {kind: accuracy(part) for kind, part in task.corrupted.items()}}
            if task.corrupted
            else {}
        ),
    }


def text_controls(task: Task, places: Indices) -> dict[str, Any]:
    """Return what texts as features are worth: sparse and dense, described, unnamed and at random.

    Nothing is mixed in here: ``slr_*`` have a share of 1.
    """
    embeddings, labels = task.pool.embedding[places], task.names[task.pool.target[places]]
    n_prompts = len(task.names)
    prompts = TextFeatures(
        texts=task.texts.texts[:n_prompts],
        kinds=task.texts.kinds[:n_prompts],
        classes=task.texts.classes[:n_prompts],
        rows=task.texts.rows[:n_prompts],
    )
    found: dict[str, Any] = {}
    for name, texts in (("prompts", prompts), ("descriptions", task.texts), ("random", task.control)):
        sparse = SLRAVD(prior=task.prior, features=task.features, texts=texts, shares=(1.0,))
        sparse.fit(embeddings, labels)
        found[f"slr_{name}"] = {"share_nonzero": sparse.share_nonzero_, **_accuracies(sparse, task)}
        found[f"l2_{name}"] = _dense(task, places, texts)
    return found


def _dense(task: Task, places: Indices, texts: TextFeatures) -> dict[str, Any]:
    """Fit the same features with an L2 penalty of fixed strength."""

    def likeness(part: Embedded) -> npt.NDArray[np.float64]:
        return head_features(part.embedding, task.features) @ texts.rows.T

    known = measure_likeness(head_features(task.pool.embedding[places], task.features), texts.rows)
    size = np.sqrt(len(texts.texts))
    model = LogisticRegression(C=L2_STRENGTH, max_iter=300, tol=1e-3)
    model.fit(known.values / size, task.pool.target[places])

    def accuracy(part: Embedded) -> float:
        values = (likeness(part) - known.mean) / known.std / size
        return float((model.predict(values) == part.target).mean())

    return {
        "acc1": accuracy(task.test),
        **(
            {"corrupted": {kind: accuracy(part) for kind, part in task.corrupted.items()}}
            if task.corrupted
            else {}
        ),
    }
