"""Cutting taught vectors down: near the exact ones, the same every time."""

import numpy as np
import pytest

from hyperclip.data.text_targets import KINDS, TextTargets
from hyperclip.errors import InputError
from hyperclip.export.taught_vectors import make_class_vectors, mean_cosine, taught_vectors
from hyperclip.export.wordnet_nouns import Synset


def make_taught(n: int = 600, dim: int = 40) -> np.ndarray:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(n, dim)) * np.linspace(1, 0.05, dim)
    rows[3] = 0
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))


def test_the_mean_over_words_is_found_by_word_and_gloss() -> None:
    kinds = np.array([KINDS.index(kind) for kind in ("sentences", "sentences", "meanings", "names")])
    vectors = np.array([[1, 0], [0, 1], [1, 0], [1, 0]], np.float16)
    targets = TextTargets(["cat: a pet", "puss: a pet", "cat: a kind of animal", "cat"], kinds, vectors, "{}")
    cat = Synset(wnid="n1", lemmas=("cat", "puss", "tom"), ranks=(1, 1, 1), gloss="a pet", kind="animal")
    dog = Synset(wnid="n2", lemmas=("cat",), ranks=(2,), gloss="another thing", kind="animal")

    taught = taught_vectors([cat, dog], targets)

    np.testing.assert_allclose(taught, [[np.sqrt(0.5), np.sqrt(0.5)], [0, 0]])


def test_more_numbers_come_nearer() -> None:
    taught = make_taught()
    few, many = (mean_cosine(make_class_vectors(taught, class_dim=d), taught) for d in (6, 30))
    assert few < many
    assert many > 0.97


def test_zeros_stay_without_a_vector_and_the_bytes_are_the_same_again() -> None:
    taught = make_taught()
    one, two = (make_class_vectors(taught, class_dim=20) for _ in range(2))
    assert one.of(3) is None
    assert one.packed == two.packed
    assert np.array_equal(one.basis, two.basis)


@pytest.mark.parametrize("class_dim", [0, 7, 42, 194])
def test_lengths_that_cannot_be_stored_are_refused(class_dim: int) -> None:
    with pytest.raises(InputError, match="try 128"):
        make_class_vectors(make_taught(), class_dim=class_dim)
