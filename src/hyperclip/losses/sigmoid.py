"""SigLIP's pairwise sigmoid loss, with several positives in a row and memory linear in the batch.

Legend: B images, N texts, D embedding dim, c images in a chunk.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from hyperclip.errors import InputError
from hyperclip.losses.precision import at_least_float32, without_autocast

__all__ = ["initial_bias", "sigmoid_loss", "sigmoid_loss_from_logits"]


def sigmoid_loss(
    image_emb_BD: Tensor,
    text_emb_ND: Tensor,
    *,
    log_logit_scale: Tensor,
    logit_bias: Tensor,
    positive_BN: Tensor | None = None,
    weight_BN: Tensor | None = None,
    chunk_size: int | None = None,
) -> Tensor:
    """Rate every pair of image and text alone: does this text describe this image?

    Parameters
    ----------
    image_emb_BD : Tensor of shape (B, D)
        Any length; normalized here.
    text_emb_ND : Tensor of shape (N, D)
        Any length; normalized here.
    log_logit_scale : scalar Tensor
        Natural logarithm of the scale t.
    logit_bias : scalar Tensor
        b; see `initial_bias` for its start.
    positive_BN : Tensor of shape (B, N), bool, optional
        True where the text describes the image, any number in a row. Left out: text i describes
        image i, and texts after the first B describe none.
    weight_BN : Tensor of shape (B, N), in [0, inf), optional
        Weight of each pair; 0 leaves out pairs that may or may not match.
    chunk_size : int, optional
        Images whose logits are held at a time; they are computed again in the backward pass. Loss and
        gradients are those of the whole, and the memory is chunk_size x N instead of B x N.

    Returns
    -------
    Tensor
        Scalar, float32 (float64 where the embeddings are). Sum over all pairs, divided by B.

    Raises
    ------
    InputError
        If shapes do not fit together or `chunk_size` is below 1.

    Notes
    -----
    ``L = -1/B sum_ij log sigmoid(y_ij (t cos_ij + b))`` with ``y_ij`` 1 or -1. The formula printed in
    the paper has the bias with the other sign; its pseudocode and released code agree with this one.

    References
    ----------
    Zhai et al., "Sigmoid Loss for Language Image Pre-Training", arXiv 2303.15343, algorithm 1.
    Several positives, weights and chunks are ours.

    Examples
    --------
    >>> import torch
    >>> emb = torch.eye(2)
    >>> loss = sigmoid_loss(emb, emb, log_logit_scale=torch.tensor(0.0), logit_bias=torch.tensor(0.0))
    >>> round(loss.item(), 4)  # log(1 + 1/e) + log(2), once an image
    1.0064
    """
    n_images, n_texts = len(image_emb_BD), len(text_emb_ND)
    if n_images == 0 or image_emb_BD.shape[1:] != text_emb_ND.shape[1:]:
        raise InputError(
            f"The embeddings have shapes {tuple(image_emb_BD.shape)} and {tuple(text_emb_ND.shape)}; "
            "expected (B, D) and (N, D) with B of at least 1; use the same D for images and texts."
        )
    if positive_BN is None and n_texts < n_images:
        raise InputError(
            f"There are {n_images} images and {n_texts} texts; expected a text for each image; "
            "say with positive_BN which texts describe which images."
        )
    _check_pairs(positive_BN, weight_BN, (n_images, n_texts))
    if chunk_size is not None and chunk_size < 1:
        raise InputError(f"chunk_size is {chunk_size}; expected at least 1; leave it out for one chunk.")
    with without_autocast(image_emb_BD):
        images = functional.normalize(at_least_float32(image_emb_BD), dim=-1)
        texts = functional.normalize(at_least_float32(text_emb_ND), dim=-1)
        if chunk_size is None or chunk_size >= n_images:
            total = _rows_loss(images, texts, log_logit_scale, logit_bias, positive_BN, weight_BN, 0)
            return total / n_images
        total = images.new_zeros(())
        for start in range(0, n_images, chunk_size):
            rows = slice(start, start + chunk_size)
            total = total + checkpoint(
                _rows_loss,
                images[rows],
                texts,
                log_logit_scale,
                logit_bias,
                None if positive_BN is None else positive_BN[rows],
                None if weight_BN is None else weight_BN[rows],
                start,
                use_reentrant=False,
                preserve_rng_state=False,
            )
        return total / n_images


def sigmoid_loss_from_logits(
    logits_BN: Tensor, *, positive_BN: Tensor | None = None, weight_BN: Tensor | None = None
) -> Tensor:
    """The same loss where scale and bias are already in the logits, as those that a head makes.

    Parameters
    ----------
    logits_BN : Tensor of shape (B, N)
    positive_BN : Tensor of shape (B, N), bool, optional
        Left out: the diagonal.
    weight_BN : Tensor of shape (B, N), in [0, inf), optional

    Returns
    -------
    Tensor
        Scalar: sum over all pairs, divided by B.

    Raises
    ------
    InputError
        If shapes do not fit together.
    """
    if logits_BN.dim() != 2 or len(logits_BN) == 0:
        raise InputError(
            f"The logits have shape {tuple(logits_BN.shape)}; expected (B, N) with B of at least 1; "
            "give one row an image."
        )
    _check_pairs(positive_BN, weight_BN, tuple(logits_BN.shape))
    return _pairs_loss(at_least_float32(logits_BN), positive_BN, weight_BN, 0) / len(logits_BN)


def initial_bias(n_candidates: int, *, logit_scale: float = 10.0, mean_similarity: float = 0.0) -> float:
    """Bias at which one positive among the candidates is the base rate.

    Parameters
    ----------
    n_candidates : int
        Texts scored for each image, at least 1.
    logit_scale : float
        t, already exponentiated; matters only together with `mean_similarity`.
    mean_similarity : float
        Mean cosine between images and texts at the start, in [-1, 1].

    Returns
    -------
    float
        ``-log(n_candidates - 1) - logit_scale * mean_similarity``; the logarithm is 0 below 2
        candidates.

    Raises
    ------
    InputError
        If `n_candidates` is below 1.

    References
    ----------
    arXiv 2303.15343 starts at -10, which is this value for 22,027 candidates.

    Examples
    --------
    >>> round(initial_bias(64), 3)
    -4.143
    """
    if n_candidates < 1:
        raise InputError(f"n_candidates is {n_candidates}; expected at least 1; count the texts scored.")
    return -math.log(max(n_candidates - 1, 1)) - logit_scale * mean_similarity


def _rows_loss(
    image_emb_cD: Tensor,
    text_emb_ND: Tensor,
    log_logit_scale: Tensor,
    logit_bias: Tensor,
    positive_cN: Tensor | None,
    weight_cN: Tensor | None,
    start: int,
) -> Tensor:
    """Sum over the pairs of some images (the first is number `start`) with all texts."""
    # Checkpointing runs this again inside the backward pass, where autocast may be on or off.
    with without_autocast(image_emb_cD):
        logits_cN = log_logit_scale.exp() * (image_emb_cD @ text_emb_ND.T) + logit_bias
        return _pairs_loss(logits_cN, positive_cN, weight_cN, start)


def _pairs_loss(
    logits_cN: Tensor, positive_cN: Tensor | None, weight_cN: Tensor | None, start: int
) -> Tensor:
    if positive_cN is None:
        n_images, n_texts = logits_cN.shape
        own = torch.arange(start, start + n_images, device=logits_cN.device)
        positive_cN = own[:, None] == torch.arange(n_texts, device=logits_cN.device)
    losses_cN = -functional.logsigmoid(torch.where(positive_cN, logits_cN, -logits_cN))
    if weight_cN is not None:
        losses_cN = losses_cN * weight_cN
    return losses_cN.sum()


def _check_pairs(positive_BN: Tensor | None, weight_BN: Tensor | None, shape: tuple[int, ...]) -> None:
    for name, pairs in (("positive_BN", positive_BN), ("weight_BN", weight_BN)):
        if pairs is not None and tuple(pairs.shape) != shape:
            raise InputError(
                f"{name} has shape {tuple(pairs.shape)}; expected {shape}, images by texts; "
                "give one entry a pair."
            )
    if positive_BN is not None and positive_BN.dtype != torch.bool:
        raise InputError(
            f"positive_BN holds {positive_BN.dtype}; expected torch.bool; convert it with `.bool()`."
        )
