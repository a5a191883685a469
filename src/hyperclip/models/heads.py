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

HEAD_KINDS = ("linear", "log_mixture", "mixture_plus_linear")
_RIDGE = 0.3

__all__ = ["HEAD_KINDS", "ClassHead", "HeadConfig", "LinearHead", "MixtureHead",
           "MixturePlusLinearHead", "build_head"]  # fmt: skip


class ClassHead(NamedTuple):
    """What makes logits of embeddings; a `mixture_plus_linear` head has rows of 2 D numbers."""

    weight_CD: Tensor  # noqa: N815 (shape letters)
    bias_C: Tensor  # noqa: N815


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """How class embeddings and image embeddings meet."""

    kind: str = "linear"
    """`linear`: scaled cosine plus bias. `log_mixture`: names as mixtures of the image's concepts.
    `mixture_plus_linear`: the same, plus what a linear map of the name makes of the concept logits."""
    text_dim: int = 256
    dim: int = 256
    logit_scale: float = 10.0
    """Start of the learnt scale (`linear`), or of the sharpness 1/τ of the mixture."""
    linear_scale: float = 1.0
    """Start of the linear part of `mixture_plus_linear`, as a multiple of the ridge regression."""
    n_candidates: int = 10
    """Candidates scored in training: the learnt bias starts at -log(n - 1)."""
    init: str = "none"
    """`folder`: start as the head of the imported model whose image tower is taken (`linear`): no
    projection, its scale and its bias."""

    @property
    def is_mixture(self) -> bool:
        """Whether the image embedding holds the logits of concepts."""
        return self.kind != "linear"

    def __post_init__(self) -> None:
        if self.kind not in HEAD_KINDS:
            raise InputError(
                f"Head kind is {self.kind!r}; expected {', '.join(map(repr, HEAD_KINDS))}; choose one."
            )
        if self.init not in ("none", "folder") or (self.init == "folder" and self.is_mixture):
            raise InputError(
                f"head.init is {self.init!r} for a {self.kind!r} head; expected 'none', or 'folder' for a "
                "linear one; choose one."
            )
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

    def logits_without(self, embedding_BD: Tensor, head: ClassHead, *, known_K: Tensor) -> Tensor:
        """Logits of shape (B, C) as if the encoder knew only some concepts.

        Asking for names whose own concepts are taken away tells how the head does on names that the
        encoder has never learnt.

        Parameters
        ----------
        embedding_BD : Tensor of shape (B, K)
        head : ClassHead
            Of the names that are asked.
        known_K : Tensor of shape (K,), bool
            False for the concepts to take away.
        """
        known = known_K.to(embedding_BD.device)
        return self.logits(embedding_BD.float()[:, known], self._restricted(head, known))

    def _restricted(self, head: ClassHead, known: Tensor) -> ClassHead:
        """The head of some concepts alone; rows sum to 1 again."""
        weight = head.weight_CD[:, known]
        return ClassHead(weight / weight.sum(dim=-1, keepdim=True).clamp(min=1e-9), head.bias_C)


class MixturePlusLinearHead(MixtureHead):
    """A mixture, plus what a linear map from text to concept logits predicts for each name.

    The mixture knows only what a name is *like*; the linear part also knows what it is *unlike*: its
    weights may be negative. It starts as the ridge regression from the concepts' texts to the concepts,
    so that it gives each concept its own logit and a strange name a weighted difference of known ones.
    Its rows sum to 0: a shift of all concept logits changes nothing.

    Parameters
    ----------
    config : HeadConfig
    concepts_KE : Tensor of shape (K, E), unit length, optional
    """

    text_center: Tensor

    def __init__(self, config: HeadConfig, concepts_KE: Tensor | None = None) -> None:
        super().__init__(config, concepts_KE)
        concepts = self.concepts_KE.detach()
        self.register_buffer("text_center", concepts.mean(dim=0))
        centered = concepts - self.text_center
        gram = centered.T @ centered + _RIDGE * torch.eye(config.text_dim)
        self.relation_EK = nn.Parameter(config.linear_scale * torch.linalg.solve(gram, centered.T))

    def forward(self, class_emb_CE: Tensor) -> ClassHead:
        """Head of shape (C, 2 K): rows that sum to 1, then rows that sum to 0; and a bias of zeros."""
        mixture, bias = super().forward(class_emb_CE)
        linear = (class_emb_CE.float() - self.text_center) @ self.relation_EK
        return ClassHead(torch.cat([mixture, linear - linear.mean(dim=-1, keepdim=True)], dim=-1), bias)

    def logits(self, embedding_BD: Tensor, head: ClassHead) -> Tensor:
        """Logits of shape (B, C)."""
        mixture, linear = head.weight_CD.chunk(2, dim=-1)
        return super().logits(embedding_BD, ClassHead(mixture, head.bias_C)) + embedding_BD.float() @ linear.T

    def _restricted(self, head: ClassHead, known: Tensor) -> ClassHead:
        """The same for both parts; rows of the linear one sum to 0 again."""
        mixture, linear = head.weight_CD.chunk(2, dim=-1)
        rest = linear[:, known]
        rest = rest - rest.mean(dim=-1, keepdim=True)
        restricted = super()._restricted(ClassHead(mixture, head.bias_C), known)
        return ClassHead(torch.cat([restricted.weight_CD, rest], dim=-1), head.bias_C)


def build_head(config: HeadConfig, concepts_KE: Tensor | None = None) -> LinearHead | MixtureHead:
    """Make the head that a configuration names."""
    if config.kind == "linear":
        return LinearHead(config)
    mixture = MixtureHead if config.kind == "log_mixture" else MixturePlusLinearHead
    return mixture(config, concepts_KE)
