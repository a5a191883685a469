"""Losses are summed in full precision, also where the networks run in half precision."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

__all__ = ["at_least_float32", "without_autocast"]


def at_least_float32(values: Tensor) -> Tensor:
    """Widen half precision to float32; float32 and float64 stay as they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def without_autocast(values: Tensor) -> AbstractContextManager[object]:
    """Block in which matrix products on the device of `values` keep their precision."""
    kind = values.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()
