"""Multinomial logistic regression with an L1 penalty, along a path of strengths. NumPy alone.

    minimize over C, b:  sum_i w_i loss_i / N + strength * (ratio * |C|_1 + (1 - ratio) / 2 * |C|_2^2)

Legend: N pictures, M features, K classes.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hyperclip.adapt.shots import Floats, Indices
from hyperclip.runtime.classifier import softmax

__all__ = ["MAX_ITERATIONS", "TOLERANCE", "Solution", "gradient", "largest_strength", "solve_path"]

logger = logging.getLogger(__name__)

MAX_ITERATIONS = 3000
TOLERANCE = 1e-3  # of the optimality conditions, against the strength
CHECK_EVERY = 10
MAX_ROUNDS = 20  # of letting in features that were screened out


@dataclass(frozen=True, kw_only=True)
class Solution:
    """Coefficients at one strength."""

    strength: float
    coefficients: Floats  # (K, M)
    intercepts: Floats  # (K,)
    violation: float  # of the optimality conditions, against the strength


def _weights(target_N: Indices, weights_N: Floats | None) -> Floats:
    """Return the weight of each picture over N."""
    ones = np.ones(len(target_N)) if weights_N is None else weights_N
    return np.asarray(ones / len(target_N))


def gradient(
    features_NM: Floats, target_N: Indices, solution: Solution, *, weights_N: Floats | None = None
) -> Floats:
    """Return the gradient of the mean loss by the coefficients, shape (n_classes, n_features)."""
    rest_NK = softmax(features_NM @ solution.coefficients.T + solution.intercepts)
    rest_NK[np.arange(len(target_N)), target_N] -= 1
    result: Floats = (rest_NK * _weights(target_N, weights_N)[:, None]).T @ features_NM
    return result


def largest_strength(
    features_NM: Floats, target_N: Indices, n_classes: int, *, weights_N: Floats | None = None
) -> float:
    """Return the strength from which on all coefficients are zero.

    The intercepts alone then give each class its share of the (weighted) pictures.
    """
    weight_N = _weights(target_N, weights_N)
    share_K = np.bincount(target_N, weights=weight_N, minlength=n_classes)
    rest_NK = np.eye(n_classes)[target_N] - share_K / share_K.sum()
    return float(np.abs((rest_NK * weight_N[:, None]).T @ features_NM).max())


def solve_path(
    features_NM: Floats,
    target_N: Indices,
    n_classes: int,
    strengths: Sequence[float],
    *,
    weights_N: Floats | None = None,
    l1_ratio: float = 1.0,
    tolerance: float = TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
    warns: bool = True,
) -> list[Solution]:
    """Return one solution a strength, each started from the one before.

    Accelerated proximal gradient with restarts; features are screened by the strong rule, and let in
    again where the optimality conditions say that they matter.

    Parameters
    ----------
    features_NM : ndarray of shape (n_images, n_features), float64
        Standardized.
    target_N : ndarray of shape (n_images,), int64
        Every class occurs.
    n_classes : int
    strengths : sequence of float
        Descending.
    weights_N : ndarray of shape (n_images,), float64, optional
        Of mean 1.
    l1_ratio : float
        Share of the L1 norm in the penalty, in (0, 1].
    tolerance : float
        Largest violation of the optimality conditions, against the strength.
    max_iterations : int
        For each strength.
    warns : bool
        Whether to log a warning where the tolerance is not reached.

    References
    ----------
    A. Beck and M. Teboulle, FISTA, SIAM J. Imaging Sciences 2 (2009); B. O'Donoghue and E. Candes,
    restarts, arXiv 1204.3982; R. Tibshirani and others, strong rules, arXiv 1011.2234. The bound on the
    curvature of the softmax is 1/2.
    """
    weight_N = _weights(target_N, weights_N)
    share_K = np.bincount(target_N, weights=weight_N, minlength=n_classes)
    log_share_K = np.log(share_K / share_K.sum())
    state = Solution(
        strength=float("inf"),
        coefficients=np.zeros((n_classes, features_NM.shape[1])),
        intercepts=log_share_K - log_share_K.mean(),
        violation=0.0,
    )
    solutions: list[Solution] = []
    former = top = largest_strength(features_NM, target_N, n_classes, weights_N=weights_N)
    slope_KM = gradient(features_NM, target_N, state, weights_N=weights_N)
    for strength in strengths:
        if not state.coefficients.any() and strength * l1_ratio >= top:
            state = replace(state, strength=strength)  # known in closed form: zero to the bit
            solutions.append(state)
            former = strength
            continue
        bound = l1_ratio * (2 * strength - former)
        keep_M = (state.coefficients != 0).any(axis=0) | (np.abs(slope_KM).max(axis=0) > bound * (1 + 1e-9))
        for _ in range(MAX_ROUNDS):
            state = _solve(
                features_NM, target_N, weight_N, state, keep_M,
                strength=strength, l1_ratio=l1_ratio, tolerance=tolerance, max_iterations=max_iterations,
            )  # fmt: skip
            slope_KM = gradient(features_NM, target_N, state, weights_N=weights_N)
            is_wanted_M = np.abs(slope_KM).max(axis=0) > strength * l1_ratio * (1 + tolerance)
            if not (is_wanted_M & ~keep_M).any():
                break
            keep_M |= is_wanted_M
        solutions.append(state)
        former = strength
    worst = max(solution.violation for solution in solutions)
    if warns and worst > 10 * tolerance:
        logger.warning(
            "The L1 path was stopped early: its optimality conditions are violated by %.2g of the strength.",
            worst,
        )
    return solutions


def _solve(
    features_NM: Floats,
    target_N: Indices,
    weight_N: Floats,
    start: Solution,
    keep_M: npt.NDArray[np.bool_],
    *,
    strength: float,
    l1_ratio: float,
    tolerance: float,
    max_iterations: int,
) -> Solution:
    """Minimize over the coefficients of some features, those of the others being zero."""
    inputs = np.concatenate([features_NM[:, keep_M], np.ones((len(target_N), 1))], axis=1)
    weighted = inputs * weight_N[:, None]
    ridge, lower = strength * (1 - l1_ratio), strength * l1_ratio
    right = (np.arange(len(target_N)), target_N)

    def loss_and_rest(values: Floats) -> tuple[float, Floats]:
        """Return the smooth part of what is minimized, and its derivative by the logits."""
        logits_NK = inputs @ values.T
        logits_NK -= logits_NK.max(axis=1, keepdims=True)
        right_N = logits_NK[right]
        powers_NK = np.exp(logits_NK)
        sum_N = powers_NK.sum(axis=1)
        loss = float(weight_N @ (np.log(sum_N) - right_N)) + 0.5 * ridge * float((values[:, :-1] ** 2).sum())
        powers_NK /= sum_N[:, None]
        powers_NK[right] -= 1
        return loss, powers_NK

    def slope_of(rest_NK: Floats, values: Floats) -> Floats:
        """Return the gradient of the smooth part."""
        slope: Floats = rest_NK.T @ weighted
        slope[:, :-1] += ridge * values[:, :-1]
        return slope

    # The softmax bends by at most 1/2, and far less where many classes are likely: begin there.
    steepest = 0.5 * float(np.linalg.norm(inputs * np.sqrt(weight_N)[:, None], 2)) ** 2 + ridge
    curvature = steepest / 64
    current = np.concatenate([start.coefficients[:, keep_M], start.intercepts[:, None]], axis=1)
    ahead, momentum, violation = current, 1.0, float("inf")
    for iteration in range(max_iterations):
        loss, rest_NK = loss_and_rest(ahead)
        slope = slope_of(rest_NK, ahead)
        while True:
            moved = ahead - slope / curvature
            sparse = np.maximum(np.abs(moved[:, :-1]) - lower / curvature, 0.0)
            moved[:, :-1] = np.sign(moved[:, :-1]) * sparse
            change = moved - ahead
            moved_loss, moved_rest_NK = loss_and_rest(moved)
            allowed = loss + float((slope * change).sum()) + 0.5 * curvature * float((change**2).sum())
            if moved_loss <= allowed + 1e-12 * abs(loss) or curvature >= steepest:
                break
            curvature = min(2 * curvature, steepest)
        if iteration % CHECK_EVERY == CHECK_EVERY - 1:
            violation = _violation(slope_of(moved_rest_NK, moved), moved, lower) / strength
            if violation <= tolerance:
                current = moved
                break
        if ((ahead - moved) * (moved - current)).sum() > 0:  # the momentum points uphill: start it anew
            momentum = 1.0
        following = 0.5 * (1 + np.sqrt(1 + 4 * momentum**2))
        ahead = moved + (momentum - 1) / following * (moved - current)
        current, momentum = moved, following
        curvature *= 0.97
    coefficients = np.zeros((len(start.coefficients), features_NM.shape[1]))
    coefficients[:, keep_M] = current[:, :-1]
    intercepts = current[:, -1] - current[:, -1].mean()
    return Solution(
        strength=strength, coefficients=coefficients, intercepts=intercepts, violation=float(violation)
    )


def _violation(slope: Floats, current: Floats, lower: float) -> float:
    """Return by how much the optimality conditions are missed."""
    inner, values = slope[:, :-1], current[:, :-1]
    at_zero = np.maximum(np.abs(inner) - lower, 0.0)
    elsewhere = np.abs(inner + lower * np.sign(values))
    missed = np.where(values == 0, at_zero, elsewhere)
    worst = float(missed.max()) if missed.size else 0.0
    return max(worst, float(np.abs(slope[:, -1]).max()))
