"""Train the compact text encoder to give a sentence encoder's vectors, reading less.

It reads a name, or a name with its relations ("mouse: computer mouse, a kind of electronic
device"), and has to give the vector that the sentence encoder has for the full definition.

Legend: n texts, T tokens, E text dim.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hyperclip.bundle.atomic import write_file
from hyperclip.data.text_targets import KINDS, TextTargets
from hyperclip.errors import InputError
from hyperclip.losses import embedding_distillation, relational_distillation
from hyperclip.models.text_encoder import TextEncoder, TextEncoderConfig
from hyperclip.train.recipe import did_you_mean, from_mapping

__all__ = ["TextConfig", "TextObjective", "from_recipe"]


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """Data and weights of the text objective."""

    data: str
    """Folder that `hyperclip.data.text_targets` wrote."""
    encoder: TextEncoderConfig = field(default_factory=TextEncoderConfig)
    batch_size: int = 256
    relation_weight: float = 0.5
    """Weight of the similarities within a batch, beside each text's own vector."""
    shares: dict[str, float] = field(
        default_factory=lambda: {"names": 0.35, "meanings": 0.45, "sentences": 0.2}
    )
    """Share of each kind of text in a batch."""
    templates: tuple[str, ...] = ("a photo of a {}", "a picture of a {}", "the {}", "a {}")
    template_share: float = 0.15
    """Share of names that are read inside a template; the target stays that of the bare name."""
    held_out_share: float = 0.02
    """Share of the texts of each kind that training never reads."""

    def __post_init__(self) -> None:
        for kind, share in self.shares.items():
            if kind not in KINDS:
                raise InputError(f"text.shares.{kind} is no kind of text; {did_you_mean(kind, KINDS)}")
            if not 0 <= share < math.inf:
                raise InputError(f"text.shares.{kind} is {share}; expected 0 or more; correct the recipe.")
        if self.batch_size < 1 or not sum(round(s * self.batch_size) for s in self.shares.values()):
            raise InputError(
                f"text.batch_size is {self.batch_size} and text.shares {self.shares}, which makes empty "
                "batches; expected some texts; raise them."
            )
        if not self.templates or not all("{}" in template for template in self.templates):
            raise InputError(
                f"text.templates is {self.templates}; expected some texts with {{}} for the name; add it."
            )
        if not 0 <= self.template_share <= 1 or not 0 <= self.held_out_share < 1:
            raise InputError(
                f"text.template_share is {self.template_share} and text.held_out_share "
                f"{self.held_out_share}; expected shares of 1; correct the recipe."
            )


def from_recipe(cls: type[TextConfig], values: Mapping[str, Any]) -> TextConfig:
    """Read the recipe's section ``text``."""
    return from_mapping(cls, values, where="text")


class TextObjective:
    """Distillation of a text encoder; see `hyperclip.train.objective.Objective`."""

    def __init__(self, config: TextConfig, *, seed: int) -> None:
        self.config, self._seed = config, seed
        self._targets = TextTargets.open(Path(config.data))
        text_dim = self._targets.vectors.shape[1]
        if text_dim != config.encoder.text_dim:
            raise InputError(
                f"text.encoder.text_dim is {config.encoder.text_dim}; expected {text_dim}, the width of the "
                f"targets in {config.data}; change one of them."
            )
        n_tokens = self._targets.n_tokens
        if n_tokens > config.encoder.vocab_size:
            raise InputError(
                f"text.encoder.vocab_size is {config.encoder.vocab_size}; expected at least {n_tokens}, the "
                f"size of the tokenizer in {config.data}; raise it."
            )
        self._tokenizer = self._targets.tokenizer(config.encoder.context_length)
        rng = np.random.default_rng([seed, 2**31])
        self._rows: dict[str, Any] = {}
        self._held_out: dict[str, Any] = {}
        for kind in config.shares:
            rows = rng.permutation(self._targets.rows_of(kind))
            n_held = int(len(rows) * config.held_out_share)
            self._held_out[kind], self._rows[kind] = rows[:n_held], rows[n_held:]
            if not len(rows) and config.shares[kind]:
                raise InputError(
                    f"{config.data} holds no texts of the kind {kind!r}; expected some for "
                    f"text.shares.{kind}; set that share to 0."
                )
        self.model: nn.Module = TextEncoder(config.encoder)

    def batch(self, step: int) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Token ids (n, T), mask (n, T) and targets (n, E) of a step, in parts of similar length."""
        rng = np.random.default_rng([self._seed, step])
        texts: list[str] = []
        rows: list[int] = []
        for kind, share in self.config.shares.items():
            if not share:
                continue
            picked = rng.choice(self._rows[kind], size=round(share * self.config.batch_size))
            for row in picked:
                text = self._targets.texts[row]
                if kind == "names" and rng.random() < self.config.template_share:
                    text = str(rng.choice(self.config.templates)).replace("{}", text)
                texts.append(text)
                rows.append(int(row))
        return self._encode_parts(texts, rows)

    def loss(self, model: nn.Module, batch: Any, step: int) -> tuple[Tensor, dict[str, float]]:
        """Cosine distance to the targets plus the mismatch of similarities."""
        student = torch.cat([model(token_ids, mask) for token_ids, mask, _ in batch])
        target = torch.cat([part[2] for part in batch])
        own = embedding_distillation(student, target)
        relation = relational_distillation(student, target)
        return own + self.config.relation_weight * relation, {
            "cosine_loss": float(own.detach()),
            "relation": float(relation.detach()),
        }

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Mean cosine and nearest-neighbor agreement on texts held out, by kind (if it has any)."""
        figures = {}
        device = next(model.parameters()).device
        for kind, held in self._held_out.items():
            rows = [int(row) for row in held[:1000]]
            if not rows:
                continue
            parts = self._encode_parts([self._targets.texts[row] for row in rows], rows)
            student = torch.cat([model(ids.to(device), mask.to(device)).cpu() for ids, mask, _ in parts])
            target = torch.cat([part[2] for part in parts])
            figures[f"cosine_{kind}"] = float((student.float() * target).sum(dim=-1).mean())
            nearest = (student.float() @ target.T).argmax(dim=1)
            figures[f"found_{kind}"] = float((nearest == torch.arange(len(rows))).float().mean())
        return figures

    def finish(self, model: nn.Module, folder: Path) -> None:
        """Write ``weights.safetensors``, ``tokenizer.json`` and ``text_encoder.json``."""
        from safetensors.torch import save

        config = json.dumps(dataclasses.asdict(self.config.encoder), indent=1)
        write_file(folder / "tokenizer.json", self._targets.tokenizer_json.encode())
        write_file(folder / "text_encoder.json", config.encode())
        weights = {key: value.contiguous() for key, value in model.state_dict().items()}
        write_file(folder / "weights.safetensors", save(weights))

    def _encode_parts(
        self, texts: list[str], rows: list[int], n_parts: int = 4
    ) -> list[tuple[Tensor, Tensor, Tensor]]:
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        size = -(-len(order) // n_parts)
        return [
            self._encode([texts[i] for i in part], [rows[i] for i in part])
            for part in (order[start : start + size] for start in range(0, len(order), size))
        ]

    def _encode(self, texts: list[str], rows: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        token_ids, mask = self._tokenizer(texts)
        target = torch.from_numpy(self._targets.vectors[rows].astype(np.float32))
        return torch.from_numpy(token_ids), torch.from_numpy(mask), nn.functional.normalize(target, dim=-1)
