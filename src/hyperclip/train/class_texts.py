"""Class embeddings for training: what the shop does with names and meanings, with gradients.

The Transformer of the text encoder is frozen here, so its pooled tokens are kept; the last projection
can go on learning together with everything else.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hyperclip.bundle.manifest import TextSpec
from hyperclip.errors import InputError
from hyperclip.models.text_encoder import TextEncoder, TextEncoderConfig
from hyperclip.runtime.texts import MEANING_WEIGHT
from hyperclip.runtime.tokenizer import TextTokenizer

__all__ = ["ClassTexts", "load_text_encoder", "text_spec"]


def text_spec(context_length: int) -> TextSpec:
    """The bundle's text rules for the tokenizer that `hyperclip.data.text_targets` trains."""
    return TextSpec(
        templates=("{}",), context_length=context_length, lowercase=True, pad_token="[PAD]",
        unknown_token="[UNK]", start_token="[CLS]", end_token=None,
    )  # fmt: skip


def load_text_encoder(run: Path) -> tuple[TextEncoder, TextTokenizer]:
    """Load what a finished run of the text objective wrote.

    Raises
    ------
    InputError
        If the folder holds no finished run.
    """
    from safetensors.torch import load_file

    try:
        config = TextEncoderConfig(**json.loads((run / "text_encoder.json").read_text(encoding="utf-8")))
        encoder = TextEncoder(config)
        encoder.load_state_dict(load_file(run / "weights.safetensors"))
        tokenizer = TextTokenizer((run / "tokenizer.json").read_bytes(), text_spec(config.context_length))
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"{run} holds no finished text encoder ({type(error).__name__}); expected text_encoder.json, "
            "weights.safetensors and tokenizer.json; train one with objective 'text'."
        ) from error
    return encoder, tokenizer


class ClassTexts:
    """Pooled text features of names and their meanings, kept once computed.

    Parameters
    ----------
    encoder : TextEncoder
        Its Transformer must not change any more.
    tokenizer : TextTokenizer
    meanings : Path
        JSON lines ``{"wnid", "texts": {lemma: meaning text}}``.
    """

    def __init__(self, encoder: TextEncoder, tokenizer: TextTokenizer, meanings: Path) -> None:
        self._encoder, self._tokenizer = encoder, tokenizer
        self._features: dict[str, Tensor] = {}
        self._meanings: dict[str, dict[str, str]] = {}
        for line in meanings.read_text(encoding="utf-8").splitlines():
            entry: dict[str, Any] = json.loads(line)
            self._meanings[entry["wnid"]] = entry["texts"]

    def texts_of(self, name: str, wnid: str | None) -> tuple[str, str]:
        """The two texts of a class: the name, and the name with its meaning (the name again if unknown)."""
        known = self._meanings.get(wnid or "", {})
        if not known:
            return name, name
        text = known.get(name) or known.get(name.lower())
        if text is None:
            first = next(iter(known.values()))
            text = f"{name}: {first.partition(': ')[2] or first}"
        return name, text

    @torch.no_grad()
    def features(self, names: Sequence[str], wnids: Sequence[str | None]) -> Tensor:
        """Pooled tokens of both texts of each class, shape (C, 2, W)."""
        pairs = [self.texts_of(name, wnid) for name, wnid in zip(names, wnids, strict=True)]
        new = sorted({text for pair in pairs for text in pair if text not in self._features}, key=len)
        for start in range(0, len(new), 256):
            texts = new[start : start + 256]
            token_ids, mask = self._tokenizer.encode(texts)
            pooled = self._encoder.pool(torch.from_numpy(token_ids), torch.from_numpy(mask)).float()
            self._features.update(zip(texts, pooled.unbind(0), strict=True))
        return torch.stack([torch.stack([self._features[a], self._features[b]]) for a, b in pairs])

    def class_embeddings(self, features_C2W: Tensor, encoder: TextEncoder) -> Tensor:
        """Project, average the two texts of each class as the shop does, and renormalize: (C, E), with gradients."""
        rows = encoder.project(features_C2W.flatten(0, 1)).unflatten(0, features_C2W.shape[:2])
        return torch.nn.functional.normalize(rows[:, 0] + MEANING_WEIGHT * rows[:, 1], dim=-1)

    def embed(
        self, names: Sequence[str], wnids: Sequence[str | None]
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Class embeddings (C, E) as an array, by the encoder as it is now."""
        with torch.no_grad():
            rows: np.ndarray[Any, np.dtype[np.float32]] = self.class_embeddings(
                self.features(names, wnids), self._encoder
            ).numpy()
        return rows
