"""The oracle first: do names say which change a list needs, whatever training end to end may find?

The oracle optimizes a finished control for many lists of neighbors. Its changes are then predicted from
names alone by kernel ridge regression, for lists that were not among these. Beside it: the mean of all
changes (what more training gives any list) and what is predicted for another list's names.

Legend: L lists, C classes of a list, E text dim, P numbers that the oracle moves.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from benchmarks.claim_conditioning.lists import Group
from benchmarks.claim_conditioning.measure import Pictures
from benchmarks.claim_conditioning.oracle import TrainingPictures, accuracy, free_parameters, optimize
from benchmarks.conditioning.arms import Arm
from benchmarks.conditioning.tasks import N_CLASSES
from torch import Tensor

from hyperclip.bundle.atomic import write_file
from hyperclip.models import HyperCLIP

__all__ = [
    "FREEDOM",
    "Collection",
    "Predictor",
    "changed",
    "collect",
    "draw_collection",
    "measure_lists",
    "summary",
]

FREEDOM = "norms_pointwise"
PEAK_LR = 0.004  # the better of two in the oracle of one list
RIDGES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_NEAREST = 18
_MAX_SHARED = 8  # classes that a collected list of ten may share with one that is reported
_SEED = 1000


class Collection(NamedTuple):
    """Lists and what the oracle found for them."""

    lists: npt.NDArray[np.int64]  # (L, C)
    changes_LP: npt.NDArray[np.float32]  # noqa: N815 (shape letters)


def draw_collection(
    vectors_KE: npt.NDArray[np.float32],
    *,
    among: npt.NDArray[np.int64],
    n_lists: int,
    reported: Sequence[npt.NDArray[np.int64]],
) -> npt.NDArray[np.int64]:
    """Draw lists of a class with nine of its nearest `_NEAREST`; none is, but for a class, one reported."""
    avoided = [set(one.tolist()) for one in reported]
    unit = vectors_KE[among] / np.linalg.norm(vectors_KE[among], axis=1, keepdims=True)
    nearest = among[np.argsort(-(unit @ unit.T), axis=1)[:, 1 : _NEAREST + 1]]
    rng = np.random.default_rng(_SEED)
    found: dict[tuple[int, ...], npt.NDArray[np.int64]] = {}
    while len(found) < n_lists:
        first = int(rng.integers(len(among)))
        others = rng.choice(nearest[first], size=N_CLASSES - 1, replace=False)
        one = np.sort(np.append(others, among[first]))
        if max(len(set(one.tolist()) & other) for other in avoided) <= _MAX_SHARED:
            found[tuple(one.tolist())] = one
    return np.stack(list(found.values()))


def collect(
    arm: Arm,
    lists: npt.NDArray[np.int64],
    pictures: TrainingPictures,
    folder: Path,
    *,
    n_steps: int,
    on_progress: Callable[[str], None] = lambda message: None,
) -> Collection:
    """Optimize every list; each change is kept in a file, so that a run that was stopped goes on."""
    folder.mkdir(parents=True, exist_ok=True)
    start = _flat(arm.model)
    changes = []
    for number, asked in enumerate(lists):
        path = folder / f"{'-'.join(map(str, asked))}-{n_steps}.f32"
        if not path.is_file():
            train = pictures.of(asked, is_development=False, n_at_most=2500)
            model, _ = optimize(arm, asked, train, FREEDOM, peak_lr=PEAK_LR, n_steps=n_steps)
            write_file(path, (_flat(model) - start).astype("<f4").tobytes())
            on_progress(f"list {number + 1} of {len(lists)} optimized")
        changes.append(np.frombuffer(path.read_bytes(), "<f4"))
    return Collection(lists, np.stack(changes).astype(np.float32))


class Predictor:
    """Kernel ridge regression from the mean embedding of a list's names to a change.

    The kernel is exp(3 (cos - 1)) of the centered means. The ridge is the one that explains most of
    lists left out.
    """

    def __init__(self, collection: Collection, class_emb_KE: npt.NDArray[np.float32]) -> None:
        self._emb = class_emb_KE - class_emb_KE[np.unique(collection.lists)].mean(axis=0)
        self.mean_P: npt.NDArray[np.float32] = collection.changes_LP.mean(axis=0)
        self._x = self._code(collection.lists)
        centered = (collection.changes_LP - self.mean_P).astype(np.float64)
        kernel = self._kernel(self._x)
        left_out = {}
        for ridge in RIDGES:
            inverse = np.linalg.inv(kernel + ridge * np.eye(len(kernel)))
            residual = inverse @ centered / np.diag(inverse)[:, None]
            left_out[ridge] = 1 - float(np.square(residual).sum() / np.square(centered).sum())
        self.explained = left_out
        self.ridge = max(left_out, key=lambda one: left_out[one])
        self._dual = np.linalg.solve(kernel + self.ridge * np.eye(len(kernel)), centered)

    def __call__(self, asked: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """The change for a list, shape (P,)."""
        predicted: npt.NDArray[np.float64] = self._kernel(self._code(asked[None]))[0] @ self._dual
        return self.mean_P + predicted.astype(np.float32)

    def _code(self, lists: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        mean = self._emb[lists].mean(axis=1).astype(np.float64)
        unit: npt.NDArray[np.float64] = mean / np.linalg.norm(mean, axis=1, keepdims=True)
        return unit

    def _kernel(self, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.exp(3 * (rows @ self._x.T - 1))


def changed(model: HyperCLIP, change_P: npt.NDArray[np.float32]) -> Callable[[], None]:
    """Add a change to the encoder in place; what is returned takes it back."""
    parameters = free_parameters(model, FREEDOM)
    before = [parameter.detach().clone() for parameter in parameters]
    parts = torch.split(torch.from_numpy(change_P), [parameter.numel() for parameter in parameters])
    with torch.no_grad():
        for parameter, part in zip(parameters, parts, strict=True):
            parameter += part.view_as(parameter)

    def undo() -> None:
        with torch.no_grad():
            for parameter, old in zip(parameters, before, strict=True):
                parameter.copy_(old)

    return undo


def measure_lists(arm: Arm, group: Group, predictor: Predictor, pictures: Pictures) -> dict[str, list[float]]:
    """Return accuracies by kind of change, list by list."""
    found: dict[str, list[float]] = {"none": [], "mean": [], "own": [], "swapped": []}
    for asked, partner in zip(group.lists, group.partners, strict=True):
        rows = pictures.rows_of(asked)
        shown = Pictures(pictures.images_N3HW[rows], pictures.labels[rows])
        head = arm.model.make_head(arm.class_emb_CE[torch.from_numpy(asked)])
        changes = {
            "none": np.zeros_like(predictor.mean_P), "mean": predictor.mean_P,
            "own": predictor(asked), "swapped": predictor(partner),
        }  # fmt: skip
        for kind, change in changes.items():
            undo = changed(arm.model, change)
            found[kind].append(accuracy(arm.model, head, asked, shown))
            undo()
    return found


def _flat(model: HyperCLIP) -> npt.NDArray[np.float32]:
    parts: list[Tensor] = [parameter.detach().reshape(-1) for parameter in free_parameters(model, FREEDOM)]
    flat: npt.NDArray[np.float32] = torch.cat(parts).numpy()
    return flat


def summary(found: dict[str, list[float]]) -> dict[str, Any]:
    """Means in percent, for progress."""
    return {kind: round(100 * float(np.mean(values)), 1) for kind, values in found.items()}
