"""Flickr8k: captions to photographs and back, with captions as the classes of one large classifier.

The neutral encoder serves, as there is no task in particular. Rankings are by the raw logits.

Legend: B photographs, M captions, 5 captions a photograph.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from benchmarks.intervals import bootstrap_mean
from benchmarks.zero_shot.baseline import TextSide, mixture_scores, softmax, spread
from benchmarks.zero_shot.trunk import Trunk, trunk_size

from hyperclip.runtime.names import same_name_key
from hyperclip.runtime.specialize import Model

__all__ = ["CaptionedPhotos", "best_ranks", "chance", "measure_retrieval", "read_flickr8k", "recalls"]

PLACES = (1, 5, 10)
Floats = npt.NDArray[np.float32]


class CaptionedPhotos(NamedTuple):
    """Photographs with their captions."""

    pictures: list[bytes]
    captions: list[str]  # all, photograph by photograph
    photo_of_caption: npt.NDArray[np.int64]  # (M,)


def read_flickr8k(path: Path, *, limit: int | None = None) -> CaptionedPhotos:
    """Read photographs and captions from Parquet with the columns ``image`` and ``captions``."""
    import pyarrow.parquet as pq

    rows = pq.read_table(path, columns=["image", "captions"]).to_pylist()[:limit]
    counts = [len(row["captions"]) for row in rows]
    return CaptionedPhotos(
        [row["image"]["bytes"] for row in rows],
        [caption for row in rows for caption in row["captions"]],
        np.repeat(np.arange(len(rows)), counts),
    )


def best_ranks(scores: Floats, fits: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return for each query how many candidates score higher than its best fitting one.

    Parameters
    ----------
    scores : ndarray of shape (n_queries, n_candidates)
        Of equal scores the earlier candidate comes first.
    fits : ndarray of shape (n_queries, n_candidates), bool
    """
    own = np.where(fits, scores, -np.inf)
    place = own.argmax(axis=1)[:, None]
    best = np.take_along_axis(own, place, axis=1)
    is_before = (scores > best) | ((scores == best) & (np.arange(scores.shape[1]) < place))
    return np.asarray(is_before.sum(axis=1), np.int64)


def recalls(scores_BM: Floats, photo_of_caption: npt.NDArray[np.int64]) -> dict[str, dict[str, Any]]:
    """Return recall at 1, 5 and 10 in both directions, with intervals over photographs.

    Parameters
    ----------
    scores_BM : ndarray of shape (B, M)
    photo_of_caption : ndarray of shape (M,), int

    Returns
    -------
    dict
        ``image_to_text`` and ``text_to_image``, each ``r1`` ... to mean, low and high. A photograph's
        captions are not independent, so the interval of ``text_to_image`` is over photographs too.
    """
    n_photos = len(scores_BM)
    fits_BM = photo_of_caption[None, :] == np.arange(n_photos)[:, None]
    ranks_B = best_ranks(scores_BM, fits_BM)
    ranks_M = best_ranks(np.ascontiguousarray(scores_BM.T), np.ascontiguousarray(fits_BM.T))
    n_captions_B = np.bincount(photo_of_caption, minlength=n_photos)
    found: dict[str, dict[str, Any]] = {"image_to_text": {}, "text_to_image": {}}
    for k in PLACES:
        found["image_to_text"][f"r{k}"] = bootstrap_mean(ranks_B < k)._asdict()
        hits_B = np.bincount(photo_of_caption, weights=ranks_M < k, minlength=n_photos)
        found["text_to_image"][f"r{k}"] = bootstrap_mean(hits_B / n_captions_B)._asdict()
    return found


def chance(n_photos: int, n_captions_each: int) -> dict[str, dict[str, float]]:
    """Return the expected recalls of a random order."""
    n_captions = n_photos * n_captions_each
    found: dict[str, dict[str, float]] = {"image_to_text": {}, "text_to_image": {}}
    for k in PLACES:
        drawn = np.arange(min(k, n_captions))
        missed = np.prod(np.maximum(n_captions - n_captions_each - drawn, 0) / (n_captions - drawn))
        found["image_to_text"][f"r{k}"] = float(1 - missed)
        found["text_to_image"][f"r{k}"] = min(1.0, k / n_photos)
    return found


def measure_retrieval(
    model: Model, photos: CaptionedPhotos, *, text: TextSide, trunk: Trunk
) -> dict[str, Any]:
    """Measure the model and the baseline (mixture in CLIP's geometry, captions without glosses)."""
    unique, index = _merged(photos.captions)
    classifier = model.specialize(unique, templates=["{}"], use_glossary=False, context="neutral")
    scores_BM = classifier.decision_function(photos.pictures)[:, index]
    size_px = model.manifest.images.size_px
    shares_BK = softmax(trunk.logits(photos.pictures, size_px=trunk_size(size_px))).astype(np.float32)
    captions_MF = text.to_clip(text.names(unique))
    weights_MK = spread(captions_MF, text.clip_concepts_KF)
    return {
        "n_images": len(photos.pictures),
        "n_captions": len(photos.captions),
        "image_size_px": size_px,
        "chance": chance(len(photos.pictures), round(len(photos.captions) / len(photos.pictures))),
        "model": recalls(scores_BM, photos.photo_of_caption),
        "baseline": {
            name: recalls(mixture_scores(shares_BK, weights_MK, beta=beta)[:, index], photos.photo_of_caption)
            for name, beta in (("clip_mixture_0", 0.0), ("clip_mixture_half", 0.5))
        },
    }


def _merged(captions: Sequence[str]) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Return the different captions, and the place of each caption among them."""
    place: dict[str, int] = {}
    first: list[str] = []
    index = []
    for caption in captions:
        key = same_name_key(caption)
        if key not in place:
            place[key] = len(first)
            first.append(caption.strip())
        index.append(place[key])
    return first, np.array(index, dtype=np.int64)
