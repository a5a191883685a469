"""A dense and a pruned transformer in figures (needs PyTorch).

Legend: N texts, T tokens, D width.
"""

import gzip
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hyperclip.compress.contract import MethodReport
from hyperclip.compress.measure import GZIP_LEVEL, Comparison, Side
from hyperclip.compress.timing import alternating_times
from hyperclip.compress.transformer_files import Transformer, token_batches

__all__ = ["compare_transformers", "next_tokens", "text_vectors"]

N_ROUNDS = 15


def text_vectors(transformer: Transformer, texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """Return the mean of the last hidden states of each text at unit length, shape (N, D), float32.

    Parameters
    ----------
    transformer : Transformer
        Of sentence encoders with mean pooling, such as all-MiniLM-L6-v2, these are their vectors.
    texts : sequence of str
    """
    import torch

    rows: dict[tuple[int, ...], npt.NDArray[np.float32]] = {}
    with torch.inference_mode():
        for ids in token_batches(transformer, texts):
            states = transformer.model(input_ids=ids, output_hidden_states=True).hidden_states[-1]
            vectors = torch.nn.functional.normalize(states.float().mean(dim=1), dim=-1).numpy()
            rows |= {tuple(row.tolist()): vector for row, vector in zip(ids, vectors, strict=True)}
    keys = [
        tuple(row.tolist()) for text in texts for ids in token_batches(transformer, [text]) for row in ids
    ]
    return np.stack([rows[key] for key in keys])


def next_tokens(transformer: Transformer, texts: Sequence[str]) -> tuple[npt.NDArray[np.int64], float]:
    """Return the likeliest next token at every place of all texts, and the mean loss of the true one.

    Parameters
    ----------
    transformer : Transformer
        A causal language model.
    texts : sequence of str

    Returns
    -------
    tokens : ndarray of shape (n_places,), int64
    loss : float
        Mean negative log-probability, natural logarithm; perplexity is its exponential.
    """
    import torch

    tokens, losses = [], []
    with torch.inference_mode():
        for ids in token_batches(transformer, texts):
            if ids.shape[1] < 2:
                continue
            logits = transformer.model(input_ids=ids, use_cache=False).logits.float()[:, :-1]
            tokens.append(logits.argmax(dim=-1).reshape(-1).numpy())
            losses.append(
                torch.nn.functional.cross_entropy(
                    logits.reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1), reduction="none"
                ).numpy()
            )
    if not tokens:
        return np.zeros(0, np.int64), float("nan")
    return np.concatenate(tokens), float(np.concatenate(losses).mean())


def compare_transformers(
    before: Transformer, after: Transformer, texts: Sequence[str], report: MethodReport
) -> tuple[Comparison, tuple[str, ...]]:
    """Measure two transformers side by side on texts that calibrated neither.

    Parameters
    ----------
    before, after : Transformer
    texts : sequence of str
        May be empty; then only size and time are measured.
    report : MethodReport
        For the multiply-adds of the linear layers.

    Returns
    -------
    comparison : Comparison
        Agreement is the share of places where both find the same next token likeliest; of an encoder, the
        share of texts whose nearest other text is the same.
    notes : tuple of str
        What stands in no column: perplexities, or the similarity of the vectors.
    """
    import torch

    agreement, notes = None, []
    if len(texts) > 1 and before.is_causal:
        (old, loss), (new, loss_after) = (next_tokens(model, texts) for model in (before, after))
        if old.size:
            agreement = float((old == new).mean())
            old_and_new = f"{np.exp(loss):.4g} before, {np.exp(loss_after):.4g} after"
            notes.append(f"Perplexity on {len(texts)} texts: {old_and_new}.")
    elif len(texts) > 1:
        old_vectors, new_vectors = (text_vectors(model, texts) for model in (before, after))
        nearest = []
        for vectors in (old_vectors, new_vectors):
            similarity = vectors @ vectors.T
            np.fill_diagonal(similarity, -np.inf)
            nearest.append(similarity.argmax(axis=1))
        agreement = float((nearest[0] == nearest[1]).mean())
        cosine = float((old_vectors * new_vectors).sum(axis=1).mean())
        notes.append(f"Mean cosine of a text's vectors before and after, {len(texts)} texts: {cosine:.4f}.")
    if agreement is not None:
        what = "next tokens" if before.is_causal else "nearest texts"
        notes.append(f"Same answer is the share of {what} that stayed the same.")
    ids = torch.zeros((1, 16), dtype=torch.long)

    def call(model: Transformer) -> Callable[[], object]:
        def run() -> object:
            with torch.inference_mode():
                return model.model(input_ids=ids)

        return run

    macs = sum(layer.macs_before for layer in report.layers)
    comparison = Comparison(
        before=_side(before, macs),
        after=_side(after, macs),
        latency=alternating_times(call(before), call(after), n_rounds=N_ROUNDS),
        agreement=agreement,
        n_images=len(texts),
        unit="texts",
    )
    return comparison, tuple(notes)


def _side(transformer: Transformer, macs: int) -> Side:
    """Return what the stored weights take."""
    with tempfile.TemporaryDirectory(prefix="hyperclip-") as place:
        transformer.model.save_pretrained(place, safe_serialization=True)
        data = b"".join(path.read_bytes() for path in sorted(Path(place).glob("*.safetensors")))
    parameters = list(transformer.model.parameters())
    return Side(
        size_bytes=len(data),
        gzip_bytes=len(gzip.compress(data, GZIP_LEVEL, mtime=0)),
        multiply_adds=macs,
        n_parameters=sum(parameter.numel() for parameter in parameters),
        n_nonzero=sum(int((parameter != 0).sum()) for parameter in parameters),
    )
