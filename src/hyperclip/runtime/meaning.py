"""How a meaning is put into words: synonyms, then what it is a kind of."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hyperclip.runtime.word_forms import letters

__all__ = ["Meaning", "make_meaning"]

MAX_SYNONYMS = 3
MAX_KINDS = 3
MAX_TEXT_CHARS = 72  # with a name and a template around it, the text must fit into 32 tokens


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """One sense of a name.

    Parameters
    ----------
    wnid : str
        WordNet id such as ``n02330245``.
    text : str
        What users are shown and the text encoder reads: ``"computer mouse, a kind of electronic device"``.
    rank : int
        How common this sense of the word is; 1 is the commonest.
    synonyms : tuple of str
        Other names of the same sense, at most three.
    kind_of : tuple of str
        What it is a kind of, the nearest first, at most three.
    vector : ndarray of shape (text_dim,), float32, unit length, or None
        What the text encoder was taught for this sense, where the glossary has it.
    """

    wnid: str
    text: str
    rank: int
    synonyms: tuple[str, ...]
    kind_of: tuple[str, ...]
    vector: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)


def make_meaning(
    name: str,
    *,
    wnid: str,
    rank: int,
    synonyms: Sequence[str],
    kinds: Sequence[str],
    vector: NDArray[np.float32] | None = None,
) -> Meaning:
    """Return the `Meaning` whose text says about `name` what the name itself does not say.

    Parameters
    ----------
    name : str
        The word that is explained; it and repetitions of it are left out of the text.
    wnid : str
        WordNet id of the sense.
    rank : int
        How common the sense is, from 1.
    synonyms : sequence of str
        Candidates, the best first.
    kinds : sequence of str
        What it is a kind of, the nearest first.
    vector : ndarray of shape (text_dim,), float32, unit length, optional
        What the text encoder was taught for the sense.

    Returns
    -------
    Meaning
        With at most three synonyms, fewer where the text would get longer than 72 characters.

    Examples
    --------
    >>> make_meaning("mouse", wnid="n03793489", rank=4, synonyms=["mouse", "computer mouse"],
    ...              kinds=["electronic device", "device"]).text
    'computer mouse, a kind of electronic device'
    """
    kind_of: list[str] = []
    for kind in kinds:
        if letters(kind) != letters(name) and not _is_said_by(kind, kind_of) and len(kind_of) < MAX_KINDS:
            kind_of.append(kind)
    tail = "a kind of " + ", ".join(kind_of) if kind_of else ""
    chosen: list[str] = []
    seen = {letters(name)}
    for synonym in synonyms:
        if len(chosen) == MAX_SYNONYMS:
            break
        fits = not chosen or len(", ".join([*chosen, synonym, tail])) <= MAX_TEXT_CHARS
        if letters(synonym) not in seen and fits and not _is_said_by(synonym, [name]):
            chosen.append(synonym)
            seen.add(letters(synonym))
    text = ", ".join([*chosen, tail] if tail else chosen)
    return Meaning(
        wnid=wnid, text=text, rank=rank, synonyms=tuple(chosen), kind_of=tuple(kind_of), vector=vector
    )


def _is_said_by(kind: str, kinds: Sequence[str]) -> bool:
    """Tell whether `kinds` already say `kind`, as "wading bird" says "bird"."""
    return any(kind == other or other.endswith(" " + kind) for other in kinds)
