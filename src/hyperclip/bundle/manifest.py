"""What ``model.json`` says about a model folder: frozen dataclasses, checked when they are made."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hyperclip.bundle.files import (
    MANIFEST_NAME,
    MAX_FILE_BYTES,
    FileEntry,
    check_file_names,
    entries_from_json,
)
from hyperclip.bundle.shares import Shares
from hyperclip.bundle.specs import HEAD_KINDS, MIXTURE_FLOOR, HeadSpec, ImageSpec, TextSpec
from hyperclip.bundle.strict import (
    as_tuple,
    check_integer,
    check_text,
    check_tuple,
    parse_json,
    quote,
    take_fields,
)
from hyperclip.errors import BundleError

__all__ = [
    "FORMAT_VERSION",
    "HEAD_KINDS",
    "MANIFEST_NAME",
    "MAX_FILE_BYTES",
    "MIXTURE_FLOOR",
    "REQUIRED_FILES",
    "FileEntry",
    "GeneratedParameter",
    "HeadSpec",
    "ImageSpec",
    "Manifest",
    "Shares",
    "TextSpec",
]

FORMAT = "hyperclip-bundle"
FORMAT_VERSION = 1
MAX_MANIFEST_BYTES = 4 * 2**20
REQUIRED_FILES = ("encoder.onnx", "specializer.onnx", "tokenizer.json")

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class GeneratedParameter:
    """One initializer of the encoder that the specializer writes, and where its values lie."""

    name: str  # of the initializer in encoder.onnx
    size: int  # number of values
    offset: int  # of the first value in the specializer's output `generated`

    def __post_init__(self) -> None:
        check_text(self.name, where="model.json: generated.name", max_chars=200)
        check_integer(self.size, where="model.json: generated.size", low=1, high=2**28)
        check_integer(self.offset, where="model.json: generated.offset", low=0, high=2**28)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything that ``model.json`` says.

    Parameters
    ----------
    name, version : str
        Of the model.
    licence : str
        SPDX name of the licence of the weights.
    commercial_use : str
        One plain sentence on whether the model may be used commercially.
    training_data : tuple of str
        What it was trained on, one entry a source.
    origin : str
        One sentence: where the weights come from.
    images, text, head : ImageSpec, TextSpec, HeadSpec
        How pictures, names and logits are treated.
    generated : tuple of GeneratedParameter
        In the order of their values, without gaps; may be empty.
    files : mapping of str to FileEntry
        Every other file of the folder; `write_bundle` fills it in.
    shares : Shares, optional
        Files of another model that this one needs; ``model.json`` has no such key without them.

    Raises
    ------
    BundleError
        If a value is of the wrong type or outside its range.
    """

    name: str
    version: str
    licence: str
    commercial_use: str
    training_data: tuple[str, ...]
    origin: str
    images: ImageSpec
    text: TextSpec
    head: HeadSpec
    generated: tuple[GeneratedParameter, ...] = ()
    files: Mapping[str, FileEntry] = field(default_factory=dict)
    shares: Shares | None = None

    def __post_init__(self) -> None:
        check_text(self.name, where="model.json: name", max_chars=64)
        if not _MODEL_NAME.fullmatch(self.name):
            raise BundleError(
                f"model.json: name is {quote(self.name)}; expected letters, digits, '.', '_' and '-'; "
                "choose such a name."
            )
        for key, max_chars in (("version", 64), ("licence", 200), ("commercial_use", 1000), ("origin", 1000)):
            check_text(getattr(self, key), where=f"model.json: {key}", max_chars=max_chars)
        check_tuple(self.training_data, where="model.json: training_data", n_min=0, n_max=100)
        for source in self.training_data:
            check_text(source, where="model.json: training_data", max_chars=1000)
        self._check_layout()
        check_file_names(self.files, where="model.json: files")
        both = sorted(set(self.files) & set(self.shares.files)) if self.shares is not None else []
        if both:
            raise BundleError(
                f"model.json lists {quote(both[0])} as a file of its own and as a shared one; expected one "
                "of the two; leave the other out."
            )
        object.__setattr__(self, "files", dict(sorted(self.files.items())))

    def _check_layout(self) -> None:
        """Check that generated parameters follow one another without gaps and have their own names."""
        check_tuple(self.generated, where="model.json: generated", n_min=0, n_max=10_000)
        end = 0
        for parameter in self.generated:
            if parameter.offset != end:
                raise BundleError(
                    f"model.json: generated '{quote(parameter.name)}' starts at {parameter.offset}; "
                    f"expected {end}, the end of the one before; list them in order without gaps."
                )
            end += parameter.size
        if len({parameter.name for parameter in self.generated}) != len(self.generated):
            raise BundleError(
                "model.json: generated names a parameter twice; expected each once; remove the copies."
            )

    @property
    def n_generated(self) -> int:
        """Number P of generated values."""
        return sum(parameter.size for parameter in self.generated)

    @property
    def all_files(self) -> dict[str, FileEntry]:
        """The files of the folder and the shared ones."""
        return {**self.files, **(self.shares.files if self.shares is not None else {})}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of ``model.json`` with this entry empty; covers every file through its checksum."""
        return hashlib.sha256(_to_bytes(self._to_dict(fingerprint=""))).hexdigest()

    def to_json(self) -> bytes:
        """Return the bytes of ``model.json``: sorted keys, two spaces, a last newline."""
        return _to_bytes(self._to_dict(fingerprint=self.fingerprint))

    def _to_dict(self, *, fingerprint: str) -> dict[str, Any]:
        """Return plain dicts and lists as they are stored."""
        values: dict[str, Any] = {
            item.name: getattr(self, item.name)
            for item in dataclasses.fields(self)
            if item.name not in ("files", "shares")
        }
        values = {
            key: dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value  # type: ignore[arg-type]
            for key, value in values.items()
        }
        if self.text.padding == "longest":  # bundles from before there was a choice look as they did
            del values["text"]["padding"]
        values["generated"] = [dataclasses.asdict(parameter) for parameter in self.generated]
        values["files"] = {name: dataclasses.asdict(entry) for name, entry in self.files.items()}
        if self.shares is not None:  # bundles that share nothing look as they did before there was sharing
            values["shares"] = self.shares.to_dict()
        return {"format": FORMAT, "format_version": FORMAT_VERSION, "fingerprint": fingerprint, **values}

    @classmethod
    def from_json(cls, data: bytes, *, where: str = MANIFEST_NAME) -> "Manifest":
        """Return the manifest that the bytes of ``model.json`` describe.

        Raises
        ------
        BundleError
            If anything is unknown, missing, out of range, or differs from what `to_json` writes.
        """
        value = parse_json(data, where=where, max_bytes=MAX_MANIFEST_BYTES)
        if not isinstance(value, dict) or value.get("format") != FORMAT:
            raise BundleError(
                f'{where} is not the manifest of a hyperclip model; expected "format": "{FORMAT}"; '
                "name a folder that hyperclip wrote."
            )
        if value.get("format_version") != FORMAT_VERSION:
            raise BundleError(
                f"{where} has format_version {quote(value.get('format_version'))}; this hyperclip reads "
                f"{FORMAT_VERSION}; install a version of hyperclip that fits the model."
            )
        fields = {
            key: item for key, item in value.items() if key not in ("format", "format_version", "fingerprint")
        }
        manifest = cls(
            **take_fields(
                cls,
                fields,
                optional=("shares",),
                where=where,
                convert={
                    "training_data": as_tuple,
                    "images": ImageSpec.from_json,
                    "text": TextSpec.from_json,
                    "head": HeadSpec.from_json,
                    "generated": _as_generated,
                    "files": entries_from_json,
                    "shares": Shares.from_json,
                },
            )
        )
        if data != manifest.to_json():
            raise BundleError(
                f"{where} was changed after it was written (its fingerprint or form does not fit); "
                "expected the bytes that hyperclip wrote; restore it or write the bundle again."
            )
        return manifest


def _to_bytes(value: dict[str, Any]) -> bytes:
    """Return the one JSON form of a manifest."""
    text = json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True, allow_nan=False)
    return f"{text}\n".encode()


def _as_generated(value: object, where: str) -> tuple[GeneratedParameter, ...]:
    """Turn a parsed list of objects into the layout."""
    return tuple(
        GeneratedParameter(**take_fields(GeneratedParameter, item, where=where))
        for item in as_tuple(value, where)
    )
