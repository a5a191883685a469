"""What names mean: each name's senses, and which of them is meant beside the other names."""

import dataclasses
import re
from collections.abc import Collection, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hyperclip.runtime.glossary_format import (
    BASIC,
    EMPTY,
    VAGUE,
    GlossaryTables,
    unpack_glossary,
)
from hyperclip.runtime.half_bytes import split_halves
from hyperclip.runtime.meaning import Meaning, make_meaning
from hyperclip.runtime.name_reading import NameReader
from hyperclip.runtime.sense_choice import choose_senses
from hyperclip.runtime.word_index import Candidate, WordIndex

__all__ = ["Glossary", "Meaning", "meaning_text"]

# Where a name's commonest sense is no thing ("spring", the season), what is left must fit the other
# names at least this well to be believed.
MIN_FIT = 0.15


def meaning_text(name: str, meaning: Meaning) -> str:
    """Return the text that the text encoder reads about a name with a known meaning.

    Examples
    --------
    >>> mouse = Meaning(wnid="n02330245", text="a kind of rodent, mammal", rank=1, synonyms=(),
    ...                 kind_of=("rodent", "mammal"))
    >>> meaning_text("mouse", mouse)
    'mouse: a kind of rodent, mammal'
    """
    return f"{name}: {meaning.text}"


class Glossary:
    """Looks up names and chooses their senses; made with `Glossary.read`.

    Parameters
    ----------
    tables : GlossaryTables
        Senses and words.
    """

    def __init__(self, tables: GlossaryTables) -> None:
        self._tables = tables
        self._index = WordIndex(tables)
        self._reader = NameReader(self._index)
        self._ancestors: dict[int, frozenset[int]] = {}

    @cached_property
    def _vectors(self) -> NDArray[np.uint8]:
        """The packed meaning vectors, unpacked from the file when they are first needed."""
        return self._tables.vectors()

    def words_only(self) -> "Glossary":
        """Return the same glossary without vectors: another text encoder reads meanings as texts."""
        return Glossary(dataclasses.replace(self._tables, class_vectors=None))

    @property
    def text_dim(self) -> int | None:
        """Length of the vectors of meanings; None where the glossary has none."""
        return None if self._tables.class_vectors is None else self._tables.class_vectors.text_dim

    @classmethod
    def read(cls, data: bytes) -> "Glossary":
        """Read the bytes of ``glossary.bin``.

        Parameters
        ----------
        data : bytes
            The file, at most 32 MiB.

        Returns
        -------
        Glossary

        Raises
        ------
        BundleError
            When the file is damaged or announces more than it may hold.
        """
        return cls(unpack_glossary(data))

    def choose(self, class_names: Sequence[str], *, described: Collection[str] = ()) -> list[Meaning | None]:
        """Return the meaning of each name beside the other names.

        Parameters
        ----------
        class_names : sequence of str
            In any order; the order does not change what is chosen.
        described : collection of str
            Names that the user described: they get no meaning here, but help to choose the others'.

        Returns
        -------
        list of Meaning or None
            As long as `class_names`; None for described names and those that are not known.

        Raises
        ------
        BundleError
            When the meaning vectors turn out to be damaged.
        """
        found = {name: self._candidates(name) for name in set(class_names)}
        # Two spellings of one word are one voice, not two; sorted, so that their order cannot matter.
        voices = sorted({candidates for candidates in found.values() if candidates}, key=_sort_key)
        chosen = self._choose(voices, is_alone=len(found) == 1)
        return [
            self._explain(name, chosen.get(found[name])) if name not in described else None
            for name in class_names
        ]

    def _candidates(self, name: str) -> tuple[Candidate, ...]:
        """Return the senses that a name may have; one where the name itself says which."""
        reading = self._reader.read(name)
        if len(reading.candidates) < 2 or not reading.hint:
            return reading.candidates
        places, _ = self._fit([reading.candidates, reading.hint])
        return (dataclasses.replace(reading.candidates[places[0]], is_meant=True),)

    def _choose(
        self, voices: Sequence[tuple[Candidate, ...]], *, is_alone: bool
    ) -> dict[tuple[Candidate, ...], Candidate]:
        """Choose one of the candidates of each voice, or none where the name seems to mean no thing."""
        return {
            candidates: candidates[place]
            for candidates, place, fit in zip(voices, *self._fit(voices), strict=True)
            if is_alone or candidates[0].rank == 1 or candidates[place].is_meant or fit >= MIN_FIT
        }

    def _fit(self, voices: Sequence[tuple[Candidate, ...]]) -> tuple[list[int], list[float]]:
        """Return which candidate of each voice fits the other voices best, and how well."""
        senses = [candidate.sense for candidates in voices for candidate in candidates]
        return choose_senses(
            voices,
            vectors=split_halves(self._vectors[senses]),
            ancestors=[self._closure(sense) for sense in senses],
            flags=self._tables.flags[senses],
        )

    def words(self, wnid: str) -> list[str]:
        """Return all words of a sense, the most used first; none where the glossary has no such sense."""
        candidates = self._reader.read(wnid).candidates if re.fullmatch("n[0-9]{8}", wnid) else ()
        return [word for candidate in candidates for word, _, _ in self._index.words_of(candidate.sense)]

    def explain(self, name: str, wnid: str) -> Meaning | None:
        """Return what `name` means in one given sense.

        Parameters
        ----------
        name : str
            Any text; it need not be a word of the sense.
        wnid : str
            WordNet id such as ``n02330245``.

        Returns
        -------
        Meaning or None
            None where the glossary has no such sense, or nothing to say about it.
        """
        candidates = self._candidates(wnid) if re.fullmatch("n[0-9]{8}", wnid) else ()
        if not candidates:
            return None
        ranks = [rank for word, rank, _ in self._index.words_of(candidates[0].sense) if word == name]
        return self._explain(name, dataclasses.replace(candidates[0], rank=min(ranks, default=1)))

    def vector(self, wnid: str) -> NDArray[np.float32] | None:
        """Return what the text encoder was taught for a sense; see `Meaning.vector`.

        Parameters
        ----------
        wnid : str
            WordNet id such as ``n02330245``.

        Returns
        -------
        ndarray of shape (text_dim,), float32, unit length, or None
            None where the glossary has no such sense, or no vector for it.
        """
        candidates = self._candidates(wnid) if re.fullmatch("n[0-9]{8}", wnid) else ()
        return self._class_vector(candidates[0].sense) if candidates else None

    def senses(self, name: str) -> list[Meaning]:
        """Return all meanings that a name may have, the commonest first."""
        meanings = (self._explain(name, candidate) for candidate in self._reader.read(name).candidates)
        return [meaning for meaning in meanings if meaning is not None]

    def _closure(self, sense: int) -> frozenset[int]:
        """Return the rows of a sense and of all that it is a kind of."""
        if sense not in self._ancestors:
            above = (row for level in self._index.ancestors_of(sense) for row in level)
            self._ancestors[sense] = frozenset((sense, *above))
        return self._ancestors[sense]

    def _explain(self, name: str, candidate: Candidate | None) -> Meaning | None:
        """Put a sense into words; None where there is nothing to say about it ("entity")."""
        if candidate is None:
            return None
        shown = [
            (rank > 1, word) for word, rank, is_shown in self._index.words_of(candidate.sense) if is_shown
        ]
        kinds = (self._label(row) for row in self._kinds(candidate.sense))
        meaning = make_meaning(
            name,
            wnid=f"n{self._tables.wnids[candidate.sense]:08d}",
            rank=candidate.rank,
            # First words for which this is the commonest sense, then the others; both as WordNet has them.
            synonyms=[word for _, word in sorted(shown, key=lambda pair: pair[0])],
            kinds=[label for label in kinds if label is not None],
            vector=self._class_vector(candidate.sense),
        )
        return meaning if meaning.text else None

    def _class_vector(self, sense: int) -> NDArray[np.float32] | None:
        classes = self._tables.class_vectors
        return None if classes is None else classes.of(sense)

    def _label(self, sense: int) -> str | None:
        """Return the most used word of a sense that people are shown; None where there is none."""
        return next((word for word, _, is_shown in self._index.words_of(sense) if is_shown), None)

    def _kinds(self, sense: int) -> list[int]:
        """Return what a sense is a kind of: the nearest kinds that say something, then a basic one."""
        flags = self._tables.flags
        nearest: list[int] = []
        parents = self._index.parents_of(sense)
        basic: int | None = None
        for level in self._index.ancestors_of(sense):
            if not nearest:
                nearest = [row for row in level if not flags[row] & VAGUE][:2]
            if basic is None:
                basic = next((row for row in level if flags[row] & BASIC and row not in nearest), None)
        if nearest and basic is not None and not flags[nearest[0]] & BASIC:
            nearest.append(basic)
        return nearest or [row for row in parents if not flags[row] & EMPTY][:1]


def _sort_key(candidates: tuple[Candidate, ...]) -> list[tuple[int, int, bool, float, bool]]:
    return [(c.sense, c.rank, c.is_first_word, c.cost, c.is_meant) for c in candidates]
