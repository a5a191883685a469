"""BatchNorm's two kinds of statistics: those that were gathered in training, and those of the batch."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from hyperclip.models import ImageEncoder

__all__ = ["batch_statistics"]


@contextmanager
def batch_statistics(encoder: ImageEncoder) -> Iterator[None]:
    """Let BatchNorm normalize by the batch for the length of the block; what was gathered stays as it is."""
    norms = encoder.norms()
    before = [
        (norm.training, norm.are_statistics_frozen, getattr(norm.norm, "momentum", None)) for norm in norms
    ]
    for norm in norms:
        norm.training, norm.are_statistics_frozen = True, False
        if isinstance(norm.norm, nn.modules.batchnorm._BatchNorm):
            norm.norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, (training, is_frozen, momentum) in zip(norms, before, strict=True):
            norm.training, norm.are_statistics_frozen = training, is_frozen
            if isinstance(norm.norm, nn.modules.batchnorm._BatchNorm):
                norm.norm.momentum = momentum
