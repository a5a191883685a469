"""Spelling and plurals."""

import pytest

from hyperclip.runtime.word_forms import letters, letters_of_all, plurals, singulars


@pytest.mark.parametrize(
    ("plural", "singular"),
    [
        ("dogs", "dog"), ("boxes", "box"), ("churches", "church"), ("cherries", "cherry"),
        ("movies", "movie"),
        ("knives", "knife"), ("leaves", "leaf"), ("gloves", "glove"), ("mice", "mouse"), ("geese", "goose"),
        ("feet", "foot"), ("teeth", "tooth"), ("children", "child"), ("oxen", "ox"), ("people", "person"),
        ("firemen", "fireman"), ("dormice", "dormouse"), ("cacti", "cactus"), ("larvae", "larva"),
        ("bacteria", "bacterium"), ("matrices", "matrix"), ("potatoes", "potato"), ("skis", "ski"),
        ("buses", "bus"), ("crises", "crisis"), ("gateaux", "gateau"), ("DOGS", "DOG"),
    ],
)  # fmt: skip
def test_the_singular_is_among_the_guesses(plural: str, singular: str) -> None:
    assert singular in singulars(plural)


@pytest.mark.parametrize("word", ["bus", "gas", "grass", "🐱", "", "s", "-s"])
def test_short_words_and_signs_have_no_singular(word: str) -> None:
    assert all(len(guess) > 2 for guess in singulars(word))
    assert "s" not in [letters(guess) for guess in singulars(word)]


def test_signs_have_no_plural() -> None:
    assert plurals("🐱") == []
    assert plurals("scissor") == ["scissors", "scissores"]


def test_all_at_once_is_the_same_as_one_by_one() -> None:
    words = [
        "Jack-o'-lantern",
        "Crème brûlée",
        "hot dog",
        "ice-cream",
        "Straße",
        "ﬁsh",
        "İstanbul",
        "猫",
        "",
        "3D printer",
    ]
    assert letters_of_all(words) == [letters(word) for word in words]
    assert letters_of_all([]) == []
