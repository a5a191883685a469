"""Every error that hyperclip raises on purpose.

::

    HyperclipError
    ├── InputError            (ValueError)      something that the caller gave cannot be used
    ├── BundleError           (ValueError)      a model folder or classifier file is wrong or damaged
    ├── NotSpecializedError   (AttributeError)  a classifier was asked before it had class names
    └── MissingExtraError     (ImportError)     an optional part of hyperclip is not installed

Each is also the built-in in brackets, so that both kinds of ``except`` work. A message is one
sentence of three parts: what was wrong (with the value), what was expected, what to do.
"""

__all__ = ["BundleError", "HyperclipError", "InputError", "MissingExtraError", "NotSpecializedError"]


class HyperclipError(Exception):
    """Base of all errors that hyperclip raises on purpose."""


class InputError(HyperclipError, ValueError):
    """Something that the caller gave cannot be used as it is."""


class BundleError(HyperclipError, ValueError):
    """A model folder or a classifier file is missing a part, damaged or hostile."""


class NotSpecializedError(HyperclipError, AttributeError):
    """A classifier was asked for predictions before it was given class names."""


class MissingExtraError(HyperclipError, ImportError):
    """A part of hyperclip that was asked for is not installed."""
