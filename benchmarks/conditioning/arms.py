"""Finished runs that differ in their hypernetwork alone, in PyTorch, on the same tasks.

Legend: N pictures, T tasks, C classes, E text dim, R contexts, P generated parameters.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from benchmarks.conditioning.swap_test import relative_variance, summarize
from benchmarks.conditioning.tasks import Classes, swap_partners
from torch import Tensor
from torch.nn import functional

from hyperclip.data.augment import normalize_images
from hyperclip.export.bundle import load_run
from hyperclip.models import HyperCLIP, TextEncoder
from hyperclip.train.class_texts import ClassTexts
from hyperclip.train.recipe import read_toml

__all__ = ["Arm", "context_delta", "embed", "measure_arm", "open_arm", "task_accuracy"]

BATCH_SIZE = 250
MEAN = STD = (0.5, 0.5, 0.5)


class Arm(NamedTuple):
    """A finished run, ready to be asked."""

    model: HyperCLIP
    class_emb_CE: Tensor  # noqa: N815 (shape letters); of all classes
    held_out: tuple[int, ...]  # class indices that training never named
    size_px: int
    recipe: dict[str, Any]


@torch.no_grad()
def open_arm(run: Path, classes: Classes) -> Arm:
    """Load a run and embed the names of all classes with the meanings that training used."""
    model, tokenizer = load_run(run)
    recipe = read_toml(run / "recipe.toml")
    assert isinstance(model.text_encoder, TextEncoder)
    texts = ClassTexts(model.text_encoder, tokenizer, Path(recipe["hyperclip"]["meanings"]))
    features = texts.features(classes.names, classes.wnids)
    held = set(json.loads((run / "model.json").read_text(encoding="utf-8"))["held_out_wnids"])
    return Arm(
        model=model.to(memory_format=torch.channels_last),
        class_emb_CE=texts.class_embeddings(features, model.text_encoder),
        held_out=tuple(index for index, wnid in enumerate(classes.wnids) if wnid in held),
        size_px=max(recipe["hyperclip"]["data"]["sizes_px"]),
        recipe=recipe,
    )


@torch.inference_mode()
def embed(
    arm: Arm, pixels_NHW3: npt.NDArray[np.uint8], delta_1P: Tensor | None, *, batch_size: int = BATCH_SIZE
) -> Tensor:
    """Return the embeddings of pictures under one context, or none."""
    parts = []
    for start in range(0, len(pixels_NHW3), batch_size):
        images = torch.from_numpy(pixels_NHW3[start : start + batch_size]).permute(0, 3, 1, 2).float() / 255
        if images.shape[-1] != arm.size_px:
            images = functional.interpolate(images, (arm.size_px,) * 2, mode="bicubic", antialias=True)
        images = normalize_images(images.clamp(0, 1), MEAN, STD).to(memory_format=torch.channels_last)
        parts.append(arm.model.embed_images(images, delta_1P).float())
    return torch.cat(parts)


@torch.inference_mode()
def context_delta(arm: Arm, classes: npt.NDArray[np.int64] | Sequence[int]) -> Tensor | None:
    """Return what the hypernetwork generates for a list of classes, (1, P); None where there is none."""
    return arm.model.generate(arm.class_emb_CE[torch.as_tensor(np.asarray(classes))][None])


@torch.inference_mode()
def task_accuracy(
    arm: Arm, embedding_NE: Tensor, labels: npt.NDArray[np.int64], task: npt.NDArray[np.int64]
) -> float:
    """Return the share of pictures, all of classes of the task, that are recognized among them."""
    head = arm.model.make_head(arm.class_emb_CE[torch.as_tensor(task)])
    best = arm.model.head.logits(embedding_NE, head).argmax(dim=1).numpy()
    return float((task[best] == labels).mean())


def measure_arm(
    arm: Arm,
    groups: dict[str, npt.NDArray[np.int64]],
    pixels: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    *,
    on_progress: Callable[[str], None] = lambda message: None,
) -> dict[str, Any]:
    """Measure accuracy over all classes, and the swap test on each group of tasks.

    Parameters
    ----------
    arm : Arm
    groups : dict of str to ndarray of shape (T, C), int64
        Tasks by name of the group.
    pixels, labels : ndarray of shape (N, H, W, 3), uint8, and (N,), int64
    """
    n_classes = len(arm.class_emb_CE)
    seen = np.setdiff1d(np.arange(n_classes), arm.held_out)
    neutral = embed(arm, pixels, None)
    broad_delta = context_delta(arm, seen)
    broad = neutral if broad_delta is None else embed(arm, pixels, broad_delta)
    ways = {"all": np.arange(n_classes), "seen": seen, "held_out": np.array(arm.held_out, dtype=np.int64)}
    accuracy = {}
    for name, asked in ways.items():
        if len(asked) < 2:
            continue
        rows = np.flatnonzero(np.isin(labels, asked))
        accuracy[name] = {
            "n_classes": len(asked),
            "neutral": task_accuracy(arm, neutral[rows], labels[rows], asked),
            "all_names": task_accuracy(arm, broad[rows], labels[rows], asked),
        }
    on_progress(", ".join(f"{name} {values['neutral']:.3f}" for name, values in accuracy.items()))
    return {
        "n_steps": arm.recipe["run"]["n_steps"],
        "seed": arm.recipe["run"]["seed"],
        "hypernetwork": arm.recipe["hyperclip"]["model"].get("hypernetwork", {}).get("kind", "none"),
        "n_generated": arm.model.image_encoder.n_generated if arm.model.hypernetwork is not None else 0,
        "accuracy": accuracy,
        "groups": {
            name: _swap_test(arm, tasks, pixels, labels, neutral=neutral, broad=broad)
            for name, tasks in groups.items()
        },
    }


def _swap_test(
    arm: Arm,
    tasks: npt.NDArray[np.int64],
    pixels: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    *,
    neutral: Tensor,
    broad: Tensor,
) -> dict[str, Any]:
    partners = swap_partners(tasks)
    found: dict[str, list[float]] = {"own": [], "neutral": [], "swapped": [], "all_names": []}
    deltas = []
    for index, task in enumerate(tasks):
        rows = np.flatnonzero(np.isin(labels, task))
        delta = context_delta(arm, task)
        found["neutral"].append(task_accuracy(arm, neutral[rows], labels[rows], task))
        if delta is None:
            for context in ("own", "swapped", "all_names"):
                found[context].append(found["neutral"][-1])
            continue
        deltas.append(delta[0].numpy())
        other = context_delta(arm, tasks[partners[index]])
        for context, under in (("own", delta), ("swapped", other)):
            found[context].append(task_accuracy(arm, embed(arm, pixels[rows], under), labels[rows], task))
        found["all_names"].append(task_accuracy(arm, broad[rows], labels[rows], task))
    changes = np.stack(deltas) if deltas else np.zeros((len(tasks), 0))
    return {
        **summarize({context: np.array(values) for context, values in found.items()}),
        "tasks": tasks.tolist(),
        "swapped_with": partners.tolist(),
        "change_relative_variance": relative_variance(changes),
        "change_rms": float(np.sqrt(np.square(changes).mean())) if changes.size else None,
    }
