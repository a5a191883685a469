"""Which texts describe which images, where texts coincide.

Legend: B images, N texts, T tokens.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from hyperclip.errors import InputError

__all__ = ["positives_from_texts"]


def positives_from_texts(
    texts: Sequence[str] | Tensor, candidates: Sequence[str] | Tensor | None = None
) -> Tensor:
    """Mark the candidate texts that coincide with each image's own text.

    In batches of class names, or of short captions, texts repeat; an equal text is no negative.

    Parameters
    ----------
    texts : sequence of B str, or Tensor of shape (B,) or (B, T), int64
        Each image's text, its id or its padded token ids. Strings are compared without regard to
        case and to white space at the ends or repeated.
    candidates : sequence of N str, or Tensor, optional
        The texts that are scored; the images' own texts where left out.

    Returns
    -------
    Tensor of shape (B, N), bool
        On the device of `texts`, or on the CPU for strings.

    Examples
    --------
    >>> positives_from_texts(["cat", "dog", "Cat "]).int().tolist()
    [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
    """
    others = texts if candidates is None else candidates
    if isinstance(texts, Tensor) and isinstance(others, Tensor):
        if texts.dim() == 1:
            return texts[:, None] == others[None, :]
        return (texts[:, None, :] == others[None, :, :]).all(dim=-1)
    if isinstance(texts, Tensor) or isinstance(others, Tensor):
        raise InputError(
            "One list holds strings and the other ids; expected the same kind; convert one of them."
        )
    number: dict[str, int] = {}
    ids = [
        torch.tensor(
            [number.setdefault(" ".join(text.casefold().split()), len(number)) for text in side],
            dtype=torch.int64,
        )
        for side in (texts, others)
    ]
    return ids[0][:, None] == ids[1][None, :]
