"""Texts become ids of bounded length, whatever they hold."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from hyperclip.errors import BundleError
from hyperclip.runtime.tokenizer import TextTokenizer
from tiny_bundle import CONTEXT_LENGTH, make_manifest, make_tokenizer

SPEC = make_manifest().text
TOKENIZER = TextTokenizer(make_tokenizer(), SPEC)
PAD, UNK, CLS, SEP = range(4)


def test_encode_pads_to_the_longest_text() -> None:
    token_ids, mask = TOKENIZER.encode(["cat", "cat dog cat"])
    assert token_ids.shape == mask.shape == (2, 5)
    assert token_ids.dtype == mask.dtype == np.int64
    assert token_ids[0].tolist()[:1] + token_ids[0].tolist()[2:] == [CLS, SEP, PAD, PAD]
    assert mask.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]


def test_a_long_text_is_cut_and_keeps_its_end() -> None:
    token_ids, _ = TOKENIZER.encode(["cat " * 100])
    assert token_ids.shape == (1, CONTEXT_LENGTH)
    assert token_ids[0, 0] == CLS
    assert token_ids[0, -1] == SEP
    assert TOKENIZER.find_cut(["cat", "cat " * 100]) == ["cat " * 100]


def test_case_follows_the_bundle() -> None:
    assert TOKENIZER.encode(["CAT"])[0].tolist() == TOKENIZER.encode(["cat"])[0].tolist()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=200), min_size=1, max_size=5))
def test_any_text_fits_the_context(texts: list[str]) -> None:
    token_ids, mask = TOKENIZER.encode(texts)
    assert token_ids.shape == mask.shape
    assert token_ids.shape[1] <= CONTEXT_LENGTH
    assert (mask.sum(axis=1) >= 1).all()


@pytest.mark.parametrize("text", ["😀", "мышь", "猫", "😀 😀 cat"])
def test_text_of_unknown_letters_is_unreadable(text: str) -> None:
    assert TOKENIZER.unreadable(text)


@pytest.mark.parametrize("text", ["cat", "café", "a 😀 cat", "x-ray 7"])
def test_text_of_known_letters_is_readable(text: str) -> None:
    assert not TOKENIZER.unreadable(text)


def test_a_text_without_any_token_becomes_an_unknown_one() -> None:
    tokenizer = Tokenizer.from_str(make_tokenizer().decode())
    tokenizer.post_processor = None
    spec = dataclasses.replace(SPEC, start_token=None, end_token=None)
    bare = TextTokenizer(tokenizer.to_str().encode(), spec)
    assert bare.encode([" "])[0].tolist() == [[UNK]]
    assert bare.unreadable(" ")


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b"[]", b'{"model": {"type": "WordPiece"}}'])
def test_a_broken_tokenizer_file_is_one_sentence(data: bytes) -> None:
    with pytest.raises(BundleError, match=r"tokenizer\.json cannot be read") as caught:
        TextTokenizer(data, SPEC)
    assert len(str(caught.value).encode()) < 1500


@pytest.mark.parametrize("key", ["pad_token", "end_token"])
def test_tokens_that_the_manifest_names_must_exist(key: str) -> None:
    with pytest.raises(BundleError, match="no token"):
        TextTokenizer(make_tokenizer(), dataclasses.replace(SPEC, **{key: "<nothing>"}))
