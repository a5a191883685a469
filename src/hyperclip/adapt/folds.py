"""Cross-validation on the given pictures alone, of many candidate heads at once. NumPy alone.

Legend: N pictures, C classes, H candidate heads, F folds.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hyperclip.adapt.shots import Floats, Head, Indices, Shots

__all__ = [
    "MAX_FOLDS",
    "CrossValidation",
    "assign_folds",
    "best_temperatures",
    "cross_validate",
    "log_losses",
]

MAX_FOLDS = 5
TEMPERATURES = np.geomspace(0.02, 50.0, 41)


@dataclass(frozen=True, kw_only=True)
class CrossValidation:
    """What candidates say about pictures that were held out.

    Parameters
    ----------
    logits : ndarray of shape (n_heads, n_held_out, n_classes), float64
    target : ndarray of shape (n_held_out,), int64
    fold : ndarray of shape (n_held_out,), int64
    rows : ndarray of shape (n_held_out,), int64
        Which of the given pictures these are. One of a class with a single picture is never held out.
    """

    logits: Floats
    target: Indices
    fold: Indices
    rows: Indices

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Whether each candidate is right about each picture."""
        is_right: npt.NDArray[np.bool_] = self.logits.argmax(axis=2) == self.target
        return is_right


def assign_folds(
    features_ND: Floats, target_N: Indices, *, n_folds: int = MAX_FOLDS, seed: int = 0
) -> Indices:
    """Deal the pictures of each class to folds; -1 for those that are never held out.

    At most as many folds as the largest class has different pictures. Equal rows go to one fold, so
    that no picture is judged by a copy of it. What is dealt depends on the rows' content, not on their
    order or that of the classes.

    Returns
    -------
    ndarray of shape (n_images,), int64
        All -1 where no class has two different pictures.
    """
    fold_N = np.full(len(target_N), -1, np.int64)
    key_N = np.array([_key(row_D, seed) for row_D in features_ND], np.uint64)
    by_class = {index: np.unique(key_N[target_N == index]) for index in np.unique(target_N)}
    n_folds = min(n_folds, max(map(len, by_class.values())))
    if n_folds < 2:
        return fold_N
    for index, keys in by_class.items():
        if len(keys) < 2:
            continue
        start = int(keys[0] % np.uint64(n_folds))  # small classes shall not all lie in the first folds
        for place, key in enumerate(keys):
            fold_N[(target_N == index) & (key_N == key)] = (start + place) % n_folds
    return fold_N


def _key(row_D: Floats, seed: int) -> int:
    """Return a number that looks random and depends on the row's content alone."""
    data = np.ascontiguousarray(row_D, np.float64).tobytes()
    return int.from_bytes(hashlib.sha256(seed.to_bytes(8, "big") + data).digest()[:8], "big")


def cross_validate(
    shots: Shots, raw_ND: Floats, fit: Callable[[Shots], Sequence[Head]], *, seed: int = 0
) -> CrossValidation | None:
    """Fit candidates on all folds but one and let them answer on that one.

    Parameters
    ----------
    shots : Shots
    raw_ND : ndarray of shape (n_images, dim), float64
        The features before they were centered and scaled: every fold does that for itself.
    fit : callable
        Gives as many heads for any pictures.
    seed : int
        Of the dealing.

    Returns
    -------
    CrossValidation or None
        None where no picture can be held out.
    """
    fold_N = assign_folds(raw_ND, shots.target, seed=seed)
    held_N = np.flatnonzero(fold_N >= 0)
    if not len(held_N):
        return None
    parts: list[tuple[Indices, Floats]] = []
    for fold in np.unique(fold_N[held_N]):
        known_N, asked_N = np.flatnonzero(fold_N != fold), np.flatnonzero(fold_N == fold)
        known = Shots.standardized(
            raw_ND[known_N],
            shots.zero_shot[known_N],
            shots.target[known_N],
            n_classes=shots.n_classes,
        )
        heads = [head.on_raw_features(known) for head in fit(known)]
        answers = [head.logits(raw_ND[asked_N], shots.zero_shot[asked_N]) for head in heads]
        parts.append((asked_N, np.stack(answers)))
    rows_N = np.concatenate([rows for rows, _ in parts])
    return CrossValidation(
        logits=np.concatenate([answers for _, answers in parts], axis=1),
        target=shots.target[rows_N],
        fold=fold_N[rows_N],
        rows=rows_N,
    )


def log_losses(logits_NC: Floats, target_N: Indices, temperatures: Floats) -> Floats:
    """Return minus the log probability of the right class, shape (n_temperatures, n_images)."""
    losses = np.empty((len(temperatures), len(target_N)))
    for index, temperature in enumerate(temperatures):
        scaled_NC = logits_NC / temperature
        scaled_NC = scaled_NC - scaled_NC.max(axis=1, keepdims=True)
        right_N = scaled_NC[np.arange(len(target_N)), target_N]
        losses[index] = np.log(np.exp(scaled_NC).sum(axis=1)) - right_N
    return losses


def best_temperatures(logits_HNC: Floats, target_N: Indices) -> tuple[Floats, Floats]:
    """Return for each candidate the temperature of least mean loss, and its loss of each picture.

    Logits are judged at their best temperature: a head's answers count, not the size of its numbers.

    Returns
    -------
    temperature_H : ndarray of shape (n_heads,), float64
        One of a fixed grid from 0.02 to 50.
    losses_HN : ndarray of shape (n_heads, n_images), float64
    """
    temperature_H = np.empty(len(logits_HNC))
    losses_HN = np.empty(logits_HNC.shape[:2])
    for index, logits_NC in enumerate(logits_HNC):
        losses = log_losses(logits_NC, target_N, TEMPERATURES)
        best = int(losses.mean(axis=1).argmin())
        temperature_H[index], losses_HN[index] = TEMPERATURES[best], losses[best]
    return temperature_H, losses_HN
