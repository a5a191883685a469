"""What is left out of a glossary; the words here are stand-ins."""

import hashlib

import pytest

from hyperclip.export import offensive, offensive_words
from hyperclip.export.offensive import is_rude, remove_offensive
from hyperclip.export.wordnet_nouns import Synset


def make_synset(wnid: str, gloss: str, kind: str, **words: int) -> Synset:
    return Synset(wnid=wnid, lemmas=tuple(words), ranks=tuple(words.values()), gloss=gloss, kind=kind)


def hashed(word: str) -> str:
    return hashlib.sha256(word.encode()).hexdigest()[:12]


@pytest.mark.parametrize(
    "gloss",
    [
        "(ethnic slur) offensive term for somebody",
        "a vulgar term for somebody",
        "(slang) somebody",
        "informal terms for a (young) woman",
        "a disparaging term for small people",
        "uncomplimentary terms for a policeman",
        "a person who seduces others",
    ],
)
def test_insults_of_people_are_left_out(gloss: str) -> None:
    assert remove_offensive([make_synset("n1", gloss, "person", flurbl=1)], {}) == []


@pytest.mark.parametrize(
    ("gloss", "kind"),
    [
        ("an informal term for a father", "person"),
        ("(football) an offensive end who lines up close to the tackle", "person"),
        ('a somebody; "the word is a slur"', "person"),
        ("a herb with an offensive smell", "plant"),
    ],
)
def test_what_only_mentions_offense_stays(gloss: str, kind: str) -> None:
    synset = make_synset("n1", gloss, kind, flurbl=1)
    assert remove_offensive([synset], {}) == [synset]


def test_families_of_insults_go_with_all_below_them() -> None:
    root = offensive.OFFENSIVE_FAMILIES[0]
    synsets = [
        make_synset("n2", "somebody", "person", flurbl=1),
        make_synset("n3", "somebody", "person", other=1),
    ]
    assert remove_offensive(synsets, {"n2": ["n1"], "n1": [root], "n3": []}) == synsets[1:]


def test_listed_words_go_and_the_rest_of_the_synset_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offensive, "ALWAYS", frozenset([hashed("flurbl")]))
    monkeypatch.setattr(offensive, "OF_PEOPLE", frozenset([hashed("drossel")]))
    plant = make_synset("n1", "a plant", "plant", flurbl=1, Flurbls=1, herb=1, drossel=1)
    person = make_synset("n2", "somebody", "person", drossel=2, worker=1)
    kept = remove_offensive([plant, person], {})
    assert [synset.lemmas for synset in kept] == [("herb", "drossel"), ("worker",)]


def test_words_for_private_parts_stay_only_where_they_mean_nothing_more_common() -> None:
    synset = make_synset("n1", "a reproductive gland", "body", testis=1, nut=7)
    assert remove_offensive([synset], {})[0].lemmas == ("testis",)


def test_rude_words_for_harmless_things_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offensive, "NOT_SHOWN", frozenset([hashed("flurbl")]))
    assert is_rude("wild flurbl")
    assert not is_rude("wild horse")


def test_the_lists_hold_hashes_alone() -> None:
    for words in (offensive_words.ALWAYS, offensive_words.OF_PEOPLE, offensive_words.NOT_SHOWN):
        assert words
        assert all(len(word) == 12 and int(word, 16) >= 0 for word in words)
