"""Better classifiers from a few pictures of each class: heads on frozen embeddings, one file a method.

scikit-learn is needed by everything here, and is loaded when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hyperclip.adapt.adapted import Adapted, adapt_classifier
    from hyperclip.adapt.adapter import Adapter
    from hyperclip.adapt.methods import METHODS
    from hyperclip.adapt.pictures import EmbeddedPictures, embed_pictures
    from hyperclip.runtime.head_part import HeadPart

__all__ = [
    "METHODS",
    "Adapted",
    "Adapter",
    "EmbeddedPictures",
    "HeadPart",
    "adapt_classifier",
    "embed_pictures",
]

_LAZY = {
    "METHODS": "hyperclip.adapt.methods",
    "Adapted": "hyperclip.adapt.adapted",
    "Adapter": "hyperclip.adapt.adapter",
    "EmbeddedPictures": "hyperclip.adapt.pictures",
    "HeadPart": "hyperclip.runtime.head_part",
    "adapt_classifier": "hyperclip.adapt.adapted",
    "embed_pictures": "hyperclip.adapt.pictures",
}


def __getattr__(name: str) -> object:
    """Import what is asked for when it is first asked for (PEP 562)."""
    if name not in _LAZY:
        raise AttributeError(f"module 'hyperclip.adapt' has no attribute '{name}'")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    """List the public names, those not yet imported too."""
    return sorted(__all__)
