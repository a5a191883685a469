"""The version of hyperclip; the same as in ``pyproject.toml``, which a test checks."""

__all__ = ["__version__"]

__version__ = "0.1.0"
