"""From a class name as people write it to the senses that it may have."""

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass

from hyperclip.runtime.word_forms import letters, plurals, singulars, split_words
from hyperclip.runtime.word_index import Candidate, WordIndex

__all__ = ["NameReader", "Reading"]

MAX_NAME_CHARS = 200
MAX_WORDS = 12
PLURAL_COST = 0.3  # "glasses" are spectacles first, and more than one glass second

_ARTICLES = "a an the some"
# In "X of Y" these say how much of Y, or how it is served, and Y is the thing.
_MEASURES = """
bag ball bar barrel basket block bottle bowl box bunch bundle can carton chunk clove cluster crate cube cup
dish drop ear flock glass group handful head heap herd image jar jug keg kind loaf lot lump mug pack packet
pair photo photograph picture piece pile pint pitcher plate portion pot row sack school serving set sheet
slice sort spoonful stack stick tin tray tub tube type variety
"""
# What follows these only says where, with what or for what.
_PREPOSITIONS = "at by for from in inside near on onto over to under with without"
# A rubber duck is no duck.
_NOT_REALLY = """
artificial cardboard cartoon chocolate fake inflatable lego miniature mock model origami paper plastic plush
porcelain rubber stuffed toy wooden
"""
# Colors, numbers, directions, answers: WordNet knows things of these names that nobody means.
_NO_THINGS = """
red blue green yellow black white brown gray grey purple zero one two three four five six seven eight nine
ten eleven twelve north south east west left right up down yes no good bad positive negative normal open
closed stop go male female
"""
ARTICLES = frozenset(_ARTICLES.split())
MEASURES = frozenset(_MEASURES.split())
PREPOSITIONS = frozenset(_PREPOSITIONS.split())
NOT_REALLY = frozenset(_NOT_REALLY.split())
NO_THINGS = frozenset(_NO_THINGS.split())


# Behind the name of an animal or a thing these are still about it.
_PARTS = "body face head side"
PARTS = frozenset(_PARTS.split())


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a name may mean.

    Parameters
    ----------
    candidates : tuple of Candidate
        Its possible senses, the commonest first; empty where the name is not known.
    hint : tuple of Candidate
        Possible senses of a word that the name itself adds, in brackets or behind a comma or slash, to
        say which of its senses is meant.
    """

    candidates: tuple[Candidate, ...] = ()
    hint: tuple[Candidate, ...] = ()


class NameReader:
    """Finds the senses that a name may have.

    Parameters
    ----------
    index : WordIndex
        Looks up single words and compounds.
    """

    def __init__(self, index: WordIndex) -> None:
        self._index = index

    def read(self, name: str) -> Reading:
        """Return the senses that a name may have.

        Tried in this order: the name as it stands, in the singular, without article; what a measure
        measures ("cup of coffee"); what stands before a preposition ("man in a suit"); a word with
        what it is a kind of behind ("crane bird"); the last words ("red apple"). Words in brackets
        or behind a comma or slash narrow the senses down where they can ("crane (machine)"). A WordNet id is
        a name too.

        Parameters
        ----------
        name : str
            Any text.

        Returns
        -------
        Reading
            Without candidates where the name is not known.
        """
        if len(name) > MAX_NAME_CHARS:
            return Reading()
        if re.fullmatch(r"n[0-9]{8}", name):
            return Reading(candidates=tuple(self._index.find_id(int(name[1:]))))
        notes = re.findall(r"\(([^()]*)\)", name)
        main, *others = re.split(r"[,/]", re.sub(r"\([^()]*\)", " ", name))
        words = split_words(main)
        if not 1 <= len(words) <= MAX_WORDS or (len(words) == 1 and words[0].casefold() in NO_THINGS):
            return Reading()
        candidates = self._read_words(words)
        hint: list[Candidate] = []
        for note in [*notes, *others]:
            narrowed = self._narrow(candidates, note)
            note_words = split_words(note)
            if narrowed:
                candidates = narrowed
            elif not hint and 1 <= len(note_words) <= MAX_WORDS:
                hint = self._read_words(note_words)
        return Reading(candidates=tuple(candidates), hint=tuple(hint))

    def _read_words(self, words: Sequence[str]) -> list[Candidate]:
        """Return the senses of words that belong together."""
        found = self._find_phrase(words)
        if found:
            return found
        lower = [word.casefold() for word in words]
        if len(words) > 1 and lower[0] in ARTICLES:
            return self._read_words(words[1:])
        unnumbered = re.sub(r"[0-9]+$", "", words[-1])
        if unnumbered != words[-1] and (unnumbered or len(words) > 1):
            return self._read_words([*words[:-1], unnumbered] if unnumbered else words[:-1])
        if len(words) == 1:
            parts = [part for part in words[0].split("-") if part]
            return self._read_compound(parts) if len(parts) > 1 else []
        if not {"and", "&", "or"}.isdisjoint(lower):
            return []
        if "of" in lower[1:-1]:
            at = lower.index("of", 1)
            is_measure = not MEASURES.isdisjoint([lower[at - 1], *singulars(lower[at - 1])])
            return self._read_words(words[at + 1 :] if is_measure else words[:at])
        for at, word in enumerate(lower):
            if word in PREPOSITIONS:
                return self._read_words(words[:at]) if at else []
        return self._read_compound(words)

    def _read_compound(self, words: Sequence[str]) -> list[Candidate]:
        """Return the senses of at least two words that the glossary does not have as a whole."""
        narrowed = self._narrow(self._find_phrase(words[:-1]), words[-1])
        if narrowed:
            return narrowed
        if words[-1].casefold() in PARTS:
            return self._read_words(words[:-1])
        for start in range(1, len(words)):
            if words[start - 1].casefold() in NOT_REALLY:
                return []
            found = self._find_phrase(words[start:])
            if found:
                return found
        return []

    def _find_phrase(self, words: Sequence[str]) -> list[Candidate]:
        """Return the senses of words that the glossary has as a whole, in the singular or the plural."""
        exact = self._index.find(" ".join(words))
        for other in singulars(words[-1]):
            found = self._index.find(" ".join([*words[:-1], other]))
            if found:
                return _merge(exact, found)
        for other in plurals(words[-1]):
            exact = exact or self._index.find(" ".join([*words[:-1], other]))
        return exact

    def _narrow(self, candidates: list[Candidate], note: str) -> list[Candidate]:
        """Return the candidates that have the words of `note` among their words or kinds, as meant."""
        wanted = {letters(note), *(letters(form) for form in singulars(note.strip()))} - {""}
        return [
            dataclasses.replace(candidate, is_meant=True)
            for candidate in candidates
            if wanted & self._words_about(candidate.sense)
        ]

    def _words_about(self, sense: int) -> set[str]:
        """Return the letters of all words of a sense, of parts of these, and of all that it is a kind of."""
        about: set[str] = set()
        for word, _, _ in self._index.words_of(sense):
            about.add(letters(word))
            about.update(letters(part) for part in word.split()[:-1])
        for level in self._index.ancestors_of(sense):
            about.update(letters(word) for row in level for word, _, _ in self._index.words_of(row))
        return about


def _merge(exact: list[Candidate], singular: list[Candidate]) -> list[Candidate]:
    """Return the senses of a word itself, then those of its singular at a cost."""
    if not exact:
        return singular
    known = {candidate.sense for candidate in exact}
    more = (dataclasses.replace(candidate, cost=PLURAL_COST) for candidate in singular)
    return [*exact, *(candidate for candidate in more if candidate.sense not in known)]
