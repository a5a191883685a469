"""Class names to a classifier, and a classifier to predictions; nothing here needs PyTorch.

Each name is imported when it is first asked for, so that reading pictures loads no ONNX Runtime.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hyperclip.runtime.classifier import Classifier
    from hyperclip.runtime.metadata import Metadata
    from hyperclip.runtime.names import ClassEntry, parse_names, read_names
    from hyperclip.runtime.predict import BadImage, Prediction, predict_files
    from hyperclip.runtime.specialize import Model, load

__all__ = [
    "BadImage",
    "ClassEntry",
    "Classifier",
    "Metadata",
    "Model",
    "Prediction",
    "load",
    "parse_names",
    "predict_files",
    "read_names",
]

_LAZY = {
    "BadImage": "predict",
    "ClassEntry": "names",
    "Classifier": "classifier",
    "Metadata": "metadata",
    "Model": "specialize",
    "Prediction": "predict",
    "load": "specialize",
    "parse_names": "names",
    "predict_files": "predict",
    "read_names": "names",
}


def __getattr__(name: str) -> object:
    """Import what is asked for when it is first asked for (PEP 562)."""
    if name not in _LAZY:
        raise AttributeError(f"module 'hyperclip.runtime' has no attribute '{name}'")
    return getattr(import_module(f"hyperclip.runtime.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    """List the public names, those not yet imported too."""
    return sorted(__all__)
