"""Bundled models, one folder each."""

from hyperclip.zoo.find import find_bundle, names

__all__ = ["find_bundle", "names"]
