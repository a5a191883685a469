"""What several tests of models need; PyTorch is imported inside, so that its absence only skips."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hyperclip.models import ImageEncoder


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tensors here are too small to gain from threads, which wait for one another on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def plain_timm() -> Callable[..., nn.Module]:
    """Make the plain encoder (timm's, or a compact one) with an encoder's weights, and others where given."""
    import timm

    from hyperclip.models.compact import COMPACT_ENCODERS, CompactEncoder

    def make(encoder: ImageEncoder, final_P: Tensor | None = None) -> nn.Module:
        config, dtype = encoder.config, next(encoder.parameters()).dtype
        plain: nn.Module
        if config.name in COMPACT_ENCODERS:
            plain = CompactEncoder(config.name, embedding_dim=config.embedding_dim)
        else:
            plain = timm.create_model(config.name, num_classes=config.embedding_dim)
        plain.to(dtype).eval()
        state = dict(zip(plain.state_dict(), encoder.trunk.state_dict().values(), strict=True))
        if final_P is not None:
            for name, size, offset in encoder.layout:
                path, _, part = name.rpartition(".")
                key = f"{path}.{'bias' if part == 'shift' else 'weight'}"
                state[key] = final_P[offset : offset + size].view_as(state[key])
        plain.load_state_dict(state)
        return plain

    return make


@pytest.fixture(scope="session")
def look_trained() -> Callable[[ImageEncoder, Tensor], None]:
    """Give an encoder scales, shifts and BatchNorm statistics that are not those of the start."""
    import torch
    from torch import nn

    @torch.no_grad()
    def change(encoder: ImageEncoder, images: Tensor) -> None:
        rng = torch.Generator().manual_seed(0)
        for norm in encoder.norms():
            norm.norm.weight.mul_(0.8 + 0.4 * torch.rand(norm.n_channels, generator=rng))
            norm.norm.bias.add_(0.1 * torch.randn(norm.n_channels, generator=rng))
            if isinstance(norm.norm, nn.BatchNorm2d):
                norm.norm.momentum = 1.0
        encoder.train()(images)
        encoder.eval()

    return change


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of a few thousand weights and its tokenizer, saved as Hugging Face saves them."""
    transformers = pytest.importorskip("transformers", reason="Hugging Face models need transformers")
    import tokenizers
    import torch

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    words = ["a", "an", "big", "blue", "cat", "dog", "house", "of", "photo", "red", "small", "tree"]
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: i for i, word in enumerate(special + words)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=30, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=12, initializer_range=0.5,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("bert")
    transformers.BertModel(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
