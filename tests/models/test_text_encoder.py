"""Text encoders: padding is not read, lengths vary, results are unit vectors."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="models need PyTorch: pip install 'hyperclip[train]'")

import torch
from torch import Tensor

from hyperclip.errors import InputError
from hyperclip.models import HuggingFaceTextEncoder, TextEncoder, TextEncoderConfig

pytestmark = pytest.mark.torch

VOCABULARY, CONTEXT_LENGTH = 30, 12
ROUNDING = 2e-6  # float32 sums over another number of terms, on unit vectors


def make_encoder() -> TextEncoder:
    torch.manual_seed(0)
    config = TextEncoderConfig(
        vocab_size=VOCABULARY, context_length=CONTEXT_LENGTH, width=16, n_layers=2, n_heads=4, text_dim=8
    )
    encoder = TextEncoder(config).eval()
    with torch.no_grad():  # embeddings as large as trained ones, so that every token matters
        encoder.token_embedding.weight.mul_(50)
        encoder.position_embedding.weight.mul_(50)
    return encoder


def random_texts(n_texts: int = 4, n_tokens: int = 7, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Token ids and a mask; text i has n_tokens - i tokens."""
    rng = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, VOCABULARY, (n_texts, n_tokens), generator=rng)
    mask = (torch.arange(n_tokens) < n_tokens - torch.arange(n_texts)[:, None]).long()
    return ids * mask, mask


def assert_same(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=ROUNDING, rtol=0)


def test_embeddings_are_unit_vectors_of_the_text_dim() -> None:
    emb = make_encoder()(*random_texts())

    assert emb.shape == (4, 8)
    torch.testing.assert_close(emb.norm(dim=-1), torch.ones(4))


@pytest.mark.parametrize("n_padding", [1, 5])
def test_padding_changes_nothing(n_padding: int) -> None:
    encoder, (ids, mask) = make_encoder(), random_texts()
    garbage = torch.randint(0, VOCABULARY, (4, n_padding), generator=torch.Generator().manual_seed(1))
    longer_ids = torch.cat([ids, garbage], dim=1)
    longer_mask = torch.cat([mask, torch.zeros(4, n_padding, dtype=torch.int64)], dim=1)

    assert_same(encoder(longer_ids, longer_mask), encoder(ids, mask))


def test_text_alone_equals_its_row_in_a_batch() -> None:
    encoder, (ids, mask) = make_encoder(), random_texts()
    lengths = mask.sum(dim=1).tolist()

    alone = [encoder(ids[i : i + 1, :n], mask[i : i + 1, :n]) for i, n in enumerate(lengths)]
    assert_same(torch.cat(alone), encoder(ids, mask))


@pytest.mark.parametrize("n_tokens", [1, 5, CONTEXT_LENGTH])
def test_any_length_up_to_the_context_length_works(n_tokens: int) -> None:
    emb = make_encoder()(*random_texts(1, n_tokens))

    assert emb.shape == (1, 8)
    assert torch.isfinite(emb).all()


def test_order_of_the_tokens_is_read() -> None:
    encoder, mask = make_encoder(), torch.ones(1, 3, dtype=torch.int64)

    forward, backward = encoder(torch.tensor([[3, 7, 9]]), mask), encoder(torch.tensor([[9, 7, 3]]), mask)
    assert (forward - backward).abs().max() > 1e-3


def test_mask_may_hold_truth_values() -> None:
    encoder, (ids, mask) = make_encoder(), random_texts()

    assert torch.equal(encoder(ids, mask.bool()), encoder(ids, mask))


def test_text_without_tokens_is_finite() -> None:
    emb = make_encoder()(torch.zeros(1, 3, dtype=torch.int64), torch.zeros(1, 3, dtype=torch.int64))

    assert torch.isfinite(emb).all()


def test_pooled_features_and_projection_make_the_embedding() -> None:
    encoder, (ids, mask) = make_encoder(), random_texts()

    pooled = encoder.pool(ids, mask)

    assert pooled.shape == (4, 16)
    assert torch.equal(encoder.project(pooled), encoder(ids, mask))


def test_gradients_reach_every_weight() -> None:
    encoder, (ids, mask) = make_encoder(), random_texts()

    encoder(ids, mask)[:, 0].sum().backward()

    assert all(parameter.grad.abs().max() > 0 for parameter in encoder.parameters())


def test_half_precision_stays_near_float32() -> None:
    encoder, (ids, mask) = make_encoder(), random_texts()
    expected = encoder(ids, mask)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = encoder(ids, mask)

    assert found.dtype == torch.float32
    assert (found * expected).sum(dim=-1).min() > 0.995  # cosine


@pytest.mark.parametrize(
    ("options", "message"),
    [({"width": 30, "n_heads": 4}, "multiple of n_heads = 4"), ({"n_layers": 0}, "below 1")],
)
def test_sizes_that_cannot_work_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TextEncoderConfig(**options)


def test_hugging_face_model_is_pooled_over_the_tokens_that_are_there(bert_folder: Path) -> None:
    encoder, (ids, mask) = HuggingFaceTextEncoder(str(bert_folder)).eval(), random_texts()
    hidden = encoder.model(input_ids=ids, attention_mask=mask).last_hidden_state
    mean = torch.stack([hidden[i, : int(n)].mean(dim=0) for i, n in enumerate(mask.sum(dim=1))])

    found = encoder(ids, mask)

    assert_same(found, mean / mean.norm(dim=1, keepdim=True))


def test_hugging_face_model_does_not_read_padding(bert_folder: Path) -> None:
    encoder, (ids, mask) = HuggingFaceTextEncoder(str(bert_folder), text_dim=8).eval(), random_texts()
    longer_ids = torch.cat([ids, torch.full((4, 3), 5)], dim=1)
    longer_mask = torch.cat([mask, torch.zeros(4, 3, dtype=torch.int64)], dim=1)

    found = encoder(longer_ids, longer_mask)

    assert found.shape == (4, 8)
    assert_same(found, encoder(ids, mask))


def test_missing_hugging_face_folder_is_one_sentence(tmp_path: Path, bert_folder: Path) -> None:
    with pytest.raises(InputError, match="cannot be loaded"):
        HuggingFaceTextEncoder(str(tmp_path / "nothing"))


def test_pickled_hugging_face_weights_are_refused(tmp_path: Path, bert_folder: Path) -> None:
    (tmp_path / "config.json").write_bytes((bert_folder / "config.json").read_bytes())
    torch.save({"weight": torch.zeros(1)}, tmp_path / "pytorch_model.bin")

    with pytest.raises(InputError, match="safetensors"):
        HuggingFaceTextEncoder(str(tmp_path))
