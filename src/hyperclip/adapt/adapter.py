"""The contract of all methods: a scikit-learn estimator on embeddings that yields a head. scikit-learn.

A method is one file: a class whose `_heads` turns `Shots` into candidate heads, from the most careful
to the boldest; choosing among them, calibration and everything that scikit-learn expects happen here.

Legend: N pictures, C classes, D numbers of an embedding, H candidate heads.
"""

from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from hyperclip.adapt.folds import CrossValidation, best_temperatures, cross_validate
from hyperclip.adapt.shots import Floats, Head, Prior, Shots
from hyperclip.bundle.strict import quote
from hyperclip.errors import InputError
from hyperclip.runtime.adaptation import Reasons
from hyperclip.runtime.classifier import softmax
from hyperclip.runtime.head_features import FEATURES, head_features

__all__ = ["Adapter"]

MAX_LISTED = 5


class Adapter(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Base of all methods; subclasses have at least the parameters `prior` and `features`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The prior's class names in the order of its logits; without a prior, the labels in their order.
    head_ : Head
        For features as they come.
    temperature_ : float or None
        What logits are divided by before the softmax; None where nothing could be held out.
    chosen_ : int
        Which candidate was taken.
    losses_ : ndarray of shape (n_heads,), float64, or None
        Cross-validated log loss of each candidate at its best temperature.
    held_out_ : CrossValidation or None
        Answers on held-out pictures, from candidates that were chosen on the other folds. One head.
    """

    name: ClassVar[str]
    needs_prior: ClassVar[bool] = False

    prior: Prior | None
    features: str

    def _heads(self, shots: Shots) -> list[Head]:
        """Return candidates, from the most careful to the boldest; as many for any pictures."""
        raise NotImplementedError

    def _default(self) -> int:
        """Return which candidate to take where no picture can be held out."""
        return 0

    @property
    def method_(self) -> str:
        """Name of the method that made the head; `auto` has it from the one that it chose."""
        return self.name

    def reasons(self, factor: float) -> Reasons | None:
        """Return which texts carry the decision, their weights times `factor`; None without texts."""
        return None

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Fit a head to pictures.

        Parameters
        ----------
        X : array-like of shape (n_images, dim), float
            Embeddings, as `Classifier.embed` gives them.
        y : array-like of shape (n_images,)
            Class names of the prior; any labels where there is none.

        Returns
        -------
        Adapter
            Itself.

        Raises
        ------
        InputError
            If embeddings are not finite, a label is no class, or a class has no picture.
        """
        if self.features not in FEATURES:
            raise InputError(
                f"features is {quote(self.features)}; expected one of {', '.join(FEATURES)}; use one of them."
            )
        _check_finite(X)
        checked: tuple[Floats, npt.NDArray[Any]] = validate_data(self, X, y, dtype=np.float64)
        embeddings_ND, labels_N = checked
        if self.prior is None:  # otherwise a label is a class's name or it is refused
            check_classification_targets(labels_N)
        target_N = self._targets(labels_N)
        zero_shot_NC = self._zero_shot(embeddings_ND)
        raw_ND = head_features(embeddings_ND, self.features)
        shots = Shots.standardized(raw_ND, zero_shot_NC, target_N, n_classes=len(self.classes_))
        heads = self._heads(shots)
        found = cross_validate(shots, raw_ND, self._heads)
        self._choose(heads, found)
        self.head_ = self._finish(shots, raw_ND, heads).on_raw_features(shots)
        return self

    def _finish(self, shots: Shots, raw_ND: Floats, heads: list[Head]) -> Head:
        """Return the head that was chosen; a method may fit it more exactly once it is known."""
        return heads[self.chosen_]

    def _choose(self, heads: list[Head], found: CrossValidation | None) -> None:
        """Choose a candidate on all folds, and for each fold one on the others, to judge the choice."""
        self.chosen_, self.losses_, self.held_out_, self.temperature_ = self._default(), None, None, None
        if found is None:
            return
        temperature_H, losses_HN = best_temperatures(found.logits, found.target)
        self.chosen_ = self._best(losses_HN)
        self.losses_ = losses_HN.mean(axis=1)
        self.temperature_ = float(temperature_H[self.chosen_])
        answers_NC = np.empty(found.logits.shape[1:])
        for fold in np.unique(found.fold):
            is_asked = found.fold == fold
            others = losses_HN[:, ~is_asked] if not is_asked.all() else losses_HN
            best = self._best(others)  # at its temperature: folds may choose heads of other sizes
            answers_NC[is_asked] = found.logits[best, is_asked] / temperature_H[best]
        self.held_out_ = CrossValidation(
            logits=answers_NC[None], target=found.target, fold=found.fold, rows=found.rows
        )

    def _best(self, losses_HN: Floats) -> int:
        """Return the candidate of least mean loss; a method may prefer a simpler one that is close."""
        return int(losses_HN.mean(axis=1).argmin())

    def _targets(self, labels: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Return class indices and set `classes_`."""
        if self.prior is None:
            if self.needs_prior:
                raise InputError(
                    f"{type(self).__name__} has no prior; expected the zero-shot head; pass prior=HeadPart("
                    "classifier)."
                )
            self.classes_, target_N = np.unique(labels, return_inverse=True)
            self._check_several()
            return np.asarray(target_N, np.int64)
        self.classes_ = np.array(self.prior.class_names, dtype=np.str_)
        self._check_several()
        place = {name: index for index, name in enumerate(self.prior.class_names)}
        unknown = sorted({str(label) for label in labels if str(label) not in place})
        if unknown:
            raise InputError(
                f"The labels {_listed(unknown)} are no classes of the prior; expected its class names; "
                "specialize to the names of the pictures."
            )
        target_N = np.array([place[str(label)] for label in labels], np.int64)
        missing = [name for name in self.prior.class_names if place[name] not in set(target_N.tolist())]
        if missing:
            raise InputError(
                f"There is no picture of {_listed(missing)}; expected at least one of each class; add some, "
                "or specialize without these names."
            )
        return target_N

    def _check_several(self) -> None:
        """Refuse a single class: there is nothing to tell apart."""
        if len(self.classes_) < 2:
            raise InputError(
                f"All pictures are of one class, {quote(str(self.classes_[0]))}; expected two classes or "
                "more; add pictures of another class."
            )

    def _zero_shot(self, X: Floats) -> Floats:
        """Return the prior's logits at its temperature."""
        if self.prior is None:
            return np.zeros((len(X), len(self.classes_)))
        logits = self.prior.logits(X.astype(np.float32)).astype(np.float64)
        return np.asarray(logits / self.prior.temperature)

    def logits(self, X: npt.ArrayLike) -> Floats:
        """Return logits of embeddings, shape (n_images, n_classes), before the temperature."""
        check_is_fitted(self, "head_")
        _check_finite(X)
        embeddings_ND: Floats = validate_data(self, X, dtype=np.float64, reset=False)
        return self.head_.logits(head_features(embeddings_ND, self.features), self._zero_shot(embeddings_ND))

    def decision_function(self, X: npt.ArrayLike) -> Floats:
        """Return logits as scikit-learn wants them: of two classes, the second minus the first."""
        logits_NC = self.logits(X)
        return logits_NC[:, 1] - logits_NC[:, 0] if logits_NC.shape[1] == 2 else logits_NC

    def predict_proba(self, X: npt.ArrayLike) -> Floats:
        """Return probabilities, shape (n_images, n_classes); each row sums to 1."""
        return softmax(self.logits(X) / (self.temperature_ or 1.0))

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the most probable class of each picture."""
        best_N = self.logits(X).argmax(axis=1)  # says first whether anything was fitted
        return np.asarray(self.classes_[best_N])


def _check_finite(X: npt.ArrayLike) -> None:
    """Refuse embeddings that are not finite, naming the first; other faults are scikit-learn's to tell."""
    try:
        values = np.asarray(X)
        if values.ndim != 2 or np.iscomplexobj(values):
            return
        values = values.astype(np.float64)
    except (TypeError, ValueError):
        return
    if np.isfinite(values).all():
        return
    row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
    kind = "NaN" if np.isnan(values[row]).any() else "inf"
    raise InputError(
        f"Row {row} of the embeddings holds {kind}; expected finite numbers; leave that picture out or embed "
        "it again."
    )


def _listed(names: list[str]) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(quote(name, 60) for name in names[:MAX_LISTED]) + more
