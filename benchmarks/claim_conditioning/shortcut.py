"""Does a list's context tell its classes apart, or only push pictures toward the list?

Pictures of a list are asked among *all* classes trained on, under the list's own context and under none. An
encoder that was told the list can gain there by leaning toward the list's classes alone.

Legend: N pictures, C classes.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from benchmarks.claim_conditioning.measure import Pictures
from benchmarks.conditioning.arms import Arm, context_delta

__all__ = ["measure_shortcut"]


@torch.inference_mode()
def measure_shortcut(
    arm: Arm, lists: Sequence[npt.NDArray[np.int64]], seen: npt.NDArray[np.int64], pictures: Pictures
) -> dict[str, dict[str, list[float]]]:
    """Return by context and list: answers inside the list, right answers among all, right within the list.

    Parameters
    ----------
    arm : Arm
    lists : sequence of ndarray of shape (C,), int64
        Of classes that are all in `seen`.
    seen : ndarray of int64
        Candidates of the wide question.
    pictures : Pictures
    """
    found: dict[str, dict[str, list[float]]] = {}
    head = arm.model.make_head(arm.class_emb_CE[torch.from_numpy(seen)])
    for asked in lists:
        rows = pictures.rows_of(asked)
        images, labels = pictures.images_N3HW[rows], pictures.labels[rows]
        is_asked = np.isin(seen, asked)
        own = context_delta(arm, asked)
        contexts = {"none": None} if own is None else {"own": own, "none": None}
        for context, delta in contexts.items():
            parts = [arm.model.embed_images(batch, delta).float() for batch in torch.split(images, 50)]
            logits = arm.model.head.logits(torch.cat(parts), head).numpy()
            among_all = seen[logits.argmax(axis=1)]
            within = seen[is_asked][logits[:, is_asked].argmax(axis=1)]
            values = found.setdefault(context, {"inside": [], "right_among_all": [], "right_within": []})
            values["inside"].append(float(np.isin(among_all, asked).mean()))
            values["right_among_all"].append(float((among_all == labels).mean()))
            values["right_within"].append(float((within == labels).mean()))
    return found
