"""A classifier and a few pictures of each class in, a better classifier out. scikit-learn."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from hyperclip.adapt.adapter import Adapter
from hyperclip.adapt.gain import paired_gain
from hyperclip.adapt.methods import METHODS, TRAINING_METHODS
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
    note: str = ""  # a sentence that a user should read


def adapt_classifier(
    classifier: Classifier,
    pictures: EmbeddedPictures,
    *,
    method: str = "auto",
    features: str | None = None,
    on_steps: Callable[[int, int], None] | None = None,
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
        A key of `METHODS`, or of `TRAINING_METHODS`: these need pictures with pixels, and PyTorch.
    features : {"raw", "unit", "centered_unit"}, optional
        What to read of an embedding; by default what suits the classifier's head.
    on_steps : callable, optional
        Called with steps of training done and in all, by methods that train.
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
    MissingExtraError
        If the method trains and PyTorch is not installed.
    """
    if method not in METHODS and method not in TRAINING_METHODS:
        raise InputError(
            f"The method is {quote(method)}; expected one of {', '.join((*METHODS, *TRAINING_METHODS))}; "
            "choose one of them."
        )
    kind = classifier.metadata.head.kind
    features = default_features(kind) if features is None else features
    if method in TRAINING_METHODS:
        return _train(classifier, pictures, features, on_steps, parameters)
    known = set(inspect.signature(METHODS[method]).parameters) - {"prior", "features"}
    _check_parameters(method, known, parameters)
    prior = HeadPart(classifier)
    adapter = METHODS[method](prior=prior, features=features, **parameters)
    adapter.fit(pictures.embeddings, np.array(prior.class_names)[pictures.target])
    gain = _gain(adapter, prior, pictures)
    return Adapted(
        classifier=apply_head(classifier, adapter, pictures, gain=gain), adapter=adapter, gain=gain
    )


def _check_parameters(method: str, known: set[str], parameters: dict[str, Any]) -> None:
    """Refuse a parameter that the method does not have."""
    unknown = sorted(set(parameters) - known)
    if unknown:
        raise InputError(
            f"The method {method} has no parameter {quote(unknown[0])}; expected one of "
            f"{', '.join(sorted(known)) or 'none'}; leave it out."
        )


def _train(
    classifier: Classifier,
    pictures: EmbeddedPictures,
    features: str,
    on_steps: Callable[[int, int], None] | None,
    parameters: dict[str, Any],
) -> Adapted:
    """Run the one method that trains."""
    from hyperclip.adapt.slr_ft import NAME, SLRFTConfig, fine_tune

    settings = {field.name for field in fields(SLRFTConfig)}
    _check_parameters(NAME, {"texts", "control", *settings}, parameters)
    return fine_tune(
        classifier,
        pictures,
        features=features,
        texts=parameters.get("texts"),
        control=parameters.get("control"),
        config=SLRFTConfig(**{key: parameters[key] for key in settings & parameters.keys()}),
        on_steps=on_steps,
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
