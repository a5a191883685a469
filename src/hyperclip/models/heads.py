"""From class embeddings to the head that an exported classifier holds, and from there to logits.

Legend: B images in a batch, C classes, D embedding dim, E text dim, K concepts (K = D in a mixture).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperclip.errors import InputError

_FLOOR = 1e-12  # the same as in classifier files: `hyperclip.bundle.MIXTURE_FLOOR`

__all__ = ["ClassHead", "HeadConfig", "LinearHead", "MixtureHead", "build_head"]


class ClassHead(NamedTuple):
    """What makes logits of embeddings."""

    weight_CD: Tensor  # noqa: N815 (shape letters)
    bias_C: Tensor  # noqa: N815


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """How class embeddings and image embeddings meet."""

    kind: str = "linear"
    """`linear`: scaled cosine plus bias. `log_mixture`: names as mixtures of the image's concepts."""
    text_dim: int = 256
    dim: int = 256
    logit_scale: float = 10.0
    """Start of the learnt scale (`linear`), or of the sharpness 1/τ of the mixture."""
    n_candidates: int = 10
    """Candidates scored in training: the learnt bias starts at -log(n - 1)."""

    def __post_init__(self) -> None:
        if self.kind not in ("linear", "log_mixture"):
            raise InputError(f"Head kind is {self.kind!r}; expected 'linear' or 'log_mixture'; choose one.")
        if self.logit_scale <= 0:
            raise InputError(f"logit_scale is {self.logit_scale}; expected a positive number; try 10.")


class LinearHead(nn.Module):
    """Scaled cosine between projected class embeddings and image embeddings, plus a bias.

    The scale is stored as its logarithm; the bias starts at -log(n_candidates - 1), the base rate of
    one positive among the candidates (SigLIP, arXiv 2303.15343, starts at -10 for 22,000).
    """

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.proj = nn.Linear(config.text_dim, config.dim)
        self.log_logit_scale = nn.Parameter(torch.tensor(math.log(config.logit_scale)))
        self.logit_bias = nn.Parameter(torch.tensor(-math.log(max(config.n_candidates - 1, 1))))

    def forward(self, class_emb_CE: Tensor) -> ClassHead:
        """Head of shape (C, D) whose rows have the length of the scale, and bias of shape (C,)."""
        weight = self.log_logit_scale.exp() * functional.normalize(self.proj(class_emb_CE), dim=-1)
        return ClassHead(weight, self.logit_bias.expand(class_emb_CE.shape[0]))

    def logits(self, embedding_BD: Tensor, head: ClassHead) -> Tensor:
        """Logits of shape (B, C)."""
        return functional.normalize(embedding_BD.float(), dim=-1) @ head.weight_CD.T + head.bias_C


class MixtureHead(nn.Module):
    """Each name is spread over K concepts that the image encoder knows.

    The image embedding holds concept logits; ``a(k, c)`` is the softmax over concepts of the cosine
    between name and concept, times a sharpness; the logit of name k is ``log sum_c p(c|x) a(k, c)``.
    A specific name is sharper than a general one, so it wins where it applies.

    Parameters
    ----------
    config : HeadConfig
        `dim` is K, `logit_scale` the sharpness at the start.
    concepts_KE : Tensor of shape (K, E), unit length, optional
        Text embeddings of the concepts; random where left out.
    """

    def __init__(self, config: HeadConfig, concepts_KE: Tensor | None = None) -> None:
        super().__init__()
        start = torch.randn(config.dim, config.text_dim) if concepts_KE is None else concepts_KE
        self.concepts_KE = nn.Parameter(functional.normalize(start.float(), dim=-1))
        self.log_sharpness_K = nn.Parameter(torch.full((config.dim,), math.log(config.logit_scale)))

    def forward(self, class_emb_CE: Tensor) -> ClassHead:
        """Head of shape (C, K) with rows that sum to 1, and a bias of zeros."""
        cosine = class_emb_CE.float() @ functional.normalize(self.concepts_KE, dim=-1).T
        weight = (cosine * self.log_sharpness_K.exp()).softmax(dim=-1)
        return ClassHead(weight, weight.new_zeros(class_emb_CE.shape[0]))

    def logits(self, embedding_BD: Tensor, head: ClassHead) -> Tensor:
        """Logits of shape (B, C), at most 0."""
        return (embedding_BD.float().softmax(dim=-1) @ head.weight_CD.T + _FLOOR).log() + head.bias_C


def build_head(config: HeadConfig, concepts_KE: Tensor | None = None) -> LinearHead | MixtureHead:
    """Make the head that a configuration names."""
    return LinearHead(config) if config.kind == "linear" else MixtureHead(config, concepts_KE)
