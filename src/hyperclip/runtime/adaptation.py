"""What a classifier file says about the pictures that it was adapted to, and about its reasons."""

import dataclasses
from dataclasses import dataclass

from hyperclip.bundle.strict import (
    as_tuple,
    check_choice,
    check_integer,
    check_number,
    check_text,
    check_tuple,
    take_fields,
)
from hyperclip.errors import BundleError
from hyperclip.runtime.head_features import FEATURES
from hyperclip.runtime.names import MAX_CLASSES

__all__ = ["Adaptation", "Gain", "Reasons", "Words"]

MAX_TEXTS = 50_000
MAX_REASON_CHARS = 400
MAX_DRAWS = 10_000


@dataclass(frozen=True, kw_only=True)
class Gain:
    """What cross-validation on the given pictures says was gained; accuracies are fractions of 1."""

    n: int  # pictures that were held out once
    zero_shot: float
    adapted: float
    low: float  # of the 95 % interval of adapted - zero_shot
    high: float

    def __post_init__(self) -> None:
        check_integer(self.n, where="adaptation.gain.n", low=1, high=2**40)
        for key in ("zero_shot", "adapted"):
            check_number(getattr(self, key), where=f"adaptation.gain.{key}", low=0.0, high=1.0)
        for key in ("low", "high"):
            check_number(getattr(self, key), where=f"adaptation.gain.{key}", low=-1.0, high=1.0)

    @property
    def mean(self) -> float:
        """Accuracy gained, in [-1, 1]."""
        return self.adapted - self.zero_shot


@dataclass(frozen=True, kw_only=True)
class Words:
    """How well texts do beside draws of random phrases; accuracies are fractions of 1, cross-validated.

    Parameters
    ----------
    n : int
        Pictures that were held out once.
    texts : float
        Accuracy with the texts.
    random : tuple of float
        Accuracy with each draw of as many random phrases of the same length.
    """

    n: int
    texts: float
    random: tuple[float, ...]

    def __post_init__(self) -> None:
        check_integer(self.n, where="adaptation.reasons.words.n", low=1, high=2**40)
        check_number(self.texts, where="adaptation.reasons.words.texts", low=0.0, high=1.0)
        check_tuple(self.random, where="adaptation.reasons.words.random", n_min=1, n_max=MAX_DRAWS)
        for value in self.random:
            check_number(value, where="adaptation.reasons.words.random", low=0.0, high=1.0)

    @property
    def n_as_good(self) -> int:
        """How many draws do as well as the texts, or better."""
        return sum(value >= self.texts for value in self.random)


@dataclass(frozen=True, kw_only=True)
class Reasons:
    """Which texts carry the decision: a sparse matrix of coefficients on standardized similarities.

    Parameters
    ----------
    texts : tuple of str
        One a feature that any class uses.
    classes : tuple of tuple of int
        Of each text, the classes that it was written for; a class's own prompt has that class alone.
    kinds : tuple of str
        Of each text: "prompt" or "description".
    mean, std : tuple of float
        Of each text's similarity over the pictures adapted to.
    coefficients : tuple of tuple of (int, float)
        Of each class: which text, and its weight in the logits of the file.
    words : Words or None
        The texts beside random phrases; None where there was nothing to hold out.
    """

    texts: tuple[str, ...]
    classes: tuple[tuple[int, ...], ...]
    kinds: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    coefficients: tuple[tuple[tuple[int, float], ...], ...]
    words: Words | None = None

    def __post_init__(self) -> None:
        check_tuple(self.texts, where="adaptation.reasons.texts", n_min=0, n_max=MAX_TEXTS)
        n_texts = len(self.texts)
        for key in ("classes", "kinds", "mean", "std"):
            check_tuple(getattr(self, key), where=f"adaptation.reasons.{key}", n_min=n_texts, n_max=n_texts)
        for text in self.texts:
            check_text(text, where="adaptation.reasons.texts", max_chars=MAX_REASON_CHARS)
        for kind in self.kinds:
            check_choice(kind, where="adaptation.reasons.kinds", choices=("prompt", "description"))
        for value in self.mean:
            check_number(value, where="adaptation.reasons.mean", low=-1e9, high=1e9)
        for value in self.std:
            check_number(value, where="adaptation.reasons.std", low=1e-12, high=1e9)
        check_tuple(self.coefficients, where="adaptation.reasons.coefficients", n_min=1, n_max=MAX_CLASSES)
        for places in self.classes:
            check_tuple(places, where="adaptation.reasons.classes", n_min=0, n_max=MAX_CLASSES)
            for place in places:
                check_integer(
                    place, where="adaptation.reasons.classes", low=0, high=len(self.coefficients) - 1
                )
        for row in self.coefficients:
            check_tuple(row, where="adaptation.reasons.coefficients", n_min=0, n_max=n_texts)
            for entry in row:
                check_tuple(entry, where="adaptation.reasons.coefficients", n_min=2, n_max=2)
                place, value = entry
                check_integer(place, where="adaptation.reasons.coefficients", low=0, high=n_texts - 1)
                check_number(value, where="adaptation.reasons.coefficients", low=-1e9, high=1e9)


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """How a head was fitted to pictures.

    Parameters
    ----------
    method : str
        Name of the method, such as "gda".
    parameters : tuple of (str, float or str)
        What was chosen, such as a strength, in the method's own words.
    features : str
        Which function of the embedding the fitted part reads; one of `FEATURES`.
    zero_shot_scale : float
        How much of the former logits is in the new ones; 0 where nothing.
    n_images : tuple of int
        Pictures of each class.
    source : str
        Fingerprint of the file that was adapted.
    gain : Gain or None
        None where there was nothing to hold out.
    reasons : Reasons or None
        Where the method reads texts.
    """

    method: str
    parameters: tuple[tuple[str, float | str], ...]
    features: str
    zero_shot_scale: float
    n_images: tuple[int, ...]
    source: str
    gain: Gain | None = None
    reasons: Reasons | None = None

    def __post_init__(self) -> None:
        check_text(self.method, where="adaptation.method", max_chars=50)
        check_tuple(self.parameters, where="adaptation.parameters", n_min=0, n_max=100)
        for entry in self.parameters:
            check_tuple(entry, where="adaptation.parameters", n_min=2, n_max=2)
            check_text(entry[0], where="adaptation.parameters", max_chars=50)
            if isinstance(entry[1], str):
                check_text(entry[1], where="adaptation.parameters", max_chars=200)
            else:
                check_number(entry[1], where="adaptation.parameters", low=-1e12, high=1e12)
        check_choice(self.features, where="adaptation.features", choices=FEATURES)
        check_number(self.zero_shot_scale, where="adaptation.zero_shot_scale", low=-1e9, high=1e9)
        check_tuple(self.n_images, where="adaptation.n_images", n_min=1, n_max=MAX_CLASSES)
        for count in self.n_images:
            check_integer(count, where="adaptation.n_images", low=0, high=2**40)
        check_text(self.source, where="adaptation.source", max_chars=100)
        if self.reasons is not None and len(self.reasons.coefficients) != len(self.n_images):
            raise BundleError(
                f"adaptation.reasons has {len(self.reasons.coefficients)} rows of coefficients; expected one "
                f"for each of the {len(self.n_images)} classes; adapt again."
            )

    def to_json(self) -> dict[str, object]:
        """Return what `from_json` reads."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: object, where: str) -> "Adaptation | None":
        """Read the parsed value of ``hyperclip.adaptation``; raises `BundleError` if it is wrong."""
        if value is None:
            return None
        fields = take_fields(
            cls,
            value,
            where=where,
            convert={
                "parameters": _as_pairs,
                "n_images": as_tuple,
                "gain": _as_gain,
                "reasons": _as_reasons,
            },
        )
        return cls(**fields)


def _as_pairs(value: object, where: str) -> tuple[tuple[object, ...], ...]:
    """Turn a parsed list of lists into tuples."""
    return tuple(as_tuple(item, where) for item in as_tuple(value, where))


def _as_gain(value: object, where: str) -> Gain | None:
    """Turn a parsed object into a `Gain`."""
    return None if value is None else Gain(**take_fields(Gain, value, where=where))


def _as_words(value: object, where: str) -> Words | None:
    """Turn a parsed object into `Words`; into one draw where an early version wrote it as a gain."""
    if isinstance(value, dict) and "zero_shot" in value:
        single = Gain(**take_fields(Gain, value, where=where))
        return Words(n=single.n, texts=single.adapted, random=(single.zero_shot,))
    return (
        None
        if value is None
        else Words(**take_fields(Words, value, where=where, convert={"random": as_tuple}))
    )


def _as_reasons(value: object, where: str) -> Reasons | None:
    """Turn a parsed object into `Reasons`."""
    if value is None:
        return None
    convert = {
        "texts": as_tuple,
        "classes": _as_pairs,
        "kinds": as_tuple,
        "mean": as_tuple,
        "std": as_tuple,
        "coefficients": lambda rows, place: tuple(_as_pairs(row, place) for row in as_tuple(rows, place)),
        "words": _as_words,
    }
    return Reasons(**take_fields(Reasons, value, where=where, convert=convert))
