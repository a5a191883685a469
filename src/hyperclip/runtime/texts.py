"""From class names to the texts that the text encoder reads, and the weight of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from hyperclip.bundle.strict import quote
from hyperclip.errors import InputError
from hyperclip.runtime.metadata import ClassMeaning
from hyperclip.runtime.names import check_class_names, check_texts, same_name_key

if TYPE_CHECKING:
    from hyperclip.runtime.glossary import Glossary

__all__ = ["MEANING_WEIGHT", "NAME_SHARE", "ClassTexts", "check_templates", "collect_texts"]

Value = TypeVar("Value")
FloatArray = npt.NDArray[np.float32]
MAX_TEMPLATES = 1000
# Of a meaning, against all name texts of its class together. With a trunk's own concepts taken away,
# ten-way tasks gained one point over equal weights; a meaning alone gives no more, and loses the name.
MEANING_WEIGHT = 2.0
# Of the name texts, against the vector that the text encoder was taught for a sense of the glossary. The
# taught vector alone is best (half and half: two points less); the share lets two names of one sense
# differ a little, and gives templates and phrasings a say.
NAME_SHARE = 0.15
NO_MEANING = ClassMeaning(text=None, wnid=None, source="none")


@dataclass(frozen=True, kw_only=True)
class ClassTexts:
    """The classes of a task and what the text encoder reads about them."""

    class_names: tuple[str, ...]
    meanings: tuple[ClassMeaning, ...]
    phrasings: tuple[tuple[str, ...], ...]
    templates: tuple[str, ...]
    name_texts: tuple[tuple[str, ...], ...]  # of each class: its names in every template
    meaning_texts: tuple[str | None, ...]  # of each class: the name with its meaning, where one is read
    meaning_vectors: tuple[FloatArray | None, ...] = field(default=(), repr=False, compare=False)
    """Of each class: the vector that its meaning has in the glossary, so that no text of it is read."""

    def all_texts(self) -> list[str]:
        """Return every text that is read, class by class."""
        return [
            text
            for names, meaning in zip(self.name_texts, self.meaning_texts, strict=True)
            for text in (*names, *([] if meaning is None else [meaning]))
        ]

    def mean_by_class(self, rows: FloatArray) -> FloatArray:
        """Return each class's vector: the mean of its texts', or its meaning's with a share of its names.

        A meaning that is read weighs `MEANING_WEIGHT` times the names; beside a meaning that has a vector
        in the glossary, the names count `NAME_SHARE`.

        Parameters
        ----------
        rows : ndarray of shape (n_texts, text_dim), float32
            Vectors of `all_texts`.

        Returns
        -------
        ndarray of shape (n_classes, text_dim), float32
            Not of unit length.
        """
        means = np.zeros((len(self.class_names), rows.shape[1]), np.float32)
        start = 0
        for index, names in enumerate(self.name_texts):
            stop = start + len(names)
            means[index] = rows[start:stop].mean(axis=0, dtype=np.float64)
            taught = self.meaning_vectors[index] if self.meaning_vectors else None
            if taught is not None:
                means[index] = _unit(NAME_SHARE * _unit(means[index]) + taught)
            elif self.meaning_texts[index] is not None:
                means[index] = (means[index] + MEANING_WEIGHT * rows[stop]) / (1 + MEANING_WEIGHT)
                stop += 1
            start = stop
        return means


def _unit(vector: FloatArray) -> FloatArray:
    """Return a vector at unit length; zeros stay zeros."""
    return vector / np.float32(max(float(np.linalg.norm(vector)), 1e-9))


def check_templates(templates: Sequence[str]) -> tuple[str, ...]:
    """Return the templates if each holds ``{}`` once; raises `InputError` otherwise."""
    if isinstance(templates, str):
        templates = [templates]
    if not 1 <= len(templates) <= MAX_TEMPLATES:
        raise InputError(
            f"There are {len(templates)} templates; expected 1 to {MAX_TEMPLATES}; '{{}}' is the plain name."
        )
    check_texts(templates, what="template")
    for template in templates:
        if template.count("{}") != 1:
            raise InputError(
                f"The template {quote(template)} holds '{{}}' {template.count('{}')} times; expected once; "
                "put it where the name goes."
            )
    return tuple(templates)


def collect_texts(
    class_names: Sequence[str],
    *,
    templates: Sequence[str],
    descriptions: Mapping[str, str],
    phrasings: Mapping[str, Sequence[str]],
    glossary: "Glossary | None",
) -> ClassTexts:
    """Decide what the text encoder reads for each class.

    Parameters
    ----------
    class_names : sequence of str
        As `check_class_names` wants them.
    templates : sequence of str
        Each holds ``{}`` once, where the name goes.
    descriptions : mapping of str to str
        Class name to the user's own meaning, which wins over the glossary's.
    phrasings : mapping of str to sequence of str
        Class name to other words for the same class.
    glossary : Glossary or None
        Where meanings come from for names that have no description.

    Returns
    -------
    ClassTexts
        In the order of the names.

    Raises
    ------
    InputError
        If names, templates, descriptions or phrasings cannot be used.
    """
    names = check_class_names(class_names)
    templates = check_templates(templates)
    described = _by_class(descriptions, names, what="description")
    words = _by_class(phrasings, names, what="list of phrasings")
    check_texts(list(described.values()), what="meaning")
    for name, others in words.items():
        if isinstance(others, str):
            raise InputError(
                f"The phrasings of {quote(name)} are {quote(others)}; expected a list; write "
                f"[{quote(others)}]."
            )
        check_texts(others, what=f"phrasing of {quote(name)}")
    meanings = _choose_meanings(names, described, glossary)
    all_words = [(name.strip(), *(word.strip() for word in words.get(name, ()))) for name in names]
    return ClassTexts(
        class_names=names,
        meanings=tuple(meaning for meaning, _, _ in meanings),
        phrasings=tuple(tuple(words.get(name, ())) for name in names),
        templates=templates,
        name_texts=tuple(
            tuple(template.replace("{}", word) for word in group for template in templates)
            for group in all_words
        ),
        meaning_texts=tuple(text for _, text, _ in meanings),
        meaning_vectors=tuple(vector for _, _, vector in meanings),
    )


def _by_class(values: Mapping[str, Value], names: Sequence[str], *, what: str) -> dict[str, Value]:
    """Return the values under the names as typed; a key that is no class name is a mistake."""
    by_key = {same_name_key(name): name for name in names}
    result: dict[str, Value] = {}
    for key, value in values.items():
        name = by_key.get(same_name_key(key)) if isinstance(key, str) else None
        if name is None:
            raise InputError(
                f"There is a {what} for {quote(key)}, which is not among the class names; expected one of "
                "them; "
                "correct its spelling."
            )
        result[name] = value
    return result


def _choose_meanings(
    names: Sequence[str], described: Mapping[str, str], glossary: "Glossary | None"
) -> list[tuple[ClassMeaning, str | None, FloatArray | None]]:
    """Return for each name its meaning, and the text in which it is read or the vector that it has."""
    chosen = [None] * len(names) if glossary is None else glossary.choose(names, described=set(described))
    result: list[tuple[ClassMeaning, str | None, FloatArray | None]] = []
    for name, meaning in zip(names, chosen, strict=True):
        if name in described:
            text = described[name].strip()
            shown = ClassMeaning(text=text, wnid=None, source="user")
            result.append((shown, f"{name.strip()}: {text}", None))
        elif meaning is None:
            result.append((NO_MEANING, None, None))
        else:
            from hyperclip.runtime.glossary import meaning_text

            shown = ClassMeaning(text=meaning.text, wnid=meaning.wnid, source="glossary")
            read = meaning_text(name.strip(), meaning) if meaning.vector is None else None
            result.append((shown, read, meaning.vector))
    return result
