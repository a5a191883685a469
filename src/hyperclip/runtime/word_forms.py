"""Spelling: what makes two words the same, and which words a plural may come from. Strings only."""

import re
import unicodedata
from collections.abc import Sequence

__all__ = ["letters", "letters_of_all", "plurals", "singulars", "split_words"]

IRREGULAR = {
    "men": "man", "women": "woman", "children": "child", "people": "person", "oxen": "ox", "mice": "mouse",
    "lice": "louse", "dice": "die", "geese": "goose", "feet": "foot", "teeth": "tooth", "brethren": "brother",
    "quizzes": "quiz", "wives": "wife", "knives": "knife", "lives": "life", "leaves": "leaf",
    "hooves": "hoof", "kine": "cow", "pence": "penny",
}  # fmt: skip

# Ending of a plural -> what may stand there in the singular, the likeliest first. Whether the word
# exists is for the glossary to say.
ENDINGS = (
    ("men", ("man",)),
    ("mice", ("mouse",)),
    ("geese", ("goose",)),
    ("feet", ("foot",)),
    ("teeth", ("tooth",)),
    ("people", ("person",)),
    ("children", ("child",)),
    ("ies", ("y", "ie")),
    ("ves", ("f", "fe", "ve")),
    ("ices", ("ix", "ex", "ice")),
    ("es", ("e", "", "is")),
    ("s", ("",)),
    ("i", ("us",)),
    ("ae", ("a",)),
    ("a", ("um", "on")),
    ("eaux", ("eau",)),
)
MIN_STEM = 2


def letters(text: str) -> str:
    """Return what tells words apart: letters and digits without case, accents, spaces and hyphens.

    Examples
    --------
    >>> letters("Jack-o'-lantern"), letters("Crème brûlée"), letters("hot_dog")
    ('jackolantern', 'cremebrulee', 'hotdog')
    """
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", text).casefold()))


def letters_of_all(words: Sequence[str]) -> list[str]:
    """Return `letters` of each of many words without line breaks, a hundred times as fast.

    Examples
    --------
    >>> letters_of_all(["Jack-o'-lantern", "hot dog"])
    ['jackolantern', 'hotdog']
    """
    text = unicodedata.normalize("NFKD", "\n".join(words)).casefold()
    marks = {ord(mark): None for mark in set(text) if not mark.isalnum() and mark != "\n"}
    return text.translate(marks).split("\n") if words else []


def split_words(text: str) -> list[str]:
    """Return the words of a name; spaces and underscores separate them.

    Examples
    --------
    >>> split_words("cup_of  coffee")
    ['cup', 'of', 'coffee']
    """
    return [word for word in re.split(r"[\s_]+", text) if word]


def singulars(word: str) -> list[str]:
    """Return words that `word` may be the plural of, the likeliest first; not all of them exist.

    Examples
    --------
    >>> singulars("wolves")[:2], singulars("mice")[0], singulars("cacti")[0], singulars("grass")
    (['wolf', 'wolfe'], 'mouse', 'cactus', [])
    """
    if not letters(word):
        return []
    lower = word.casefold()
    found: list[str] = []
    for ending, replacements in ENDINGS:
        stem = word[: len(word) - len(ending)]
        if lower.endswith(ending) and len(stem) >= MIN_STEM and not lower.endswith("ss"):
            found += [stem + replacement for replacement in replacements]
    known = [IRREGULAR[lower]] if lower in IRREGULAR else []
    return list(dict.fromkeys([*known, *(singular for singular in found if len(singular) > MIN_STEM)]))


def plurals(word: str) -> list[str]:
    """Return regular plurals of `word`, for things that have no singular: "scissor", "binocular"."""
    return [word + "s", word + "es"] if len(letters(word)) > MIN_STEM else []
