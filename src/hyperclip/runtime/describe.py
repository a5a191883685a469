"""What a new classifier file says about itself: its classes, and the model that it was made from."""

from hyperclip.bundle.manifest import ImageSpec, Manifest
from hyperclip.runtime.metadata import HeadInfo, Licence, Metadata, ModelInfo
from hyperclip.runtime.texts import ClassTexts
from hyperclip.version import __version__

__all__ = ["describe"]


def describe(manifest: Manifest, texts: ClassTexts, *, images: ImageSpec) -> Metadata:
    """Return the metadata of a file for the classes of `texts`, made from the model of `manifest`.

    Parameters
    ----------
    manifest : Manifest
        Of the model.
    texts : ClassTexts
        The classes and what was read about them.
    images : ImageSpec
        What the file does to pictures.
    """
    head = manifest.head
    return Metadata(
        class_names=texts.class_names,
        meanings=texts.meanings,
        phrasings=texts.phrasings,
        templates=texts.templates,
        images=images,
        head=HeadInfo(kind=head.kind, activation=head.activation, dim=head.dim),
        temperature=head.temperature,
        threshold=None,  # never invented: somebody has to fit one
        model=ModelInfo(name=manifest.name, version=manifest.version, fingerprint=manifest.fingerprint),
        licence=Licence(
            licence=manifest.licence,
            commercial_use=manifest.commercial_use,
            training_data=manifest.training_data,
            origin=manifest.origin,
        ),
        producer=f"hyperclip {__version__}",
    )
