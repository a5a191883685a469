"""The text side of a model folder: a run's own, or that of another model folder, which is then shared."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hyperclip.bundle.manifest import HeadSpec, Shares, TextSpec
from hyperclip.bundle.read import read_bundle
from hyperclip.errors import InputError
from hyperclip.models import HyperCLIPConfig

__all__ = ["TextSide", "shared_text_side"]

_SHARED_FILES = ("glossary.bin", "specializer.onnx", "tokenizer.json")
_TERMS = ("LICENSE", "NOTICE")  # beginnings of the names of files that go with them


@dataclass(frozen=True, kw_only=True)
class TextSide:
    """What a manifest says of texts and head, and the files of a model beside its own weights."""

    text: TextSpec
    head: HeadSpec
    files: Mapping[str, bytes]
    shares: Shares | None = None


def shared_text_side(folder: Path, config: HyperCLIPConfig, *, own_files: Mapping[str, bytes]) -> TextSide:
    """Take tokenizer, specializer, glossary and their terms from another model folder.

    Parameters
    ----------
    folder : Path
        The other model's folder, called like the model. It is verified.
    config : HyperCLIPConfig
        Of the model that shares.
    own_files : mapping of str to bytes
        Files that the model brings itself; they are not shared.

    Raises
    ------
    BundleError
        If the folder is damaged.
    InputError
        If it shares files itself, is called otherwise than its model, or its widths are others.
    """
    manifest = read_bundle(folder).manifest
    name = folder.resolve().name
    if manifest.shares is not None:
        raise InputError(
            f"The model '{manifest.name}' itself shares files of '{manifest.shares.bundle}'; expected a "
            f"model with files of its own; share those of '{manifest.shares.bundle}'."
        )
    if name != manifest.name:
        raise InputError(
            f"{folder} holds the model '{manifest.name}'; expected a folder of that name, since readers look "
            f"for it there; rename the folder to '{manifest.name}'."
        )
    head, hypernetwork = manifest.head, config.hypernetwork
    widths = [("image_encoder.embedding_dim", config.image_encoder.embedding_dim, head.dim)]
    if hypernetwork is not None:
        widths.append(("hypernetwork.text_dim", hypernetwork.text_dim, head.text_dim))
    for key, found, expected in widths:
        if found != expected:
            raise InputError(
                f"The run has {key} = {found}; expected {expected} as in the model '{name}', whose text side "
                "it shares; train it with that width."
            )
    files = {
        file: entry
        for file, entry in manifest.files.items()
        if (file in _SHARED_FILES or file.startswith(_TERMS)) and file not in own_files
    }
    return TextSide(text=manifest.text, head=head, files=own_files, shares=Shares(bundle=name, files=files))
