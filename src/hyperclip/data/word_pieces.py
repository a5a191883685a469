"""The vocabulary of the compact text encoder, trained on the texts that it is to read."""

__all__ = ["train_word_pieces"]


def train_word_pieces(texts: list[str], vocab_size: int) -> str:
    """Train a lower-case WordPiece tokenizer.

    Between pieces that are equally frequent the library chooses at random, so keep what came out.

    Parameters
    ----------
    texts : list of str
    vocab_size : int
        Most tokens, ``[PAD]``, ``[UNK]`` and ``[CLS]`` among them.

    Returns
    -------
    str
        Content of ``tokenizer.json``; texts begin with ``[CLS]`` and have no end token.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=40))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        special_tokens=["[PAD]", "[UNK]", "[CLS]"],
        limit_alphabet=80,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A", special_tokens=[("[CLS]", tokenizer.token_to_id("[CLS]"))]
    )
    return str(tokenizer.to_str())
