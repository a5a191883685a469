"""Hugging Face transformers of a few kilobytes with random weights, and texts for them."""

from pathlib import Path

import numpy as np
import torch
import transformers

WORDS = ("a small dog runs over green grass while two people watch it from the old wooden bench").split()  # noqa: SIM905
RNG = np.random.default_rng(0)
TEXTS = [" ".join(RNG.choice(WORDS, size=RNG.integers(3, 9))) for _ in range(40)]


def write_tokenizer(folder: Path) -> None:
    """Write a tokenizer of whole words."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {word: index for index, word in enumerate(["[UNK]", "[PAD]", *sorted(set(WORDS))])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]"
    )
    fast.save_pretrained(folder)


def write_model(kind: str, folder: Path) -> Path:
    """Write a tiny model with random weights."""
    torch.manual_seed(0)
    if kind == "bert":
        config = transformers.BertConfig(
            vocab_size=32, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=24,
            max_position_embeddings=16,
        )  # fmt: skip
        model = transformers.BertModel(config)
    elif kind == "gpt2":
        config = transformers.GPT2Config(vocab_size=32, n_embd=16, n_layer=3, n_head=2, n_positions=16)
        model = transformers.GPT2LMHeadModel(config)
    else:
        config = transformers.LlamaConfig(
            vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2,
            num_key_value_heads=1, max_position_embeddings=16,
        )  # fmt: skip
        model = transformers.LlamaForCausalLM(config)
    for parameter in model.parameters():
        parameter.data.mul_(8)  # random weights as they are hardly move the hidden states
    model.save_pretrained(folder, safe_serialization=True)
    write_tokenizer(folder)
    return folder
