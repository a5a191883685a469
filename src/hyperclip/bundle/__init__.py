"""The model folder on disk, the contract between those who train and those who use a model."""

from hyperclip.bundle.manifest import (
    MANIFEST_NAME,
    MIXTURE_FLOOR,
    FileEntry,
    GeneratedParameter,
    HeadSpec,
    ImageSpec,
    Manifest,
    Shares,
    TextSpec,
)
from hyperclip.bundle.read import Bundle, read_bundle
from hyperclip.bundle.write import write_bundle

__all__ = [
    "MANIFEST_NAME",
    "MIXTURE_FLOOR",
    "Bundle",
    "FileEntry",
    "GeneratedParameter",
    "HeadSpec",
    "ImageSpec",
    "Manifest",
    "Shares",
    "TextSpec",
    "read_bundle",
    "write_bundle",
]
