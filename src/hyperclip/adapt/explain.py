"""Which descriptions decide: for a picture, and for each class. NumPy alone.

Legend: C classes, M texts.
"""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hyperclip.adapt.descriptions import names_a_class
from hyperclip.adapt.shots import Floats
from hyperclip.adapt.text_features import class_texts_of, directions
from hyperclip.errors import InputError
from hyperclip.runtime.adaptation import Reasons, Words
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.head_features import head_features
from hyperclip.runtime.specialize import Model

if TYPE_CHECKING:
    from hyperclip.runtime.preprocess import ImageSource

__all__ = ["ClassReasons", "Contribution", "Explanation", "class_reasons", "explain_picture"]


@dataclass(frozen=True, kw_only=True)
class Contribution:
    """What one text adds to one class's logit."""

    text: str
    kind: str  # "prompt" or "description"
    written_for: tuple[str, ...]  # classes
    names_class: bool  # the text holds the name of a class: it is the answer rather than a reason
    value: float


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why a picture was given to one class and not to the next best.

    Parameters
    ----------
    class_names : tuple of str
        The predicted class, then the others, the most probable first.
    probabilities, logits : tuple of float
        In that order.
    rest : tuple of float
        Of each logit, the part that no text explains: the names alone, and what the class gets always.
        With the contributions of the class it adds up to the logit.
    contributions : tuple of tuple of Contribution
        Of each class, the largest first, whatever the sign.
    words : Words or None
        The texts beside random phrases; see `hyperclip.adapt.word_control`.
    """

    class_names: tuple[str, ...]
    probabilities: tuple[float, ...]
    logits: tuple[float, ...]
    rest: tuple[float, ...]
    contributions: tuple[tuple[Contribution, ...], ...]
    words: Words | None

    def against(self) -> tuple[Contribution, ...]:
        """Return what each text adds to the predicted class beyond the next best, the largest first."""
        # By text and kind: a description may read like a class prompt, and is another feature all the same.
        first, second = ({(item.text, item.kind): item for item in row} for row in self.contributions[:2])
        differences = [
            dataclasses.replace(
                item,
                value=(first[key].value if key in first else 0.0)
                - (second[key].value if key in second else 0.0),
            )
            for key, item in {**second, **first}.items()
        ]
        return tuple(sorted(differences, key=lambda item: -abs(item.value)))


@dataclass(frozen=True, kw_only=True)
class ClassReasons:
    """The texts with the largest coefficients of one class, whatever the picture."""

    class_name: str
    texts: tuple[Contribution, ...]


def reasons_of(classifier: Classifier) -> Reasons:
    """Return the reasons in a classifier file; raises `InputError` where there are none."""
    adaptation = classifier.metadata.adaptation
    if adaptation is None or adaptation.reasons is None:
        method = "names alone" if adaptation is None else adaptation.method
        raise InputError(
            f"The classifier comes from {method} and holds no texts that decide; expected one that "
            "`hyperclip adapt --method slr_avd` wrote; adapt again with that method."
        )
    return adaptation.reasons


def explain_picture(classifier: Classifier, model: Model, image: "ImageSource") -> Explanation:
    """Return which texts decide about one picture.

    Parameters
    ----------
    classifier : Classifier
        With reasons.
    model : Model
        The one that the classifier was made from: it reads the texts.
    image : path, bytes, PIL image or uint8 array

    Returns
    -------
    Explanation
        A text's contribution is its coefficient times the picture's likeness to it, relative to the
        pictures adapted to: above 0 where it is more alike than they are on average.

    Raises
    ------
    InputError
        If the file holds no reasons, or the model or the picture is the wrong one.
    """
    reasons, adaptation = reasons_of(classifier), classifier.metadata.adaptation
    assert adaptation is not None
    names = classifier.metadata.class_names
    rows_MD = _rows(classifier, model, reasons)
    logits, embedding = classifier.decision_function(image), classifier.embed(image)
    features_D = head_features(embedding, adaptation.features)[0]
    standard_M = (rows_MD @ features_D - np.array(reasons.mean)) / np.array(reasons.std)
    parts = [
        [_contribution(reasons, place, weight * float(standard_M[place]), names) for place, weight in row]
        for row in reasons.coefficients
    ]
    probabilities = classifier.probabilities(logits)[0]
    order = [int(index) for index in np.argsort(-logits[0], kind="stable")]
    return Explanation(
        class_names=tuple(names[index] for index in order),
        probabilities=tuple(float(probabilities[index]) for index in order),
        logits=tuple(float(logits[0, index]) for index in order),
        rest=tuple(float(logits[0, index]) - sum(item.value for item in parts[index]) for index in order),
        contributions=tuple(_sorted(parts[index]) for index in order),
        words=reasons.words,
    )


def class_reasons(classifier: Classifier, *, n_texts: int = 3) -> tuple[ClassReasons, ...]:
    """Return for each class the texts with the largest positive coefficients, at most `n_texts`."""
    reasons, names = reasons_of(classifier), classifier.metadata.class_names
    found = []
    for name, row in zip(names, reasons.coefficients, strict=True):
        items = [_contribution(reasons, place, weight, names) for place, weight in row if weight > 0]
        found.append(ClassReasons(class_name=name, texts=_sorted(items)[:n_texts]))
    return tuple(found)


def _rows(classifier: Classifier, model: Model, reasons: Reasons) -> Floats:
    """Embed the texts anew, as they were when the classifier was adapted."""
    texts = class_texts_of(model, classifier.metadata)
    prompts = directions(model, model.generate(texts).head)
    rows = np.zeros((len(reasons.texts), prompts.shape[1]))
    described = [place for place, kind in enumerate(reasons.kinds) if kind == "description"]
    for place, kind in enumerate(reasons.kinds):
        if kind == "prompt":
            rows[place] = prompts[reasons.classes[place][0]]
    if described:
        rows[described] = directions(model, model.text_rows([reasons.texts[place] for place in described]))
    return rows


def _contribution(reasons: Reasons, place: int, value: float, names: tuple[str, ...]) -> Contribution:
    """Return what a text adds, with all that is known about the text."""
    text, kind = reasons.texts[place], reasons.kinds[place]
    return Contribution(
        text=text,
        kind=kind,
        written_for=tuple(names[index] for index in reasons.classes[place]),
        names_class=kind == "prompt" or names_a_class(text, names),
        value=value,
    )


def _sorted(items: list[Contribution]) -> tuple[Contribution, ...]:
    """Return the largest first, whatever the sign."""
    return tuple(sorted(items, key=lambda item: -abs(item.value)))
