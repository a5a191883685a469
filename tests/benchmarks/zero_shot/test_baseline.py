"""The baseline's formulas against slow or other people's implementations."""

import numpy as np
import pytest
from benchmarks.zero_shot.baseline import (
    TINY,
    KernelRidge,
    conse_scores,
    mixture_scores,
    softmax,
    spread,
    unit,
)

RNG = np.random.default_rng(0)
N_CONCEPTS, N_NAMES, N_PICTURES, DIM = 7, 4, 5, 6
CONCEPTS = unit(RNG.normal(size=(N_CONCEPTS, DIM)))
NAMES = unit(RNG.normal(size=(N_NAMES, DIM)))
SHARES = softmax(RNG.normal(0, 2, (N_PICTURES, N_CONCEPTS))).astype(np.float32)


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_mixture_is_the_formula_of_its_docstring(beta: float) -> None:
    tau = 0.07
    a = np.zeros((N_NAMES, N_CONCEPTS))
    for k in range(N_NAMES):
        powers = [np.exp(float(NAMES[k] @ CONCEPTS[c]) / tau) for c in range(N_CONCEPTS)]
        a[k] = np.array(powers) / sum(powers)
    expected = np.zeros((N_PICTURES, N_NAMES))
    for b in range(N_PICTURES):
        for k in range(N_NAMES):
            total = sum(SHARES[b, c] * a[k, c] / a[:, c].sum() ** beta for c in range(N_CONCEPTS))
            expected[b, k] = np.log(total)

    scores = mixture_scores(SHARES, spread(NAMES, CONCEPTS, tau=tau), beta=beta)

    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-4)  # float32 against float64


def test_a_name_is_spread_over_all_concepts() -> None:
    np.testing.assert_allclose(spread(NAMES, CONCEPTS).sum(axis=1), 1.0, rtol=1e-5)


def test_a_concept_without_a_share_scores_low_and_finite() -> None:
    shares = np.eye(N_CONCEPTS, dtype=np.float32)[:1]
    apart = np.eye(N_CONCEPTS, dtype=np.float32)[1:2]

    assert mixture_scores(shares, apart, beta=0.5)[0, 0] == pytest.approx(np.log(TINY), rel=1e-3)


def test_conse_compares_the_mean_concept() -> None:
    mean = sum(SHARES[2, c] * CONCEPTS[c] for c in range(N_CONCEPTS))
    expected = [mean @ name / np.linalg.norm(mean) for name in NAMES]

    np.testing.assert_allclose(conse_scores(SHARES, CONCEPTS, NAMES)[2], expected, rtol=1e-5)


def test_kernel_ridge_is_that_of_scikit_learn() -> None:
    kernel_ridge = pytest.importorskip("sklearn.kernel_ridge", reason="an independent implementation")
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    known, rows = unit(RNG.normal(size=(30, DIM))), unit(RNG.normal(size=(9, DIM)))
    targets = RNG.normal(size=(30, 3)).astype(np.float32)
    known64, rows64 = known.astype(np.float64), rows.astype(np.float64)
    centerer = preprocessing.KernelCenterer()
    fitted = kernel_ridge.KernelRidge(alpha=0.1, kernel="precomputed").fit(
        centerer.fit_transform(np.exp(2 * (known64 @ known64.T - 1))), targets - targets.mean(axis=0)
    )
    expected = unit(fitted.predict(centerer.transform(np.exp(2 * (rows64 @ known64.T - 1)))))

    np.testing.assert_allclose(KernelRidge(known, targets, ridge=0.1)(rows), expected, atol=1e-5)
