"""One finished run on all lists, under its own names, another list's, all names and none.

Legend: N pictures, C classes of a list, D embedding dim, P generated parameters, K all classes.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from benchmarks.claim_conditioning.lists import Group
from benchmarks.conditioning.arms import MEAN, STD, Arm, context_delta
from benchmarks.conditioning.swap_test import relative_variance
from torch import Tensor
from torch.nn import functional

from hyperclip.data.augment import normalize_images

__all__ = ["CONTEXTS", "Pictures", "digest", "measure_run", "prepare", "training_figures"]

CONTEXTS = ("own", "swapped", "all_names", "none")
_BATCH_SIZE = 50  # maps of so many pictures stay in the processor's cache


class Pictures(NamedTuple):
    """Pictures as the encoders take them."""

    images_N3HW: Tensor  # noqa: N815 (shape letters)
    labels: npt.NDArray[np.int64]

    def rows_of(self, classes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Rows whose class is one of a list's."""
        return np.flatnonzero(np.isin(self.labels, classes))


def prepare(pixels_NHW3: npt.NDArray[np.uint8], size_px: int) -> Tensor:
    """Resize and normalize once what every run is asked, shape (N, 3, size, size)."""
    parts = []
    for start in range(0, len(pixels_NHW3), _BATCH_SIZE):
        images = torch.from_numpy(pixels_NHW3[start : start + _BATCH_SIZE]).permute(0, 3, 1, 2).float() / 255
        if images.shape[-1] != size_px:
            images = functional.interpolate(images, (size_px, size_px), mode="bicubic", antialias=True)
        images = normalize_images(images.clamp(0, 1), MEAN, STD)
        parts.append(images.contiguous(memory_format=torch.channels_last))
    return torch.cat(parts)


def measure_run(
    arm: Arm,
    groups: Mapping[str, Group],
    pictures: Pictures,
    *,
    n_main: int,
    on_progress: Callable[[str], None] = lambda message: None,
) -> dict[str, Any]:
    """Return accuracies by group and context: of each list, or of each class where a group is one wide list.

    Parameters
    ----------
    arm : Arm
        With the embeddings of all K names.
    groups : mapping of str to Group
    pictures : Pictures
    n_main : int
        The names of the context ``all_names`` are the first `n_main`.
    """
    views = _Views(arm, pictures, n_main=n_main, lists=groups["neighbors"].lists)
    found: dict[str, Any] = {}
    for name, group in groups.items():
        contexts = [c for c in views.contexts if c != "swapped" or not name.startswith("random_")]
        values: dict[str, list[float]] = {context: [] for context in contexts}
        for asked, partner in zip(group.lists, group.partners, strict=True):
            rows = pictures.rows_of(asked)
            head = arm.model.make_head(arm.class_emb_CE[torch.from_numpy(asked)])
            for context in contexts:
                embedding = views.embedding(context, rows, own=asked, partner=partner)
                with torch.inference_mode():
                    best = arm.model.head.logits(embedding, head).argmax(dim=1).numpy()
                is_right = asked[best] == pictures.labels[rows]
                if group.is_wide:
                    of_class = [is_right[pictures.labels[rows] == label] for label in asked]
                    values[context] = [float(right.mean()) for right in of_class if len(right)]
                else:
                    values[context].append(float(is_right.mean()))
        found[name] = values
        on_progress(
            f"{name}: " + ", ".join(f"{context} {100 * np.mean(v):.1f}" for context, v in values.items())
        )
    changes = views.changes
    return {
        "n_generated": arm.model.image_encoder.n_generated if arm.model.hypernetwork is not None else 0,
        "n_encoder_parameters": sum(p.numel() for p in arm.model.image_encoder.parameters()),
        "accuracy": found,
        "change_relative_variance": relative_variance(changes),
        "change_rms": float(np.sqrt(np.square(changes).mean())) if changes.size else None,
    }


class _Views:
    """Embeddings under each context; what many lists share is computed once."""

    def __init__(
        self, arm: Arm, pictures: Pictures, *, n_main: int, lists: tuple[npt.NDArray[np.int64], ...]
    ) -> None:
        self._arm, self._pictures = arm, pictures
        deltas = [delta for one in lists if (delta := context_delta(arm, one)) is not None]
        self.changes = torch.cat(deltas).numpy() if deltas else np.zeros((len(lists), 0))
        self.contexts = CONTEXTS if deltas else ("none",)
        everything = np.arange(len(pictures.labels))
        self._of_all = {"none": self._embed(everything, None)}
        if deltas:
            broad = context_delta(arm, np.arange(n_main))
            self._of_all["all_names"] = self._embed(everything, broad)
            if all(torch.equal(delta, deltas[0]) for delta in deltas):  # names are not read
                self._of_all |= dict.fromkeys(("own", "swapped"), self._embed(everything, deltas[0]))

    def embedding(
        self,
        context: str,
        rows: npt.NDArray[np.int64],
        *,
        own: npt.NDArray[np.int64],
        partner: npt.NDArray[np.int64],
    ) -> Tensor:
        """Embeddings of some pictures, (n, D)."""
        if context in self._of_all:
            return self._of_all[context][rows]
        return self._embed(rows, context_delta(self._arm, own if context == "own" else partner))

    @torch.inference_mode()
    def _embed(self, rows: npt.NDArray[np.int64], delta_1P: Tensor | None) -> Tensor:
        images = self._pictures.images_N3HW
        parts = [
            self._arm.model.embed_images(images[rows[start : start + _BATCH_SIZE]], delta_1P).float()
            for start in range(0, len(rows), _BATCH_SIZE)
        ]
        return torch.cat(parts)


def digest(run: Path) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of a run's weights."""
    return hashlib.sha256((run / "weights.safetensors").read_bytes()).hexdigest()[:16]


def training_figures(run: Path) -> dict[str, Any]:
    """Return what a run logged: its losses by step, and the middle of its seconds a step."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if "loss" in row]
    return {
        "losses": [[row["step"], row["loss"], row.get("task_loss")] for row in rows],
        "seconds_per_step": float(np.median([row["seconds_per_step"] for row in rows])),
    }
