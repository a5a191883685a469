"""Which texts are read for a class, and with which weight."""

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pytest

from hyperclip.errors import InputError
from hyperclip.runtime.meaning import Meaning
from hyperclip.runtime.texts import NAME_SHARE, ClassTexts, collect_texts

MOUSE = Meaning(wnid="n03793489", text="computer mouse, a device", rank=4, synonyms=(), kind_of=("device",))


class FakeGlossary:
    """Knows one word, and remembers what it was asked."""

    def __init__(self) -> None:
        self.described: set[str] = set()

    def choose(self, class_names: Sequence[str], *, described: Collection[str] = ()) -> list[Meaning | None]:
        """Return the meaning of "mouse"."""
        self.described = set(described)
        return [MOUSE if name.strip() == "mouse" and name not in described else None for name in class_names]


def collect(class_names: Sequence[str], **change: Any) -> ClassTexts:
    """Return the texts with plain defaults."""
    arguments: dict[str, Any] = {"templates": ["{}"], "descriptions": {}, "phrasings": {}, "glossary": None}
    return collect_texts(class_names, **{**arguments, **change})


def test_each_template_gets_each_word() -> None:
    texts = collect(["sofa"], templates=["{}", "a photo of a {}."], phrasings={"sofa": ["couch"]})
    assert texts.name_texts == (("sofa", "a photo of a sofa.", "couch", "a photo of a couch."),)
    assert texts.phrasings == (("couch",),)
    assert texts.meaning_texts == (None,)


def test_names_are_kept_as_typed_and_read_without_edge_space() -> None:
    texts = collect([" Cat "], descriptions={"cat": " a pet "})
    assert texts.class_names == (" Cat ",)
    assert texts.name_texts == (("Cat",),)
    assert texts.meaning_texts == ("Cat: a pet",)
    assert texts.meanings[0].text == "a pet"
    assert texts.meanings[0].source == "user"


def test_braces_in_a_name_are_only_letters() -> None:
    assert collect(["{}"], templates=["a {}!"]).name_texts == (("a {}!",),)
    assert collect(["{0.__class__}"], templates=["a {}"]).name_texts == (("a {0.__class__}",),)


def test_the_glossary_gives_what_the_user_did_not() -> None:
    pytest.importorskip("hyperclip.runtime.glossary")
    glossary = FakeGlossary()
    texts = collect(["mouse", "cat"], descriptions={"cat": "a pet"}, glossary=glossary)
    assert glossary.described == {"cat"}
    assert [meaning.source for meaning in texts.meanings] == ["glossary", "user"]
    assert texts.meanings[0].wnid == "n03793489"
    assert texts.meaning_texts[0] == "mouse: computer mouse, a device"
    own = collect(["mouse"], descriptions={"mouse": "an animal"}, glossary=glossary)
    assert own.meanings[0].text == "an animal"


def test_the_meaning_weighs_twice_as_much_as_all_name_texts() -> None:
    texts = collect(["cat", "dog"], templates=["{}", "a {}", "the {}"], descriptions={"cat": "a pet"})
    rows = np.arange(7 * 2, dtype=np.float32).reshape(7, 2)
    assert len(texts.all_texts()) == 7
    means = texts.mean_by_class(rows)
    np.testing.assert_allclose(means[0], (rows[:3].mean(axis=0) + 2 * rows[3]) / 3, rtol=1e-6)
    np.testing.assert_allclose(means[1], rows[4:].mean(axis=0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"descriptions": {"dog": "x"}}, "'dog', which is not among the class names"),
        ({"phrasings": {"dog": ["x"]}}, "'dog', which is not among the class names"),
        ({"phrasings": {"cat": "kitty"}}, r"write \['kitty'\]"),
        ({"phrasings": {"cat": [""]}}, "blank"),
        ({"phrasings": {"cat": ["x"] * 101}}, "expected at most 100"),
        ({"descriptions": {"cat": ""}}, "blank"),
        ({"descriptions": {"cat": 3}}, "expected text"),
        ({"descriptions": {"cat": "x" * 2000}}, "2000 characters"),
        ({"templates": []}, "0 templates"),
        ({"templates": ["a photo"]}, "0 times"),
        ({"templates": ["{} {}"]}, "2 times"),
        ({"templates": ["{}\n"]}, "control character"),
    ],
)
def test_unusable_arguments_are_one_sentence(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        collect(["cat"], **change)
    assert len(str(caught.value).encode()) < 1500


def test_a_meaning_with_a_vector_is_not_read_and_dominates() -> None:
    vector = np.array([0, 1], np.float32)
    mouse = dataclasses.replace(MOUSE, vector=vector)
    glossary = FakeGlossary()
    glossary.choose = lambda names, described=(): [mouse, None]  # type: ignore[method-assign,misc]
    texts = collect(["mouse", "cat"], templates=["{}", "a {}"], glossary=glossary)

    assert texts.all_texts() == ["mouse", "a mouse", "cat", "a cat"]
    assert texts.meanings[0].text == MOUSE.text
    means = texts.mean_by_class(np.array([[3, 0], [1, 0], [0, 1], [1, 0]], np.float32))

    wanted = np.array([NAME_SHARE, 1]) / np.hypot(NAME_SHARE, 1)
    np.testing.assert_allclose(means, [wanted, [0.5, 0.5]], atol=1e-6)


def test_a_description_replaces_the_vector_too() -> None:
    texts = collect(["mouse"], descriptions={"mouse": "an animal"}, glossary=FakeGlossary())
    assert texts.meaning_vectors == (None,)
    assert texts.meaning_texts == ("mouse: an animal",)
