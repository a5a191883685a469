"""Class embeddings for training: what the shop does with names and meanings, with gradients.

The Transformer of the text encoder is frozen here, so its pooled tokens are kept; the last projection
can go on learning together with everything else.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hyperclip.bundle.manifest import TextSpec
from hyperclip.data.text_targets import KINDS, TextTargets
from hyperclip.errors import BundleError, InputError
from hyperclip.models.imported_folder import is_imported
from hyperclip.models.imported_text import AnyTextEncoder, load_imported_text
from hyperclip.models.text_encoder import TextEncoder, TextEncoderConfig
from hyperclip.runtime.glossary import Glossary
from hyperclip.runtime.texts import MEANING_WEIGHT, NAME_SHARE
from hyperclip.runtime.tokenizer import TextTokenizer

__all__ = ["ClassTexts", "load_text_encoder", "text_spec"]


def text_spec(context_length: int) -> TextSpec:
    """The bundle's text rules for the tokenizer that `hyperclip.data.text_targets` trains."""
    return TextSpec(
        templates=("{}",), context_length=context_length, lowercase=True, pad_token="[PAD]",
        unknown_token="[UNK]", start_token="[CLS]", end_token=None,
    )  # fmt: skip


def load_text_encoder(run: Path) -> tuple[AnyTextEncoder, TextTokenizer]:
    """Load what a finished run of the text objective wrote, or the text tower of an imported CLIP.

    Parameters
    ----------
    run : Path
        The run folder, or the folder that ``hyperclip import --trainable`` wrote. Of several templates
        of an imported model, the first one is taken.

    Raises
    ------
    InputError
        If the folder holds neither, or no weights.
    MissingExtraError
        If the library that an imported model comes from is not installed.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if is_imported(run):
        imported_encoder, imported = load_imported_text(run)
        spec = dataclasses.replace(imported.manifest.text, templates=imported.manifest.text.templates[:1])
        return imported_encoder, TextTokenizer(imported.tokenizer_json(), spec)
    try:
        config = TextEncoderConfig(**json.loads((run / "text_encoder.json").read_text(encoding="utf-8")))
        encoder = TextEncoder(config)
        encoder.load_state_dict(load_file(run / "weights.safetensors"))
        tokenizer = TextTokenizer((run / "tokenizer.json").read_bytes(), text_spec(config.context_length))
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"{run} holds no finished text encoder ({type(error).__name__}); expected text_encoder.json, "
            "weights.safetensors and tokenizer.json; train one with objective 'text'."
        ) from error
    return encoder, tokenizer


class ClassTexts:
    """Pooled text features of names and their meanings, kept once computed.

    Parameters
    ----------
    encoder : TextEncoder or ImportedTextEncoder
        Its Transformer must not change any more.
    tokenizer : TextTokenizer
        Names are read in the first template of its rules.
    meanings : Path or None
        JSON lines ``{"wnid", "texts": {lemma: meaning text}}``. Without them names are read alone.
    glossary : Path, optional
        A ``glossary.bin`` with class vectors. Classes with a known id then get the embedding that the
        shop gives them with this glossary.

    Raises
    ------
    InputError
        If the meanings or the glossary cannot be read, or the glossary's vectors do not fit the encoder.
    """

    def __init__(
        self,
        encoder: AnyTextEncoder,
        tokenizer: TextTokenizer,
        meanings: Path | None,
        glossary: Path | None = None,
    ) -> None:
        self._encoder, self._tokenizer = encoder, tokenizer
        self._features: dict[str, Tensor] = {}
        self._template = tokenizer.spec.templates[0]
        self._meanings = {} if meanings is None else _read_meanings(meanings)
        self._glossary = None if glossary is None else _read_glossary(glossary, encoder.config.text_dim)

    def texts_of(self, name: str, wnid: str | None) -> tuple[str, str]:
        """The two texts of a class: the name, and the name with its meaning (the name again if unknown)."""
        known = self._meanings.get(wnid or "", {})
        in_template = self._template.replace("{}", name)
        if not known:
            return in_template, in_template
        text = known.get(name) or known.get(name.lower())
        if text is None:
            first = next(iter(known.values()))
            text = f"{name}: {first.partition(': ')[2] or first}"
        return in_template, text

    @torch.no_grad()
    def features(self, names: Sequence[str], wnids: Sequence[str | None]) -> Tensor:
        """Pooled tokens of both texts of each class, shape (C, 2, W).

        With a glossary (C, 3, max(W, E)): the third row is the class's vector in the glossary, zeros where
        it has none, and shorter rows end in zeros.
        """
        pairs = [self.texts_of(name, wnid) for name, wnid in zip(names, wnids, strict=True)]
        for text in sorted({text for pair in pairs for text in pair if text not in self._features}):
            self._features[text] = self._pooled(text)
        read = torch.stack([torch.stack([self._features[a], self._features[b]]) for a, b in pairs])
        if self._glossary is None:
            return read
        vectors = [self._glossary.vector(wnid or "") for wnid in wnids]
        taught = torch.zeros(len(vectors), 1, self._encoder.config.text_dim)
        for row, vector in enumerate(vectors):
            if vector is not None:
                taught[row, 0] = torch.from_numpy(vector)
        width = max(read.shape[2], taught.shape[2])
        pad = torch.nn.functional.pad
        return torch.cat([pad(rows, (0, width - rows.shape[2])) for rows in (read, taught)], dim=1)

    def _pooled(self, text: str) -> Tensor:
        """Pool the tokens of one text, alone.

        In a batch, its last bits would depend on the size and padding of the batch, and so on what was
        asked before: a resumed run, which asks anew, would differ from an uninterrupted one.
        """
        token_ids, mask = (
            torch.from_numpy(rows).to(self._encoder.proj.weight.device)
            for rows in self._tokenizer.encode([text])
        )
        return self._encoder.pool(token_ids, mask)[0].float().cpu()

    def class_embeddings(self, features_C2W: Tensor, encoder: AnyTextEncoder) -> Tensor:
        """Project, join what is known of each class as the shop does: (C, E) unit rows, with gradients."""
        read_C2W = features_C2W[:, :2, : encoder.config.width]
        rows = encoder.project(read_C2W.flatten(0, 1)).reshape(*read_C2W.shape[:2], -1)
        total = rows[:, 0] + MEANING_WEIGHT * rows[:, 1]
        if features_C2W.shape[1] > 2:
            taught = features_C2W[:, 2, : encoder.config.text_dim]
            name = torch.nn.functional.normalize(rows[:, 0], dim=-1)
            total = torch.where(taught.any(dim=-1, keepdim=True), NAME_SHARE * name + taught, total)
        return torch.nn.functional.normalize(total, dim=-1)

    def target_embeddings(
        self, targets: TextTargets, names: Sequence[str], wnids: Sequence[str | None]
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Class embeddings (C, E) that the text encoder was taught, or gives itself where it was not."""
        known: dict[tuple[int, str], int] = {}
        for row, (kind, text) in enumerate(zip(targets.kinds, targets.texts, strict=True)):
            known.setdefault((int(kind), text.lower()), row)
        out = self.embed(names, wnids)
        for i, (name, wnid) in enumerate(zip(names, wnids, strict=True)):
            _, meaning = self.texts_of(name, wnid)
            taught = known.get((KINDS.index("meanings"), meaning.lower()))
            if taught is not None:
                own = targets.vectors[known.get((KINDS.index("names"), name.lower()), taught)]
                total = own.astype(np.float32) + MEANING_WEIGHT * targets.vectors[taught].astype(np.float32)
                out[i] = total / np.linalg.norm(total)
        return out

    def embed(
        self, names: Sequence[str], wnids: Sequence[str | None]
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Class embeddings (C, E) as an array, by the encoder as it is now."""
        with torch.no_grad():
            features = self.features(names, wnids).to(self._encoder.proj.weight.device)
            rows: np.ndarray[Any, np.dtype[np.float32]]
            rows = self.class_embeddings(features, self._encoder).cpu().numpy()
        return rows


def _read_glossary(path: Path, text_dim: int) -> Glossary:
    """Read a glossary whose class vectors fit the text encoder."""
    try:
        glossary = Glossary.read(path.read_bytes())
    except (OSError, BundleError) as error:
        raise InputError(
            f"The glossary {path} cannot be read ({error}); expected a glossary.bin; check the path."
        ) from error
    if glossary.text_dim != text_dim:
        raise InputError(
            f"The glossary {path} has class vectors of {glossary.text_dim} numbers; expected {text_dim}, the "
            "width of the text encoder; build it with --targets of the same encoder."
        )
    return glossary


def _read_meanings(path: Path) -> dict[str, dict[str, str]]:
    """Read the meaning texts: WordNet id to lemma to text."""
    try:
        entries: list[dict[str, Any]] = [
            json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()
        ]
        return {str(entry["wnid"]): dict(entry["texts"]) for entry in entries}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"The meaning texts {path} cannot be read ({type(error).__name__}: {str(error)[:200]}); expected "
            "JSON lines with wnid and texts, as the glossary's builder writes them; check the path."
        ) from error
