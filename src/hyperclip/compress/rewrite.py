"""A classifier or bundle with other graphs in it, valid again: fingerprint, sizes and checksums."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import onnx

from hyperclip.bundle.checksum import sha256_hex
from hyperclip.bundle.manifest import FileEntry, Manifest
from hyperclip.bundle.read import Bundle
from hyperclip.bundle.write import write_bundle
from hyperclip.runtime.assemble import stamp
from hyperclip.runtime.classifier import Classifier

__all__ = ["rewritten_bundle", "rewritten_classifier", "save_bundle"]

MAX_ORIGIN_CHARS = 1000
WORKSHOP_WEIGHTS = "weights.safetensors"  # dense; they are not those of the new graphs


def _origin(text: str, change: str) -> str:
    """Add what was done to the sentence that says where weights come from."""
    return f"{text} {change}"[:MAX_ORIGIN_CHARS]


def rewritten_classifier(classifier: Classifier, model: onnx.ModelProto, *, change: str) -> Classifier:
    """Return a classifier with another graph and the same metadata.

    Parameters
    ----------
    classifier : Classifier
        Where the metadata come from.
    model : onnx.ModelProto
        The new graph.
    change : str
        A sentence for the origin of the weights, such as "Pruned: ...".
    """
    metadata = classifier.metadata
    licence = dataclasses.replace(metadata.licence, origin=_origin(metadata.licence.origin, change))
    values = dataclasses.replace(metadata, licence=licence).to_values()
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return Classifier(stamp(copy, values))


def rewritten_bundle(
    bundle: Bundle, changed: Mapping[str, bytes], *, manifest: Manifest | None = None, change: str
) -> Bundle:
    """Return a bundle in which some files are others; it lies in memory until `save_bundle` writes it.

    Parameters
    ----------
    bundle : Bundle
        What the other files come from.
    changed : mapping of str to bytes
        File name to content. A file that was shared with another model becomes the bundle's own.
    manifest : Manifest, optional
        Where more than files changes, such as the layout of generated parameters.
    change : str
        A sentence for the origin of the weights.
    """
    manifest = bundle.manifest if manifest is None else manifest
    entries = {
        **{name: entry for name, entry in manifest.files.items() if name != WORKSHOP_WEIGHTS},
        **{name: FileEntry(sha256=sha256_hex(data), size_bytes=len(data)) for name, data in changed.items()},
    }
    shares = manifest.shares
    if shares is not None:
        left = {name: entry for name, entry in shares.files.items() if name not in changed}
        shares = dataclasses.replace(shares, files=left) if left else None
    written = dataclasses.replace(
        manifest, files=entries, shares=shares, origin=_origin(manifest.origin, change)
    )
    return dataclasses.replace(bundle, manifest=written, files={**bundle.files, **changed})


def save_bundle(bundle: Bundle, folder: str | Path) -> Manifest:
    """Write a bundle from memory into a folder, as `write_bundle` does.

    Raises
    ------
    InputError
        If the folder cannot be written or holds something else.
    """
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    return write_bundle(folder, bundle.manifest, files)
