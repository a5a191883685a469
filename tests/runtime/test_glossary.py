"""Which meaning is chosen, and what is said about it."""

import random

import pytest

from hyperclip.runtime.glossary import Glossary, meaning_text
from tiny_glossary import SENSES, make_glossary


@pytest.fixture(scope="module")
def glossary() -> Glossary:
    return Glossary.read(make_glossary())


def choose_ids(glossary: Glossary, *names: str) -> list[str | None]:
    return [None if meaning is None else meaning.wnid for meaning in glossary.choose(names)]


@pytest.mark.parametrize(
    ("names", "wnid"),
    [
        (("mouse", "cat", "dog"), "n02330245"),
        (("mouse", "keyboard", "monitor"), "n03793489"),
        (("crane", "heron", "goose"), "n02012849"),
        (("crane", "bulldozer", "keyboard"), "n03126707"),
        (("crane", "person", "cook", "man"), "n10271216"),
        (("banana", "apple", "coffee"), "n07753592"),
    ],
)
def test_the_other_names_choose_the_sense(glossary: Glossary, names: tuple[str, ...], wnid: str) -> None:
    assert choose_ids(glossary, *names)[0] == wnid


def test_the_order_of_names_does_not_change_what_is_chosen(glossary: Glossary) -> None:
    words = sorted({word for _, words, *_ in SENSES for word in words})
    rng = random.Random(5)
    for _ in range(60):
        names = rng.sample(words, rng.randint(2, 12))
        shuffled = rng.sample(names, len(names))
        chosen = dict(zip(names, glossary.choose(names), strict=True))
        assert dict(zip(shuffled, glossary.choose(shuffled), strict=True)) == chosen


def test_names_that_are_listed_twice_get_the_same_meaning(glossary: Glossary) -> None:
    first, _, second = glossary.choose(["mouse", "keyboard", "mouse"])
    assert first == second
    assert first is not None
    assert first.wnid == "n03793489"


def test_other_spellings_of_a_name_are_no_second_voice(glossary: Glossary) -> None:
    once = choose_ids(glossary, "mouse", "cat", "keyboard")
    assert choose_ids(glossary, "mouse", "cat", "keyboard", "Mouse", "MOUSE", "mice")[:3] == once


def test_described_names_get_none_but_still_choose_for_the_others(glossary: Glossary) -> None:
    names = ["mouse", "keyboard", "monitor"]
    mouse, keyboard, monitor = glossary.choose(names, described={"keyboard", "monitor"})
    assert keyboard is None
    assert monitor is None
    assert mouse is not None
    assert mouse.wnid == "n03793489"


def test_no_names_and_unknown_names_are_no_error(glossary: Glossary) -> None:
    assert glossary.choose([]) == []
    assert (
        glossary.choose(["flurbl", "", "  ", "猫", "🐱", "a" * 5000, "\n", "()", ",", "of", "n99999999"])
        == [None] * 11
    )


def test_one_name_alone_gets_its_most_plausible_sense(glossary: Glossary) -> None:
    assert choose_ids(glossary, "mouse") == ["n02330245"]
    assert choose_ids(glossary, "crane") == ["n10271216"]


def test_a_word_whose_commonest_sense_is_no_thing_is_believed_only_where_it_fits(glossary: Glossary) -> None:
    assert choose_ids(glossary, "spring", "summer", "autumn") == [None, None, None]
    assert choose_ids(glossary, "spring", "switch", "machine")[0] == "n04288272"


def test_the_text_says_synonyms_and_then_kinds(glossary: Glossary) -> None:
    mouse = glossary.choose(["mouse", "keyboard", "monitor"])[0]
    assert mouse is not None
    assert mouse.synonyms == ("computer mouse",)
    assert mouse.kind_of == ("electronic device",)
    assert mouse.rank == 4
    assert meaning_text("mouse", mouse) == "mouse: computer mouse, a kind of electronic device"


def test_the_nearest_kind_is_followed_by_a_basic_one(glossary: Glossary) -> None:
    meaning = glossary.explain("golden retriever", "n02099601")
    assert meaning is not None
    assert meaning.text == "a kind of dog, mammal"


def test_scientific_names_are_found_but_not_shown(glossary: Glossary) -> None:
    dog = glossary.choose(["Canis familiaris", "cat"])[0]
    assert dog is not None
    assert dog.text == "dog, domestic dog, a kind of mammal"
    other = glossary.choose(["dog", "cat"])[0]
    assert other is not None
    assert "Canis" not in other.text


def test_senses_lists_all_meanings_the_commonest_first(glossary: Glossary) -> None:
    assert [meaning.rank for meaning in glossary.senses("mouse")] == [1, 3, 4]
    assert glossary.senses("flurbl") == []


def test_what_says_nothing_is_no_meaning(glossary: Glossary) -> None:
    assert glossary.choose(["entity", "cat"])[0] is None


def test_explain_takes_any_name_and_only_wordnet_ids(glossary: Glossary) -> None:
    meaning = glossary.explain("Minka", "n02121620")
    assert meaning is not None
    assert meaning.text == "cat, true cat, a kind of mammal"
    assert glossary.explain("cat", "cat") is None
    assert glossary.words("n02121620") == ["cat", "true cat"]
    assert glossary.words("cat") == []


@pytest.mark.parametrize("name", ["crane (machine)", "crane (bulldozer)", "crane, machine"])
def test_a_hint_in_the_name_decides_whatever_the_others_are(glossary: Glossary, name: str) -> None:
    assert choose_ids(glossary, name, "cat", "banana", "coffee", "cow")[0] == "n03126707"


@pytest.mark.parametrize(
    ("plural", "singular"), [("cats", "cat"), ("bulldozers", "bulldozer"), ("Cows", "cow")]
)
def test_plurals_get_the_meaning_of_the_singular(glossary: Glossary, plural: str, singular: str) -> None:
    others = ["banana", "keyboard"]
    assert choose_ids(glossary, plural, *others) == choose_ids(glossary, singular, *others)
