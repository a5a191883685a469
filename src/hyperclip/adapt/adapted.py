"""A classifier and a few pictures of each class in, a better classifier out. scikit-learn."""

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np

from hyperclip.adapt.adapter import Adapter
from hyperclip.adapt.gain import paired_gain
from hyperclip.adapt.methods import METHODS
from hyperclip.adapt.pictures import EmbeddedPictures
from hyperclip.bundle.strict import quote
from hyperclip.errors import InputError
from hyperclip.runtime.adaptation import Adaptation, Gain
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.head_features import default_features
from hyperclip.runtime.head_part import HeadPart
from hyperclip.runtime.replace_head import replace_head

__all__ = ["Adapted", "adapt_classifier", "apply_head"]


@dataclass(frozen=True, kw_only=True)
class Adapted:
    """What adapting gave."""

    classifier: Classifier
    adapter: Adapter
    gain: Gain | None  # None where no picture could be held out


def adapt_classifier(
    classifier: Classifier,
    pictures: EmbeddedPictures,
    *,
    method: str = "auto",
    features: str | None = None,
    **parameters: Any,
) -> Adapted:
    """Fit a head to pictures and write it into a copy of the classifier.

    Parameters
    ----------
    classifier : Classifier
        From names, or adapted before; its own logits are the zero-shot head.
    pictures : EmbeddedPictures
        From `hyperclip.adapt.embed_pictures` with the same classifier.
    method : str
        A key of `METHODS`.
    features : {"raw", "unit", "centered_unit"}, optional
        What to read of an embedding; by default what suits the classifier's head.
    **parameters
        Of the method.

    Returns
    -------
    Adapted
        Classifier, fitted estimator, and what was gained on held-out pictures.

    Raises
    ------
    InputError
        If there is no such method or parameter, or the pictures cannot be used.
    """
    if method not in METHODS:
        raise InputError(
            f"The method is {quote(method)}; expected one of {', '.join(METHODS)}; choose one of them."
        )
    known = set(inspect.signature(METHODS[method]).parameters) - {"prior", "features"}
    unknown = sorted(set(parameters) - known)
    if unknown:
        raise InputError(
            f"The method {method} has no parameter {quote(unknown[0])}; expected one of "
            f"{', '.join(sorted(known)) or 'none'}; leave it out."
        )
    kind = classifier.metadata.head.kind
    features = default_features(kind) if features is None else features
    prior = HeadPart(classifier)
    adapter = METHODS[method](prior=prior, features=features, **parameters)
    adapter.fit(pictures.embeddings, np.array(prior.class_names)[pictures.target])
    gain = _gain(adapter, prior, pictures)
    return Adapted(
        classifier=apply_head(classifier, adapter, pictures, gain=gain), adapter=adapter, gain=gain
    )


def _gain(adapter: Adapter, prior: HeadPart, pictures: EmbeddedPictures) -> Gain | None:
    """Compare the held-out answers with those of names alone."""
    held_out = adapter.held_out_
    if held_out is None:
        return None
    before = prior.logits(pictures.embeddings[held_out.rows]).argmax(axis=1) == held_out.target
    return paired_gain(before, held_out.correct[0])


def apply_head(
    classifier: Classifier, adapter: Adapter, pictures: EmbeddedPictures, *, gain: Gain | None
) -> Classifier:
    """Return a copy of the classifier with the head of a fitted adapter.

    The adapter's logits are of a zero-shot head at its temperature; those of the file are that many
    times larger again, so that a head that only keeps the zero-shot logits changes no bit of them.
    """
    head, metadata = adapter.head_, classifier.metadata
    factor = metadata.temperature or 1.0
    adaptation = Adaptation(
        method=adapter.method_,
        parameters=tuple((key, float(value)) for key, value in head.settings),
        features=adapter.features,
        zero_shot_scale=float(head.zero_shot_scale),
        n_images=tuple(np.bincount(pictures.target, minlength=len(metadata.class_names)).tolist()),
        source=str(metadata.fingerprint),
        gain=gain,
        reasons=adapter.reasons(factor),
    )
    temperature = None if adapter.temperature_ is None else factor * adapter.temperature_
    if head.zero_shot_scale == 1 and not head.weight.any() and temperature is None:
        temperature = metadata.temperature  # nothing but names: what was fitted for them stays
    return replace_head(
        classifier,
        weight=(factor * head.weight).astype(np.float32),
        bias=(factor * head.bias).astype(np.float32),
        adaptation=adaptation,
        temperature=temperature,
    )
