"""What every source of a CLIP must give, so that it becomes a model folder.

Legend: n texts or pictures, T tokens, S pixels of a side, E width of the shared space.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import nn

from hyperclip.bundle.manifest import ImageSpec, TextSpec

__all__ = ["Card", "FloatArray", "ImportedClip", "IntArray", "Reference", "as_rgb", "slug"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The source library's own pipeline, which the model folder is compared with, stage by stage."""

    pixels: Callable[[Image.Image], FloatArray]
    """An RGB picture to normalized (3, S, S)."""
    tokens: Callable[[Sequence[str]], IntArray]
    """Texts to (n, T), padded as the source pads them."""
    text_vectors: Callable[[Sequence[str]], FloatArray]
    """Texts to (n, E), unit length."""
    image_vectors: Callable[[FloatArray], FloatArray]
    """(n, 3, S, S) to (n, E), unit length."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """What the source says about terms and origin; see `hyperclip.bundle.Manifest`."""

    licence: str
    commercial_use: str
    origin: str
    training_data: tuple[str, ...] = ()
    text: str = ""
    """The source's own model card, or nothing."""


@dataclass(frozen=True, kw_only=True)
class ImportedClip:
    """Two towers and everything around them that changes an answer.

    Parameters
    ----------
    name : str
        Of the model folder.
    source : str
        As the user named it.
    image_tower : torch.nn.Module
        (n, 3, S, S) float32 to (n, E), of any length.
    text_tower : torch.nn.Module
        (n, T) int64 token ids and mask to (n, E), of any length. Any T up to the context length where
        `text.padding` is ``"longest"``, exactly the context length otherwise.
    images, text : ImageSpec, TextSpec
        Preprocessing of pictures and texts.
    tokenizer_json : bytes
        The tokenizer as the library `tokenizers` reads it.
    logit_scale, logit_bias : float
        Logits are ``scale * cosine + bias``.
    activation : {"softmax", "sigmoid"}
    card : Card
    reference : Reference
    settings : dict
        What builds the towers again in the workshop; JSON values.
    """

    name: str
    source: str
    image_tower: nn.Module
    text_tower: nn.Module
    images: ImageSpec
    text: TextSpec
    tokenizer_json: bytes
    logit_scale: float
    logit_bias: float
    activation: str
    card: Card
    reference: Reference
    settings: dict[str, Any] = field(default_factory=dict)


def as_rgb(values: Iterable[Any]) -> tuple[float, float, float]:
    """Return three numbers of a configuration."""
    red, green, blue = map(float, values)
    return red, green, blue


def slug(name: str) -> str:
    """Return a model folder's name: letters, digits and a few signs.

    Examples
    --------
    >>> slug("org/My CLIP")
    'org-My-CLIP'
    """
    kept = "".join(x if x.isascii() and (x.isalnum() or x in "._-") else "-" for x in name)
    return kept.strip("._-")[:64] or "clip"
