"""Whichever method does best on held-out pictures, names alone included. scikit-learn."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from hyperclip.adapt.adapter import Adapter
from hyperclip.adapt.folds import CrossValidation, best_temperatures
from hyperclip.adapt.gda import GDA
from hyperclip.adapt.linear_probe import LinearProbe
from hyperclip.adapt.prototype import Prototype
from hyperclip.adapt.shots import Floats, Prior
from hyperclip.adapt.slr_avd import SLRAVD
from hyperclip.adapt.text_features import TextFeatures
from hyperclip.adapt.wise import Wise
from hyperclip.adapt.zero_shot import ZeroShot
from hyperclip.runtime.adaptation import Reasons

__all__ = ["CANDIDATES", "Auto"]

# The safest first: of equal ones the first is taken.
CANDIDATES: Mapping[str, type[Adapter]] = {
    "zero_shot": ZeroShot,
    "wise": Wise,
    "gda": GDA,
    "slr_avd": SLRAVD,
    "linear_probe": LinearProbe,
    "prototype": Prototype,
}
FALLBACK = "wise"  # where no picture can be held out


class Auto(Adapter):
    """Fits every method and keeps the one that answers best on pictures held out in turn.

    The pictures given are all that it sees: the same folds that chose each method's strength choose the
    method, by log loss at each method's best temperature. Where no class has two pictures, nothing can
    be compared, and it takes `wise` with its default share.

    Parameters
    ----------
    prior : Prior
        The zero-shot head.
    features : {"raw", "unit", "centered_unit"}
        What to read of an embedding.
    texts : TextFeatures, optional
        For `slr_avd`, which takes no part without them.
    control : callable, optional
        Gives random phrases for the number of a draw, tried beside the texts where `slr_avd` is kept.

    Attributes
    ----------
    best_ : Adapter
        The fitted method that was kept.
    fitted_ : dict of str to Adapter
        All of them.
    seconds_ : dict of str to float
        Processor time of each.
    """

    name = "auto"
    needs_prior = True

    def __init__(
        self,
        prior: Prior | None = None,
        features: str = "raw",
        texts: TextFeatures | None = None,
        control: Callable[[int], TextFeatures] | None = None,
    ) -> None:
        self.prior = prior
        self.features = features
        self.texts = texts
        self.control = control

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Fit every method to pictures; see `Adapter.fit`."""
        if self.prior is None:
            self._targets(np.asarray(y))  # says what is missing
        self.fitted_: dict[str, Adapter] = {}
        self.seconds_: dict[str, float] = {}
        self._fit_one(FALLBACK, X, y)
        self._keep(FALLBACK)
        if self.fitted_[FALLBACK].held_out_ is None:
            self.losses_, self.chosen_ = None, 0
            return self
        for name in CANDIDATES:
            if name not in self.fitted_ and (name != "slr_avd" or self.texts is not None):
                self._fit_one(name, X, y)
        self.fitted_ = {name: self.fitted_[name] for name in CANDIDATES if name in self.fitted_}
        self._compare()
        if self.method_ == "slr_avd" and self.control is not None:
            kept = SLRAVD(prior=self.prior, features=self.features, texts=self.texts, control=self.control)
            self.best_ = kept.fit(X, y)  # the same head, now with the random phrases beside it
        return self

    def _fit_one(self, name: str, X: npt.ArrayLike, y: npt.ArrayLike) -> None:
        """Fit one method and note how long it took."""
        more: dict[str, Any] = {"texts": self.texts} if name == "slr_avd" else {}
        started = time.process_time()
        self.fitted_[name] = CANDIDATES[name](prior=self.prior, features=self.features, **more).fit(X, y)
        self.seconds_[name] = time.process_time() - started

    def _compare(self) -> None:
        """Keep the best method; answer for each fold with the one that is best on the others."""
        names = list(self.fitted_)
        found = [adapter.held_out_ for adapter in self.fitted_.values()]
        first = found[0]
        assert first is not None
        order = [np.argsort(item.rows) for item in found if item is not None]
        logits = np.stack(
            [item.logits[0][place] for item, place in zip(found, order, strict=True) if item is not None]
        )
        target_N, fold_N, rows_N = (values[order[0]] for values in (first.target, first.fold, first.rows))
        _, losses_HN = best_temperatures(logits, target_N)
        self._keep(names[self._best(losses_HN)])
        self.chosen_, self.losses_ = self._best(losses_HN), losses_HN.mean(axis=1)
        answers_NC: Floats = np.empty(logits.shape[1:])
        for fold in np.unique(fold_N):
            is_asked = fold_N == fold
            others = losses_HN[:, ~is_asked] if not is_asked.all() else losses_HN
            answers_NC[is_asked] = logits[self._best(others), is_asked]
        self.held_out_ = CrossValidation(logits=answers_NC[None], target=target_N, fold=fold_N, rows=rows_N)

    def _keep(self, name: str) -> None:
        """Take over what a fitted method found."""
        best = self.fitted_[name]
        self.best_ = best
        self.classes_, self.n_features_in_ = best.classes_, best.n_features_in_
        self.head_, self.temperature_, self.held_out_ = best.head_, best.temperature_, best.held_out_

    @property
    def method_(self) -> str:
        """Name of the method that was kept."""
        return self.best_.name

    def reasons(self, factor: float) -> Reasons | None:
        """Return the reasons of the method that was kept."""
        return self.best_.reasons(factor)
