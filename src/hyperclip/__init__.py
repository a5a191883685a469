"""Class names in, one small ONNX image classifier out.

>>> import hyperclip
>>> classifier = hyperclip.load("small").specialize(["cat", "dog"])  # doctest: +SKIP
>>> classifier.predict("photo.jpg")  # doctest: +SKIP
array(['cat'], dtype='<U3')

Importing the package is cheap: NumPy, ONNX Runtime and Pillow are loaded when they are first needed.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from hyperclip.errors import (
    BundleError,
    HyperclipError,
    InputError,
    MissingExtraError,
    NotSpecializedError,
)
from hyperclip.version import __version__

if TYPE_CHECKING:
    from hyperclip.runtime.classifier import Classifier
    from hyperclip.runtime.specialize import Model, load

__all__ = [
    "BundleError",
    "Classifier",
    "HyperclipError",
    "InputError",
    "MissingExtraError",
    "Model",
    "NotSpecializedError",
    "__version__",
    "load",
]

_LAZY = {
    "Classifier": "hyperclip.runtime.classifier",
    "Model": "hyperclip.runtime.specialize",
    "load": "hyperclip.runtime.specialize",
}


def __getattr__(name: str) -> object:
    """Import what is asked for when it is first asked for (PEP 562)."""
    if name not in _LAZY:
        raise AttributeError(f"module 'hyperclip' has no attribute '{name}'")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    """List the public names, those not yet imported too."""
    return sorted(__all__)
