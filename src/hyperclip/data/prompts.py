"""Prompt templates: read, checked, and filled in with names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hyperclip.errors import InputError
from hyperclip.runtime.texts import check_templates

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Prompts", "expand_names", "load_templates"]

MAX_FILE_BYTES = 2**20


class Prompts(NamedTuple):
    """Texts in the order of the names, all templates of a name together."""

    texts: tuple[str, ...]
    class_index: npt.NDArray[np.int64]
    """Shape (n_names * n_templates,): which name each text was made from."""


def load_templates(source: Path | Sequence[str]) -> tuple[str, ...]:
    """Read templates from a file or take them as given, and check them.

    Parameters
    ----------
    source : Path, or str or sequence of str
        A `Path` is a UTF-8 file with one template a line; empty lines and lines that begin with ``#``
        are skipped. Strings are the templates themselves.

    Returns
    -------
    tuple of str
        Each holds ``{}`` exactly once; copies are left out.

    Raises
    ------
    InputError
        If the file cannot be read, there is no template, or one does not hold ``{}`` exactly once.

    Examples
    --------
    >>> load_templates(["{}", "a photo of a {}."])
    ('{}', 'a photo of a {}.')
    """
    if not isinstance(source, Path):
        return tuple(dict.fromkeys(check_templates(source)))
    try:
        with source.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise InputError(
                f"{source} is larger than {MAX_FILE_BYTES} bytes; expected one template a line; shorten it."
            )
        lines = content.decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{source} cannot be read ({error}); expected UTF-8 text, one template a line; check the file."
        ) from error
    templates = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    try:
        return tuple(dict.fromkeys(check_templates(templates)))
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


def expand_names(names: Sequence[str], templates: Sequence[str]) -> Prompts:
    """Put every name into every template.

    Parameters
    ----------
    names : sequence of str
        Braces in them are ordinary characters.
    templates : sequence of str
        As `load_templates` returns them.

    Returns
    -------
    Prompts
        ``len(names) * len(templates)`` texts, and the name of each.

    Examples
    --------
    >>> expand_names(["cat", "dog"], ["{}", "a {}"]).texts
    ('cat', 'a cat', 'dog', 'a dog')
    """
    texts = tuple(template.replace("{}", name) for name in names for template in templates)
    return Prompts(texts, np.repeat(np.arange(len(names), dtype=np.int64), len(templates)))
