"""Models made smaller: one file a method, a model and data in, a model and a report out.

Each name is imported when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hyperclip.compress.contract import METHODS, CompressionData, Layer, MethodReport, compress

__all__ = ["METHODS", "CompressionData", "Layer", "MethodReport", "compress"]

_LAZY = {name: "contract" for name in ("METHODS", "CompressionData", "Layer", "MethodReport", "compress")}


def __getattr__(name: str) -> object:
    """Import what is asked for when it is first asked for (PEP 562)."""
    if name not in _LAZY:
        raise AttributeError(f"module 'hyperclip.compress' has no attribute '{name}'")
    return getattr(import_module(f"hyperclip.compress.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    """List the public names, those not yet imported too."""
    return sorted(__all__)
