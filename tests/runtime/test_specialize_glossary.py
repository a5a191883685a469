"""With a glossary in the bundle, names are read with the meaning that fits the other names."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from hyperclip.bundle import write_bundle
from hyperclip.errors import BundleError
from hyperclip.runtime.class_vectors import ClassVectors, pack_class_vectors
from hyperclip.runtime.specialize import Model, load
from tiny_bundle import TEXT_DIM, make_files, make_manifest

glossary_format = pytest.importorskip("hyperclip.runtime.glossary_format")

# Four senses, two worlds: animals look along the first axis, devices along the second.
LEMMAS = ("mouse", "cat", "keyboard", "computer mouse")
WNIDS = [100, 200, 300, 400]  # mouse the animal, cat, keyboard, mouse the device
WORDS = [[0], [1], [2], [3, 0]]
RANKS = [[1], [1], [1], [1, 2]]


def make_glossary(class_vectors: ClassVectors | None = None) -> bytes:
    """Return a glossary in which "mouse" is an animal first and a device second."""
    vectors = np.zeros((4, 4), np.int8)
    vectors[[0, 1], 0] = 7
    vectors[[2, 3], 1] = 7
    return bytes(
        glossary_format.pack_glossary(
            glossary_format.GlossaryTables(
                lemmas=LEMMAS,
                wnids=np.array(WNIDS, np.uint32),
                flags=np.zeros(4, np.uint8),
                lemma_counts=np.array([len(words) for words in WORDS], np.uint8),
                lemma_ids=np.array(list(itertools.chain(*WORDS)), np.uint32),
                ranks=np.array(list(itertools.chain(*RANKS)), np.uint8),
                parent_counts=np.array([1, 0, 0, 1], np.uint8),
                parents=np.array([1, 2], np.uint32),
                packed_vectors=glossary_format.pack_vectors(vectors),
                dim=4,
                class_vectors=class_vectors,
            )
        )
    )


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """The tiny model with a glossary."""
    write_bundle(tmp_path / "tiny", make_manifest(), {**make_files(), "glossary.bin": make_glossary()})
    return load(tmp_path / "tiny", n_threads=1)


def test_the_other_names_choose_the_meaning(model: Model) -> None:
    beside_cat = model.specialize(["mouse", "cat"]).metadata
    beside_keyboard = model.specialize(["mouse", "keyboard"]).metadata
    assert beside_cat.meanings[0].wnid == "n00000100"
    assert beside_keyboard.meanings[0].wnid == "n00000400"
    assert beside_keyboard.meanings[0].source == "glossary"
    assert "computer mouse" in str(beside_keyboard.meanings[0].text)


def test_the_user_has_the_last_word(model: Model) -> None:
    metadata = model.specialize(["mouse", "keyboard"], descriptions={"Mouse": "a shy person"}).metadata
    assert metadata.meanings[0].text == "a shy person"
    assert metadata.meanings[0].source == "user"
    assert metadata.meanings[0].wnid is None


def test_without_the_glossary_names_are_only_names(model: Model) -> None:
    metadata = model.specialize(["mouse", "keyboard"], use_glossary=False).metadata
    assert [meaning.source for meaning in metadata.meanings] == ["none", "none"]


def test_an_unknown_name_passes_through(model: Model) -> None:
    metadata = model.specialize(["mouse", "xyzzy"]).metadata
    assert [meaning.source for meaning in metadata.meanings] == ["glossary", "none"]


def test_the_meaning_is_read_by_the_text_encoder(model: Model) -> None:
    names = ["mouse", "keyboard"]
    with_meaning, without = (
        model.generate(model.texts(names, use_glossary=use_glossary)).head for use_glossary in (True, False)
    )
    assert np.abs(with_meaning[0] - without[0]).max() > 1e-3


def test_the_order_of_names_changes_no_meaning(model: Model) -> None:
    names = ["mouse", "keyboard", "cat"]
    one, two = model.texts(names), model.texts(names[::-1])
    assert one.meanings == two.meanings[::-1]


def test_a_damaged_glossary_stops_loading(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bad", make_manifest(), {**make_files(), "glossary.bin": b"not a glossary"})
    with pytest.raises(BundleError):
        load(tmp_path / "bad")


def make_taught(text_dim: int) -> ClassVectors:
    """Return one vector a sense, of the given length."""
    rng = np.random.default_rng(3)
    return pack_class_vectors(
        rng.integers(1, 8, (4, 2)).astype(np.int8), rng.normal(size=(2, text_dim)).astype(np.float16)
    )


def test_taught_vectors_make_the_classes_and_change_no_shown_meaning(tmp_path: Path, model: Model) -> None:
    files = {**make_files(), "glossary.bin": make_glossary(make_taught(TEXT_DIM))}
    write_bundle(tmp_path / "taught", make_manifest(), files)
    taught = load(tmp_path / "taught", n_threads=1)
    names = ["mouse", "keyboard", "xyzzy"]

    texts, plain = taught.texts(names), model.texts(names)

    assert texts.meanings == plain.meanings
    assert len(texts.all_texts()) == len(plain.all_texts()) - 1
    assert np.abs(taught.generate(texts).head - model.generate(plain).head).max() > 1e-3
    assert taught.specialize(names).metadata.meanings == model.specialize(names).metadata.meanings
    described = taught.texts(names, descriptions={"mouse": "a shy person"})
    assert described.meaning_vectors == (None, None, None)
    assert described.meaning_texts[0] == "mouse: a shy person"


def test_taught_vectors_of_another_length_stop_loading(tmp_path: Path) -> None:
    files = {**make_files(), "glossary.bin": make_glossary(make_taught(TEXT_DIM + 1))}
    write_bundle(tmp_path / "bad", make_manifest(), files)
    with pytest.raises(BundleError, match=f"of {TEXT_DIM + 1} numbers; expected {TEXT_DIM}"):
        load(tmp_path / "bad")
