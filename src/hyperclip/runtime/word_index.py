"""From a word to the senses that it may have, and from a sense to its words and kinds."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hyperclip.runtime.glossary_format import PERSON, UNSHOWN, GlossaryTables
from hyperclip.runtime.word_forms import letters, letters_of_all

__all__ = ["Candidate", "WordIndex"]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A sense that a name may have.

    Parameters
    ----------
    sense : int
        Row of the tables.
    rank : int
        How common the sense is for the word, from 1.
    is_first_word : bool
        Whether the word is the sense's most used one, in any spelling.
    cost : float
        What speaks against this reading of the name, at least 0.
    is_meant : bool
        Whether the name itself says that this sense is meant: "crane (bird)".
    """

    sense: int
    rank: int
    is_first_word: bool
    cost: float = 0.0
    is_meant: bool = False


class WordIndex:
    """Looks up words in glossary tables.

    Parameters
    ----------
    tables : GlossaryTables
        Their words are ordered by their letters (`letters`).
    """

    def __init__(self, tables: GlossaryTables) -> None:
        self._tables = tables
        self._keys = letters_of_all(tables.lemmas)
        # Reversed, so that of words with the same letters the first one stays.
        last = len(self._keys) - 1
        self._first = dict(zip(reversed(self._keys), range(last, -1, -1), strict=True))
        self._word_stop = np.cumsum(tables.lemma_counts, dtype=np.int64)
        self._parent_stop = np.cumsum(tables.parent_counts, dtype=np.int64)

    def words_of(self, sense: int) -> Iterator[tuple[str, int, bool]]:
        """Yield the words of a sense, the most used first: word, rank, whether people are shown it."""
        stop = int(self._word_stop[sense])
        for pair in range(stop - int(self._tables.lemma_counts[sense]), stop):
            rank = int(self._tables.ranks[pair])
            yield self._tables.lemmas[self._tables.lemma_ids[pair]], rank % UNSHOWN, rank < UNSHOWN

    def parents_of(self, sense: int) -> list[int]:
        """Return the rows of what a sense is directly a kind of."""
        stop = int(self._parent_stop[sense])
        return list(map(int, self._tables.parents[stop - int(self._tables.parent_counts[sense]) : stop]))

    def ancestors_of(self, sense: int) -> Iterator[list[int]]:
        """Yield the rows of what a sense is a kind of, level by level, the nearest first, each once."""
        level, seen = [sense], {sense}
        while level:
            level = list(dict.fromkeys(p for row in level for p in self.parents_of(row) if p not in seen))
            seen.update(level)
            if level:
                yield level

    def find(self, word: str) -> list[Candidate]:
        """Return the senses of a word as the glossary has it, apart from case, accents and hyphens.

        Parameters
        ----------
        word : str
            One word or several that belong together: "hot dog", "hotdog", "Hot-Dog".

        Returns
        -------
        list of Candidate
            The commonest first; empty where the word is not known.
        """
        spellings = self._spellings(word)
        order, starts = self._pairs_by_word
        best: dict[int, Candidate] = {}
        for lemma in spellings:
            # "red" is no Red, "polish" no Pole.
            no_people = word.islower() and self._tables.lemmas[lemma][:1].isupper()
            for pair in order[starts[lemma] : starts[lemma + 1]]:
                sense = int(np.searchsorted(self._word_stop, pair, side="right"))
                if no_people and int(self._tables.flags[sense]) & PERSON:
                    continue
                rank = int(self._tables.ranks[pair]) % UNSHOWN
                if sense not in best or rank < best[sense].rank:
                    best[sense] = Candidate(
                        sense=sense, rank=rank, is_first_word=self._is_first_word(word, sense)
                    )
        return sorted(best.values(), key=lambda candidate: (candidate.rank, candidate.sense))

    def find_id(self, wnid: int) -> list[Candidate]:
        """Return the one sense with a WordNet id, given without its ``n``; empty where there is none."""
        row = int(np.searchsorted(self._tables.wnids, wnid))
        if row == len(self._tables.wnids) or self._tables.wnids[row] != wnid:
            return []
        return [Candidate(sense=row, rank=1, is_first_word=True)]

    def _is_first_word(self, word: str, sense: int) -> bool:
        """Tell whether a sense's most used word is `word`, as "seahorse" is "sea horse"."""
        first = self._word_stop[sense] - self._tables.lemma_counts[sense]
        return letters(self._tables.lemmas[self._tables.lemma_ids[first]]) == letters(word)

    def _spellings(self, word: str) -> list[int]:
        """Return the numbers of the glossary's words that `word` may stand for."""
        key = letters(word)
        first = self._first.get(key)
        if first is None or not key:
            return []
        stop = first
        while stop < len(self._keys) and self._keys[stop] == key:
            stop += 1
        found = [number for number in range(first, stop) if _may_mean(word, self._tables.lemmas[number])]
        ordinary = [number for number in found if not self._tables.lemmas[number].isupper()]
        return ordinary if ordinary and not word.isupper() else found

    @cached_property
    def _pairs_by_word(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Positions in lemma_ids ordered by word, and where in that order each word starts."""
        order = np.argsort(self._tables.lemma_ids, kind="stable")
        starts = np.searchsorted(self._tables.lemma_ids[order], np.arange(len(self._tables.lemmas) + 1))
        return order, starts


def _may_mean(word: str, lemma: str) -> bool:
    """Tell whether `word` may be `lemma` in another case; "as" is not the symbol "As" of arsenic."""
    is_symbol = len(lemma) <= 2 and lemma[:1].isupper() and not lemma.isupper()
    return word == lemma or not is_symbol
