"""Learning from a teacher: its embeddings, the similarities among them, or its logits.

Gradients reach the student alone.

Legend: N texts or images, D student's dim, E teacher's dim, B images, C classes.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from hyperclip.errors import InputError
from hyperclip.losses.precision import at_least_float32, without_autocast
from hyperclip.losses.task import check_class_shapes, masked_log_softmax, weighted_mean

__all__ = ["embedding_distillation", "logit_distillation", "relational_distillation"]


def embedding_distillation(
    student_ND: Tensor, teacher_ND: Tensor, *, weight_N: Tensor | None = None
) -> Tensor:
    """Mean of 1 - cosine between the student's embeddings and the teacher's.

    Parameters
    ----------
    student_ND : Tensor of shape (N, D)
        Any length.
    teacher_ND : Tensor of shape (N, D)
        Any length; a constant.
    weight_N : Tensor of shape (N,), in [0, inf), optional

    Returns
    -------
    Tensor
        Scalar in [0, 2], float32 (float64 where the student is).

    Raises
    ------
    InputError
        If the shapes differ.

    Examples
    --------
    >>> import torch
    >>> embedding_distillation(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 5.0]])).item()
    1.0
    """
    if student_ND.dim() != 2 or student_ND.shape != teacher_ND.shape or len(student_ND) == 0:
        raise InputError(
            f"Student and teacher have shapes {tuple(student_ND.shape)} and {tuple(teacher_ND.shape)}; "
            "expected (N, D) twice with N of at least 1; project the student to the teacher's width, "
            "or use relational_distillation."
        )
    if weight_N is not None and weight_N.shape != student_ND.shape[:1]:
        raise InputError(
            f"The weights have shape {tuple(weight_N.shape)}; expected ({len(student_ND)},); "
            "give one weight an embedding."
        )
    student = functional.normalize(at_least_float32(student_ND), dim=1)
    teacher = functional.normalize(teacher_ND.detach().to(student.dtype), dim=1)
    return weighted_mean(1 - (student * teacher).sum(dim=1), weight_N)


def relational_distillation(
    student_ND: Tensor,
    teacher_NE: Tensor,
    *,
    temperature: float = 0.1,
    divergence: Literal["kl", "mse"] = "kl",
) -> Tensor:
    """Match who is similar to whom: the teacher's widths need not be the student's.

    Parameters
    ----------
    student_ND : Tensor of shape (N, D)
        Any length.
    teacher_NE : Tensor of shape (N, E)
        Any length; a constant.
    temperature : float
        Cosines are divided by it before the softmax over the other N - 1 rows.
    divergence : {"kl", "mse"}
        KL(teacher || student) of each row, or the squared difference of the row's probabilities.

    Returns
    -------
    Tensor
        Scalar, at least 0, float32 (float64 where the student is): the mean over the rows of the sum
        over the others. 0 below three rows, where there is nothing to compare.

    Raises
    ------
    InputError
        If the numbers of rows differ, or the temperature or divergence is unknown.

    Notes
    -----
    A row's similarity to itself is left out: it is 1 in every space and would take most of the
    softmax.
    """
    if student_ND.dim() != 2 or teacher_NE.dim() != 2 or len(student_ND) != len(teacher_NE):
        raise InputError(
            f"Student and teacher have shapes {tuple(student_ND.shape)} and {tuple(teacher_NE.shape)}; "
            "expected (N, D) and (N, E); embed the same N things with both."
        )
    _check_temperature(temperature)
    if divergence not in ("kl", "mse"):
        raise InputError(f"divergence is {divergence!r}; expected 'kl' or 'mse'; choose one.")
    if len(student_ND) < 2:
        return 0.0 * at_least_float32(student_ND).sum()
    student = at_least_float32(student_ND)
    others_NN = ~torch.eye(len(student), dtype=torch.bool, device=student.device)
    log_student = masked_log_softmax(_cosines(student) / temperature, others_NN)
    teacher = _cosines(teacher_NE.detach().to(student.dtype))
    log_teacher = masked_log_softmax(teacher / temperature, others_NN)
    if divergence == "kl":
        return _kl(log_teacher, log_student).mean()
    # Masked logarithms are 0, so both probabilities are 1 there and the difference is 0.
    return (log_student.exp() - log_teacher.exp()).square().sum(dim=1).mean()


def logit_distillation(
    student_BC: Tensor,
    teacher_BC: Tensor,
    *,
    temperature: float = 1.0,
    weight_B: Tensor | None = None,
    mask_BC: Tensor | None = None,
) -> Tensor:
    """KL divergence from the teacher's softened class probabilities to the student's.

    Parameters
    ----------
    student_BC : Tensor of shape (B, C)
        Logits.
    teacher_BC : Tensor of shape (B, C)
        Logits; a constant.
    temperature : float
        Divides both; above 1 it shows more of the unlikely classes.
    weight_B : Tensor of shape (B,), in [0, inf), optional
    mask_BC : Tensor of shape (B, C), bool, optional
        True where there is a class.

    Returns
    -------
    Tensor
        Scalar, at least 0, float32 (float64 where the student is): the weighted mean over the images,
        times temperature squared, so that gradients keep their size when the temperature changes.

    Raises
    ------
    InputError
        If the shapes differ or the temperature is not positive.

    References
    ----------
    Hinton et al., "Distilling the Knowledge in a Neural Network", arXiv 1503.02531, section 2.
    """
    check_class_shapes(student_BC, teacher_BC, weight_B=weight_B, mask_BC=mask_BC)
    _check_temperature(temperature)
    log_student = masked_log_softmax(at_least_float32(student_BC) / temperature, mask_BC)
    log_teacher = masked_log_softmax(teacher_BC.detach().to(log_student.dtype) / temperature, mask_BC)
    return temperature**2 * weighted_mean(_kl(log_teacher, log_student), weight_B)


def _cosines(emb_ND: Tensor) -> Tensor:
    unit_ND = functional.normalize(emb_ND, dim=1)
    with without_autocast(unit_ND):
        return unit_ND @ unit_ND.T


def _kl(log_teacher_BC: Tensor, log_student_BC: Tensor) -> Tensor:
    """KL(teacher || student) of each row; masked logarithms are 0 on both sides and add nothing."""
    return (log_teacher_BC.exp() * (log_teacher_BC - log_student_BC)).sum(dim=1)


def _check_temperature(temperature: float) -> None:
    if not temperature > 0:
        raise InputError(f"temperature is {temperature}; expected a positive number; try 1.")
