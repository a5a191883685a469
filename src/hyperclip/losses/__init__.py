"""Training objectives: pure functions of tensors (needs PyTorch)."""

from hyperclip.losses.distillation import (
    embedding_distillation,
    logit_distillation,
    relational_distillation,
)
from hyperclip.losses.positives import positives_from_texts
from hyperclip.losses.sigmoid import initial_bias, sigmoid_loss, sigmoid_loss_from_logits
from hyperclip.losses.task import task_softmax_loss

__all__ = [
    "embedding_distillation",
    "initial_bias",
    "logit_distillation",
    "positives_from_texts",
    "relational_distillation",
    "sigmoid_loss",
    "sigmoid_loss_from_logits",
    "task_softmax_loss",
]
