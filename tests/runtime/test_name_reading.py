"""Names as people write them are found in the glossary, and others are left alone."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperclip.runtime.glossary_format import unpack_glossary
from hyperclip.runtime.name_reading import NameReader
from hyperclip.runtime.word_index import WordIndex
from tiny_glossary import make_glossary

TABLES = unpack_glossary(make_glossary())
READER = NameReader(WordIndex(TABLES))


def read_ids(name: str) -> list[int]:
    return [int(TABLES.wnids[candidate.sense]) for candidate in READER.read(name).candidates]


@pytest.mark.parametrize(
    ("name", "wnid"),
    [
        ("cat", 2121620),
        ("Cat", 2121620),
        ("CAT", 2121620),
        ("  cat ", 2121620),
        ("a cat", 2121620),
        ("the  Cat", 2121620),
        ("cats", 2121620),
        ("cat 1", 2121620),
        ("cat_2", 2121620),
        ("cat3", 2121620),
        ("n02121620", 2121620),
        ("hot_dog", 7697537),
        ("hot-dog", 7697537),
        ("hotdog", 7697537),
        ("Hot Dogs", 7697537),
        ("golden retrievers", 2099601),
        ("jack o lantern", 3590841),
        ("Jack-o'-lanterns", 3590841),
        ("crème brûlée", 7619409),
        ("geese", 1855672),
        ("wolves", 2114100),
        ("men", 10287213),
        ("people", 7846),
        ("scissor", 4148054),
    ],
)
def test_spellings_and_plurals_are_found(name: str, wnid: int) -> None:
    assert read_ids(name)[0] == wnid


@pytest.mark.parametrize(
    ("name", "wnid"),
    [
        ("cup of coffee", 7929519),
        ("two cups of coffee", 7929519),
        ("a bunch of bananas", 7753592),
        ("pair of scissors", 4148054),
        ("man in a suit", 10287213),
        ("dog on the beach", 2084071),
        ("red apple", 7739125),
        ("golden retriever dog", 2099601),
        ("cat face", 2121620),
        ("half-eaten banana", 7753592),
    ],
)
def test_longer_names_are_read_by_the_word_that_counts(name: str, wnid: int) -> None:
    assert read_ids(name)[0] == wnid


@pytest.mark.parametrize(
    "name",
    [
        "rubber dog",
        "toy cat",
        "cat and dog",
        "cats & dogs",
        "red",
        "as",
        "nine",
        "boeing 747",
        "in the dark",
        "of",
        "-",
    ],
)
def test_names_that_would_mislead_are_left_alone(name: str) -> None:
    assert read_ids(name) == []


@pytest.mark.parametrize("name", ["crane (bird)", "crane bird", "crane, heron, bird", "crane/wading bird"])
def test_a_kind_beside_the_name_decides(name: str) -> None:
    assert read_ids(name) == [2012849]


def test_a_note_that_is_no_kind_is_kept_as_a_hint() -> None:
    reading = READER.read("crane (bulldozer)")
    assert len(reading.candidates) == 3
    assert [int(TABLES.wnids[candidate.sense]) for candidate in reading.hint] == [2916179]


def test_the_senses_of_a_singular_follow_those_of_the_plural_at_a_cost() -> None:
    spectacles, drinking_glass = READER.read("glasses").candidates
    assert (int(TABLES.wnids[spectacles.sense]), spectacles.cost) == (4272054, 0.0)
    assert int(TABLES.wnids[drinking_glass.sense]) == 3438257
    assert drinking_glass.cost > 0


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60) | st.text("cat dog of(),/-_'01sies", max_size=40))
def test_any_text_can_be_read(name: str) -> None:
    reading = READER.read(name)
    assert len(set(reading.candidates)) == len(reading.candidates)
    assert all(candidate.rank >= 1 and candidate.cost >= 0 for candidate in reading.candidates)


def test_a_sense_that_the_name_asks_for_is_marked_as_meant() -> None:
    assert [candidate.is_meant for candidate in READER.read("crane (bird)").candidates] == [True]
    assert not any(candidate.is_meant for candidate in READER.read("crane").candidates)


def test_another_spelling_of_the_first_word_is_the_first_word() -> None:
    for name in ("jack-o'-lantern", "jack o lantern"):
        assert [candidate.is_first_word for candidate in READER.read(name).candidates] == [True]
    assert not READER.read("spectacles").candidates[0].is_first_word
