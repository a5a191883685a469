"""Sparse logistic regression on likeness to texts (SLR-AVD). NumPy; scikit-learn for the contract only.

Legend: N pictures, D numbers of an embedding, M texts, C classes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hyperclip.adapt.adapter import Adapter
from hyperclip.adapt.folds import cross_validate
from hyperclip.adapt.l1_path import MAX_ITERATIONS, TOLERANCE, Solution, largest_strength, solve_path
from hyperclip.adapt.shots import Floats, Head, Prior, Shots
from hyperclip.adapt.text_features import TextFeatures
from hyperclip.adapt.trust import trust_in_zero_shot
from hyperclip.adapt.wise import check_shares
from hyperclip.adapt.word_control import compare_with_draws
from hyperclip.bundle.strict import quote
from hyperclip.errors import InputError
from hyperclip.runtime.adaptation import Reasons, Words

__all__ = ["SLRAVD", "Likeness", "fold_head", "measure_likeness"]

N_STRENGTHS = 12
SMALLEST = 1 / 300  # of the path, against the strength at which everything is zero
DEFAULT_SMALLEST = 1 / 30  # what one picture a class gets
SHARES = (0.25, 0.5, 0.75, 1.0)
DEFAULT_SHARE = 0.5
ROUGH = (2e-2, 300)  # tolerance and iterations while strengths are compared
EXACT = (TOLERANCE, MAX_ITERATIONS)
STD_FLOOR = 1e-8


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """Likeness of pictures to texts, standardized."""

    values: Floats  # (N, M)
    mean: Floats  # (M,)
    std: Floats  # (M,)


def measure_likeness(features_ND: Floats, rows_MD: Floats) -> Likeness:
    """Return ``features @ rows.T`` with columns of mean 0 and variance 1 over these pictures."""
    likeness_NM = features_ND @ rows_MD.T
    mean_M, std_M = likeness_NM.mean(axis=0), np.maximum(likeness_NM.std(axis=0), STD_FLOOR)
    return Likeness(values=(likeness_NM - mean_M) / std_M, mean=mean_M, std=std_M)


def fold_head(
    coefficients_CM: Floats, intercepts_C: Floats, mean_M: Floats, std_M: Floats, rows_MD: Floats
) -> Head:
    """Return the head on features that does what coefficients do on standardized likeness.

    ``W = (C / std) @ rows`` and ``b' = b - (C / std) @ mean``: no text is left at run time.
    """
    scaled_CM = coefficients_CM / std_M
    return Head(weight=scaled_CM @ rows_MD, bias=intercepts_C - scaled_CM @ mean_M)


class SLRAVD(Adapter):
    """Few texts decide: an L1 penalty on the weights of likeness to class prompts and descriptions.

    Every text is a feature for every class. The strength comes from cross-validation, towards fewer
    texts by one standard error; the result is mixed with the zero-shot head.

    Parameters
    ----------
    prior : Prior, optional
        The zero-shot head; without it nothing is mixed in.
    features : {"raw", "unit", "centered_unit"}
        What to read of an embedding.
    texts : TextFeatures, optional
        Class prompts and descriptions; without it, the numbers of the embedding themselves.
    control : callable, optional
        Gives random phrases for the number of a draw, as `TextFeatures`; cross-validated as well, so that
        `reasons` can say whether the words matter.
    n_strengths : int
        Of the path.
    smallest : float
        Last strength of the path against the first, in (0, 1).
    shares : tuple of float
        Of the fitted head against the zero-shot head, in [0, 1], of which cross-validation chooses.
    l1_ratio : float
        1 for L1 alone; 0.9 keeps texts together that measure the same.
    balance : bool
        Whether every class weighs the same, however many pictures it has.

    Attributes
    ----------
    solution_ : Solution
        Coefficients on standardized likeness.
    share_nonzero_ : float
        Share of the coefficients that are not zero.
    words_ : Words or None
        The texts beside the draws of the control.

    References
    ----------
    Z. Feng, A. Bair, J. Z. Kolter, "Text descriptions are compressive and invariant representations for
    visual learning", arXiv 2307.04317. Standardizing, the path and the rule for its strength are ours.
    """

    name = "slr_avd"

    def __init__(
        self,
        prior: Prior | None = None,
        features: str = "raw",
        texts: TextFeatures | None = None,
        control: Callable[[int], TextFeatures] | None = None,
        n_strengths: int = N_STRENGTHS,
        smallest: float = SMALLEST,
        shares: tuple[float, ...] = SHARES,
        l1_ratio: float = 1.0,
        balance: bool = True,
    ) -> None:
        self.prior = prior
        self.features = features
        self.texts = texts
        self.control = control
        self.n_strengths = n_strengths
        self.smallest = smallest
        self.shares = shares
        self.l1_ratio = l1_ratio
        self.balance = balance

    def _shares(self) -> tuple[float, ...]:
        return (1.0,) if self.prior is None else self.shares

    def _ratios(self) -> Floats:
        """Return the strengths of the path against its first."""
        return np.geomspace(1.0, self.smallest, self.n_strengths)

    def _rows(self, shots: Shots, texts: TextFeatures | None) -> Floats:
        if texts is None:
            return np.eye(shots.features.shape[1])
        if texts.rows.shape[1] != shots.features.shape[1]:
            raise InputError(
                f"The texts are directions of {texts.rows.shape[1]} numbers; expected "
                f"{shots.features.shape[1]} as the embeddings have; make them with the same model."
            )
        return texts.rows

    def _path(
        self, shots: Shots, texts: TextFeatures | None, ratios: Floats, how: tuple[float, int]
    ) -> tuple[Likeness, list[Solution]]:
        """Solve from the largest strength on."""
        if not 0 < self.l1_ratio <= 1:
            raise InputError(
                f"l1_ratio is {quote(self.l1_ratio)}; expected a number above 0 and up to 1; use 1.0 or 0.9."
            )
        likeness = measure_likeness(shots.features, self._rows(shots, texts))
        weights_N = shots.balanced if self.balance else None
        start = largest_strength(likeness.values, shots.target, shots.n_classes, weights_N=weights_N)
        solutions = solve_path(
            likeness.values, shots.target, shots.n_classes, (start / self.l1_ratio * ratios).tolist(),
            weights_N=weights_N, l1_ratio=self.l1_ratio,
            tolerance=how[0], max_iterations=how[1], warns=how == EXACT,
        )  # fmt: skip
        return likeness, solutions

    def _fitted(self, shots: Shots, texts: TextFeatures | None, ratios: Floats) -> list[Head]:
        """Return the head of each strength, before the mixing."""
        likeness, solutions = self._path(shots, texts, ratios, ROUGH)
        rows = self._rows(shots, texts)
        return [
            fold_head(found.coefficients, found.intercepts, likeness.mean, likeness.std, rows)
            for found in solutions
        ]

    def _heads(self, shots: Shots) -> list[Head]:
        check_shares(self.shares)
        fitted = self._fitted(shots, self.texts, self._ratios())
        trust = trust_in_zero_shot(shots)
        return [head.mixed(share, trust=trust) for share in self._shares() for head in fitted]

    def _default(self) -> int:
        shares = np.asarray(self._shares())
        share = int(np.abs(shares - (DEFAULT_SHARE if len(shares) > 1 else 1.0)).argmin())
        ratio = int(np.abs(np.log(self._ratios() / DEFAULT_SMALLEST)).argmin())
        return share * self.n_strengths + ratio

    def _best(self, losses_HN: Floats) -> int:
        """Take the best share; along its path, the sparsest head that is not clearly worse than the best.

        Not clearly: by no more than one standard error of the difference, picture by picture.
        """
        best = int(losses_HN.mean(axis=1).argmin())
        first = best - best % self.n_strengths
        worse_HN = losses_HN[first : first + self.n_strengths] - losses_HN[best]
        n_images = losses_HN.shape[1]
        errors_H = worse_HN.std(axis=1, ddof=1) / np.sqrt(n_images) if n_images > 1 else 0.0
        return first + int(np.flatnonzero(worse_HN.mean(axis=1) <= errors_H)[0])

    def _finish(self, shots: Shots, raw_ND: Floats, heads: list[Head]) -> Head:
        share = self._shares()[self.chosen_ // self.n_strengths]
        place = self.chosen_ % self.n_strengths
        ratios = self._ratios()[: place + 1]
        likeness, solutions = self._path(shots, self.texts, ratios, EXACT)
        rows = self._rows(shots, self.texts)
        self.solution_ = solutions[-1]
        self.share_nonzero_ = float((self.solution_.coefficients != 0).mean())
        # Of features as they come: those of the shots were centered and scaled.
        self._share = share
        self._mean = shots.scale * likeness.mean + rows @ shots.center
        self._std = shots.scale * likeness.std
        self.words_ = self._compare_words(shots, raw_ND)
        head = fold_head(
            self.solution_.coefficients, self.solution_.intercepts, likeness.mean, likeness.std, rows
        )
        settings = (
            ("share", share),
            ("strength", float(ratios[-1])),
            ("share_nonzero", self.share_nonzero_),
        )
        return head.mixed(share, trust=trust_in_zero_shot(shots), settings=settings)

    def _compare_words(self, shots: Shots, raw_ND: Floats) -> Words | None:
        """Cross-validate the fitted part with the texts and with draws of the control.

        All at one strength that is known beforehand: the chosen one was chosen for the texts and would
        favor them.
        """
        control, held_out = self.control, self.held_out_
        if control is None or held_out is None:
            return None

        def accuracy_with(texts: TextFeatures | None) -> float:
            ratios = np.array([DEFAULT_SMALLEST])
            found = cross_validate(shots, raw_ND, lambda known: self._fitted(known, texts, ratios))
            assert found is not None  # `held_out_` says that there are folds
            return float(found.correct[0].mean())

        n_images = len(held_out.target)
        return compare_with_draws(
            n_images, accuracy_with(self.texts), lambda draw: accuracy_with(control(draw))
        )

    def reasons(self, factor: float) -> Reasons | None:
        """Return which texts carry the decision; None where the features are no texts."""
        if self.texts is None:
            return None
        coefficients_CM = factor * self._share * self.solution_.coefficients
        used = np.flatnonzero((coefficients_CM != 0).any(axis=0))
        place = {int(index): number for number, index in enumerate(used)}
        return Reasons(
            texts=tuple(self.texts.texts[index] for index in used),
            classes=tuple(self.texts.classes[index] for index in used),
            kinds=tuple(self.texts.kinds[index] for index in used),
            mean=tuple(self._mean[used].tolist()),
            std=tuple(self._std[used].tolist()),
            coefficients=tuple(
                tuple((place[int(index)], float(row[index])) for index in np.flatnonzero(row))
                for row in coefficients_CM
            ),
            words=self.words_,
        )
