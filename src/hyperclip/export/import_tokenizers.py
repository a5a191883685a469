"""Other libraries' tokenizers as the one file that the library `tokenizers` reads.

What a library does to a text before it splits it (cleaning, lower case, punctuation) becomes part of the
file; nobody has to remember it. Comparing token ids with the source is `import_check`'s work.
"""

from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from hyperclip.bundle.manifest import TextSpec
from hyperclip.errors import InputError

__all__ = ["CLEANERS", "byte_pair_tokenizer", "hugging_face_tokenizer", "text_spec_of"]

# CLIP's words: contractions, letters, single digits, runs of anything else.
_WORDS = r"""'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""
# What ftfy does to ordinary text: straight quotation marks, no ligatures, no wide signs.
_STRAIGHT = {"‘": "'", "’": "'", "‚": "'", "‛": "'", "“": '"', "”": '"', "„": '"', "‟": '"'}
_LIGATURES = {
    "ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "ſt", "ﬆ": "st", "ĳ": "ij", "Ĳ": "IJ",
}  # fmt: skip
_ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'"}
_WIDE = {chr(code + 0xFEE0): chr(code) for code in range(0x21, 0x7F)}
_PUNCTUATION = r"[!-/:-@\[-`{-~]"  # Python's string.punctuation


def _replaced(table: dict[str, str]) -> list[normalizers.Normalizer]:
    return [normalizers.Replace(old, new) for old, new in table.items()]


def _clean() -> list[normalizers.Normalizer]:
    """Repaired text, as ftfy and HTML unescaping leave ordinary names."""
    tables = (_STRAIGHT, _LIGATURES, _WIDE, _ENTITIES)
    return [normalizers.NFC(), *(step for table in tables for step in _replaced(table))]


def _one_space() -> list[normalizers.Normalizer]:
    return [normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]


def _lower() -> list[normalizers.Normalizer]:
    return [*_clean(), *_one_space(), normalizers.Lowercase()]


def _whitespace() -> list[normalizers.Normalizer]:
    return [*_clean(), *_one_space()]


def _canonicalize() -> list[normalizers.Normalizer]:
    no_marks = [normalizers.Replace("_", " "), normalizers.Replace(Regex(_PUNCTUATION), "")]
    return [*_clean(), *no_marks, normalizers.Lowercase(), *_one_space()]


def _unpunctuated() -> list[normalizers.Normalizer]:
    """Of transformers' SiglipTokenizer, which repairs nothing."""
    return [normalizers.Lowercase(), normalizers.Replace(Regex(_PUNCTUATION), ""), *_one_space()]


CLEANERS = {
    "lower": _lower,
    "whitespace": _whitespace,
    "canonicalize": _canonicalize,
    "unpunctuated": _unpunctuated,
    "none": list,
}
"""What happens to a text first: open_clip's three ways, and that of transformers' SigLIP."""


def byte_pair_tokenizer(
    vocabulary: dict[str, int], merges: list[tuple[str, str]], *, start: str, end: str, clean: str
) -> bytes:
    """Return CLIP's byte-pair tokenizer as ``tokenizer.json``.

    Parameters
    ----------
    vocabulary : dict of str to int
        Bytes as printable characters; ``</w>`` ends a word.
    merges : list of pairs
        In the order of their rank.
    start, end : str
        Tokens around a text, part of the vocabulary.
    clean : str
        A key of `CLEANERS`.
    """
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence(_cleaner(clean))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}",
        special_tokens=[(start, vocabulary[start]), (end, vocabulary[end])],
    )
    around = [AddedToken(token, normalized=False, special=True) for token in (start, end)]
    tokenizer.add_special_tokens(around)
    return tokenizer.to_str().encode()


def hugging_face_tokenizer(tokenizer: Any, *, clean: str) -> bytes:
    """Return a tokenizer of transformers as ``tokenizer.json``.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
        A fast one, or one of SentencePiece, which is converted.
    clean : str
        A key of `CLEANERS`: what the source does to a text before this tokenizer sees it.

    Raises
    ------
    InputError
        If it has no fast form.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        backend = _converted(tokenizer)
    copy = Tokenizer.from_str(backend.to_str())
    copy.no_padding()
    copy.no_truncation()
    before = _cleaner(clean)
    if before:
        own = [] if copy.normalizer is None else [copy.normalizer]
        copy.normalizer = normalizers.Sequence([*before, *own])
    return copy.to_str().encode()


def _cleaner(clean: str) -> list[normalizers.Normalizer]:
    if clean not in CLEANERS:
        raise InputError(
            f"The source cleans texts by {clean!r}; expected one of {', '.join(CLEANERS)}; this tokenizer "
            "cannot be imported."
        )
    return CLEANERS[clean]()


def _converted(tokenizer: Any) -> Any:
    """The fast form of a SentencePiece tokenizer."""
    model = getattr(tokenizer, "sp_model", None)
    if model is None:
        raise InputError(
            f"The tokenizer {type(tokenizer).__name__} has no fast form; expected one that the library "
            "`tokenizers` can read; save it as tokenizer.json."
        )
    pieces = [(model.id_to_piece(i), model.get_score(i)) for i in range(model.get_piece_size())]
    fast = Tokenizer(models.Unigram(pieces, unk_id=model.unk_id(), byte_fallback=False))
    precompiled = _character_map(model)
    before = [normalizers.Precompiled(precompiled)] if precompiled else []
    fast.normalizer = normalizers.Sequence([*before, normalizers.Replace(Regex(" {2,}"), " ")])
    fast.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    end = tokenizer.eos_token
    fast.add_special_tokens([AddedToken(end, normalized=False, special=True)])
    fast.post_processor = processors.TemplateProcessing(
        single=f"$A {end}", special_tokens=[(end, tokenizer.eos_token_id)]
    )
    return fast


def _character_map(model: Any) -> bytes:
    """SentencePiece's own normalization table, empty where it has none."""
    from sentencepiece import sentencepiece_model_pb2

    format_of: Any = sentencepiece_model_pb2
    parsed = format_of.ModelProto()
    parsed.ParseFromString(model.serialized_model_proto())
    return bytes(parsed.normalizer_spec.precompiled_charsmap)


def text_spec_of(
    tokenizer: Any, *, context_length: int, templates: tuple[str, ...], padding: str
) -> TextSpec:
    """Return how the shop treats texts, from what a tokenizer of transformers says of itself."""
    is_byte_level = tokenizer.unk_token in (None, tokenizer.eos_token, tokenizer.pad_token)
    return TextSpec(
        templates=templates, context_length=context_length, lowercase=False,
        pad_token=tokenizer.pad_token or tokenizer.eos_token,
        unknown_token="[UNK]" if is_byte_level else tokenizer.unk_token,
        start_token=tokenizer.bos_token, end_token=tokenizer.eos_token, padding=padding,
    )  # fmt: skip
