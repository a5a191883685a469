"""What a classifier file says about itself: typed, read back with the same checks as a bundle."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hyperclip.bundle.manifest import HEAD_KINDS, ImageSpec
from hyperclip.bundle.strict import (
    as_tuple,
    check_choice,
    check_integer,
    check_number,
    check_text,
    check_tuple,
    parse_json,
    quote,
    take_fields,
)
from hyperclip.errors import BundleError
from hyperclip.runtime.adaptation import Adaptation
from hyperclip.runtime.assemble import METADATA_PREFIX
from hyperclip.runtime.names import MAX_CLASSES, MAX_TEXT_CHARS

__all__ = ["ADAPTED", "ClassMeaning", "HeadInfo", "Licence", "Metadata", "ModelInfo"]

FORMAT_VERSION = 1
ADAPTED = "adapted"  # kind of a head that was fitted to pictures and reads more than a matrix
MAX_VALUE_BYTES = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class ClassMeaning:
    """Which sense was read into a class name."""

    text: str | None  # "computer mouse, a kind of electronic device"
    wnid: str | None  # WordNet id such as n03793489
    source: str  # "glossary", "user" or "none"

    def __post_init__(self) -> None:
        if self.text is not None:
            check_text(self.text, where="meanings.text", max_chars=10_000)
        if self.wnid is not None:
            check_text(self.wnid, where="meanings.wnid", max_chars=20)
        check_choice(self.source, where="meanings.source", choices=("glossary", "user", "none"))


@dataclass(frozen=True, kw_only=True)
class HeadInfo:
    """How the file makes logits, and what turns them into probabilities."""

    kind: str  # one of HEAD_KINDS, or ADAPTED
    activation: str  # "softmax" or "sigmoid"
    dim: int  # width of the embedding

    def __post_init__(self) -> None:
        check_choice(self.kind, where="head.kind", choices=(*HEAD_KINDS, ADAPTED))
        check_choice(self.activation, where="head.activation", choices=("softmax", "sigmoid"))
        check_integer(self.dim, where="head.dim", low=1, high=65536)


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """The bundle that the file was made from."""

    name: str
    version: str
    fingerprint: str

    def __post_init__(self) -> None:
        for key in ("name", "version", "fingerprint"):
            check_text(getattr(self, key), where=f"model.{key}", max_chars=100)


@dataclass(frozen=True, kw_only=True)
class Licence:
    """On which terms the file may be used, and where its weights come from."""

    licence: str
    commercial_use: str
    training_data: tuple[str, ...]
    origin: str

    def __post_init__(self) -> None:
        for key in ("licence", "commercial_use", "origin"):
            check_text(getattr(self, key), where=f"licence.{key}", max_chars=1000)
        check_tuple(self.training_data, where="licence.training_data", n_min=0, n_max=100)
        for source in self.training_data:
            check_text(source, where="licence.training_data", max_chars=1000)


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """Everything under ``hyperclip.*`` in a classifier file.

    Parameters
    ----------
    class_names : tuple of str
        Exactly as the user typed them, in the order of the logits.
    meanings : tuple of ClassMeaning
        One a class.
    phrasings : tuple of tuple of str
        Other words that were averaged in, one tuple a class.
    templates : tuple of str
        What was put around each name.
    images : ImageSpec
        What the file does to pictures.
    head : HeadInfo
        Kind of head and activation.
    temperature : float or None
        Logits are divided by it before the activation; None where none was fitted.
    threshold : float or None
        Probability below which the answer is "none of these"; None until somebody fits one.
    model : ModelInfo
        The bundle that the file was made from.
    licence : Licence
        Terms and origin.
    producer : str
        Program and version that wrote the file.
    adaptation : Adaptation or None
        How the head was fitted to pictures; None where it comes from names alone.
    fingerprint : str or None
        SHA-256 of the file with this entry empty; set by reading, not part of what is written.
    """

    class_names: tuple[str, ...]
    meanings: tuple[ClassMeaning, ...]
    phrasings: tuple[tuple[str, ...], ...]
    templates: tuple[str, ...]
    images: ImageSpec
    head: HeadInfo
    temperature: float | None
    threshold: float | None
    model: ModelInfo
    licence: Licence
    producer: str
    adaptation: Adaptation | None = None
    fingerprint: str | None = None

    def __post_init__(self) -> None:
        n_classes = len(self.class_names) if isinstance(self.class_names, tuple) else 0
        check_tuple(self.class_names, where="class_names", n_min=1, n_max=MAX_CLASSES)
        check_tuple(self.meanings, where="meanings", n_min=n_classes, n_max=n_classes)
        check_tuple(self.phrasings, where="phrasings", n_min=n_classes, n_max=n_classes)
        check_tuple(self.templates, where="templates", n_min=1, n_max=1000)
        for text in (
            *self.class_names,
            *self.templates,
            *(text for group in self.phrasings for text in group),
        ):
            check_text(text, where="class_names, templates or phrasings", max_chars=MAX_TEXT_CHARS)
        if self.temperature is not None:
            check_number(self.temperature, where="calibration.temperature", low=1e-4, high=1e4)
        if self.threshold is not None:
            check_number(self.threshold, where="threshold", low=0.0, high=1.0)
        check_text(self.producer, where="producer", max_chars=200)

    def to_values(self) -> dict[str, object]:
        """Return key (without prefix) to JSON value, as `hyperclip.runtime.assemble.stamp` writes them."""
        values = dataclasses.asdict(self)
        del values["fingerprint"]
        if self.adaptation is None:
            del values["adaptation"]
        values["calibration"] = {"temperature": values.pop("temperature")}
        return {"format_version": FORMAT_VERSION, **values}

    @classmethod
    def from_props(cls, props: Mapping[str, str], *, where: str) -> "Metadata":
        """Read the metadata of a classifier file; entries of other programs are ignored.

        Parameters
        ----------
        props : mapping of str to str
            All metadata of the file.
        where : str
            What to call the file in messages.

        Raises
        ------
        BundleError
            If the file is not one of ours, of a later format, or an entry is wrong.
        """
        if f"{METADATA_PREFIX}format_version" not in props:
            raise BundleError(
                f"{where} is an ONNX model but no hyperclip classifier; expected a file that "
                "`hyperclip specialize` wrote; make one from class names first."
            )
        values: dict[str, Any] = {
            key.removeprefix(METADATA_PREFIX): parse_json(
                text, where=f"{where}: {quote(key)}", max_bytes=MAX_VALUE_BYTES
            )
            for key, text in props.items()
            if key.startswith(METADATA_PREFIX)
        }
        if values["format_version"] != FORMAT_VERSION:
            raise BundleError(
                f"{where} has format_version {quote(values['format_version'])}; this hyperclip reads "
                f"{FORMAT_VERSION}; install a version of hyperclip that fits the file."
            )
        calibration = values.get("calibration")
        if isinstance(calibration, dict) and "temperature" in calibration:
            values["temperature"] = calibration["temperature"]
        known = {item.name for item in dataclasses.fields(cls)}
        fields = {key: value for key, value in values.items() if key in known}
        try:
            return cls(
                **take_fields(
                    cls,
                    fields,
                    where="metadata",
                    convert={
                        "class_names": as_tuple,
                        "templates": as_tuple,
                        "phrasings": _as_phrasings,
                        "meanings": _as_meanings,
                        "images": ImageSpec.from_json,
                        "head": _as_head,
                        "model": _as_model,
                        "licence": _as_licence,
                        "adaptation": Adaptation.from_json,
                    },
                    optional=("adaptation",),
                )
            )
        except BundleError as error:
            raise BundleError(f"{where} is a damaged hyperclip classifier: {error}") from error


def _as_phrasings(value: object, where: str) -> tuple[tuple[str, ...], ...]:
    """Turn a parsed list of lists into tuples."""
    return tuple(as_tuple(group, where) for group in as_tuple(value, where))


def _as_meanings(value: object, where: str) -> tuple[ClassMeaning, ...]:
    """Turn a parsed list of objects into meanings."""
    return tuple(
        ClassMeaning(**take_fields(ClassMeaning, item, where=where)) for item in as_tuple(value, where)
    )


def _as_head(value: object, where: str) -> HeadInfo:
    """Turn a parsed object into a `HeadInfo`."""
    return HeadInfo(**take_fields(HeadInfo, value, where=where))


def _as_model(value: object, where: str) -> ModelInfo:
    """Turn a parsed object into a `ModelInfo`."""
    return ModelInfo(**take_fields(ModelInfo, value, where=where))


def _as_licence(value: object, where: str) -> Licence:
    """Turn a parsed object into a `Licence`."""
    fields = take_fields(Licence, value, where=where, convert={"training_data": as_tuple})
    return Licence(**fields)
