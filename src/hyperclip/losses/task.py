"""Softmax cross-entropy within a task, for soft targets and for batches that hold several tasks.

Legend: B images, C classes of the largest task in the batch.
"""

import torch
from torch import Tensor

from hyperclip.errors import InputError
from hyperclip.losses.precision import at_least_float32

__all__ = ["check_class_shapes", "masked_log_softmax", "task_softmax_loss", "weighted_mean"]


def task_softmax_loss(
    logits_BC: Tensor,
    target_BC: Tensor,
    *,
    weight_B: Tensor | None = None,
    mask_BC: Tensor | None = None,
) -> Tensor:
    """Cross-entropy between soft targets and the softmax over the classes of each image's task.

    Parameters
    ----------
    logits_BC : Tensor of shape (B, C)
        Padded to the largest task where the batch holds several.
    target_BC : Tensor of shape (B, C), in [0, 1], rows sum to 1
        Zero where there is no class.
    weight_B : Tensor of shape (B,), in [0, inf), optional
        Weight of each image, for instance the share of its leaves that the task covers.
    mask_BC : Tensor of shape (B, C), bool, optional
        True where there is a class. What stands at the other places has no influence.

    Returns
    -------
    Tensor
        Scalar, float32 (float64 where the logits are): the weighted mean over the images, and 0 where
        all weights are 0.

    Raises
    ------
    InputError
        If shapes do not fit together.

    Notes
    -----
    ``L = -sum_i w_i sum_c target_ic log softmax(logits_i)_c / sum_i w_i``. The entropy of the targets
    is not subtracted, so the least possible loss is that entropy, not 0.

    Examples
    --------
    >>> import torch
    >>> round(task_softmax_loss(torch.zeros(1, 4), torch.tensor([[0.5, 0.5, 0.0, 0.0]])).item(), 4)  # log 4
    1.3863
    """
    check_class_shapes(logits_BC, target_BC, weight_B=weight_B, mask_BC=mask_BC)
    log_probs_BC = masked_log_softmax(logits_BC, mask_BC)
    return weighted_mean(-(target_BC.to(log_probs_BC.dtype) * log_probs_BC).sum(dim=1), weight_B)


def masked_log_softmax(logits_BC: Tensor, mask_BC: Tensor | None = None) -> Tensor:
    """Log-softmax over the unmasked classes of each row, zero (not -inf) at the masked ones.

    A finite filler instead of -inf keeps the gradient of a row without classes finite.

    Parameters
    ----------
    logits_BC : Tensor of shape (B, C)
    mask_BC : Tensor of shape (B, C), bool, optional
        True where there is a class.

    Returns
    -------
    Tensor of shape (B, C), at least float32
    """
    logits_BC = at_least_float32(logits_BC)
    if mask_BC is None:
        return logits_BC.log_softmax(dim=1)
    filled = logits_BC.masked_fill(~mask_BC, torch.finfo(logits_BC.dtype).min)
    return filled.log_softmax(dim=1).masked_fill(~mask_BC, 0.0)


def weighted_mean(values_B: Tensor, weight_B: Tensor | None = None) -> Tensor:
    """Mean of values of shape (B,) under weights of shape (B,); 0 where all weights are 0."""
    if weight_B is None:
        return values_B.mean()
    weight_B = weight_B.to(values_B.dtype)
    return (weight_B * values_B).sum() / weight_B.sum().clamp(min=torch.finfo(values_B.dtype).tiny)


def check_class_shapes(
    logits_BC: Tensor, other_BC: Tensor, *, weight_B: Tensor | None, mask_BC: Tensor | None
) -> None:
    """Refuse shapes that broadcasting would silently accept."""
    if logits_BC.dim() != 2 or logits_BC.shape != other_BC.shape or len(logits_BC) == 0:
        raise InputError(
            f"Logits and targets have shapes {tuple(logits_BC.shape)} and {tuple(other_BC.shape)}; "
            "expected (B, C) twice with B of at least 1; give one row an image and one column a class."
        )
    if mask_BC is not None and (mask_BC.shape != logits_BC.shape or mask_BC.dtype != torch.bool):
        raise InputError(
            f"The mask has shape {tuple(mask_BC.shape)} and holds {mask_BC.dtype}; "
            f"expected {tuple(logits_BC.shape)} and torch.bool; mark with True where there is a class."
        )
    if weight_B is not None and weight_B.shape != logits_BC.shape[:1]:
        raise InputError(
            f"The weights have shape {tuple(weight_B.shape)}; expected ({len(logits_BC)},); "
            "give one weight an image."
        )
