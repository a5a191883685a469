"""Fit the temperature that makes probabilities honest, on pictures that training did not see.

``python -m hyperclip.export.temperature RUN CACHE --held-out N`` prints it for the neutral encoder on
ten-way tasks, half of them random and half of neighbors, over the last N pictures of a cache. A model that
shares another's text side is measured with that of the other's run (``--text-side``).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hyperclip.errors import InputError

__all__ = ["fit_temperature", "run_temperature"]


def fit_temperature(
    logits: Sequence[npt.NDArray[np.floating]], targets: Sequence[npt.NDArray[np.integer]]
) -> float:
    """The temperature with the least negative log-likelihood over several tasks.

    Parameters
    ----------
    logits : sequence of ndarray of shape (n_images, n_classes)
        One array a task.
    targets : sequence of ndarray of shape (n_images,), int
        Class indices.

    Returns
    -------
    float
        In [0.05, 20]; probabilities are softmax(logits / temperature).

    Raises
    ------
    InputError
        If there are no pictures.
    """
    if not sum(len(rows) for rows in logits):
        raise InputError(
            "There are no pictures to fit a temperature on; expected some; give held-out pictures."
        )

    def loss(log_temperature: float) -> float:
        total, count = 0.0, 0
        for rows, target in zip(logits, targets, strict=True):
            scaled = np.asarray(rows, np.float64) / np.exp(log_temperature)
            scaled -= scaled.max(axis=1, keepdims=True)
            log_z = np.log(np.exp(scaled).sum(axis=1))
            total += float((log_z - scaled[np.arange(len(target)), target]).sum())
            count += len(target)
        return total / count

    low, high = np.log(0.05), np.log(20.0)
    ratio = (np.sqrt(5) - 1) / 2
    for _ in range(40):  # golden section: the loss has one minimum in the inverse temperature
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return round(float(np.exp((low + high) / 2)), 4)


def run_temperature(
    run: Path,
    cache: Path,
    *,
    n_held_out: int,
    size_px: int = 160,
    n_tasks: int = 60,
    trained_share: float = 1.0,
    text_side: Path | None = None,
) -> float:
    """Fit the temperature of a finished run; its recipe says which texts and classes it knows.

    Parameters
    ----------
    run : Path
        Run folder of the `hyperclip` objective.
    cache : Path
        Decoded pictures with labels.
    n_held_out : int
        The last pictures of the cache, which the run did not train on.
    size_px : int
        Side at which pictures are embedded.
    n_tasks : int
        Ten-way tasks.
    trained_share : float
        As in `hyperclip.export.bundle.load_run`.
    text_side : Path, optional
        Run folder of the model whose text side is shared: texts, classes and head are then those of that
        run, and only the image encoder is that of `run`.
    """
    import torch
    from torch.nn import functional

    from hyperclip.data.augment import normalize_images
    from hyperclip.data.cache import ImageCache
    from hyperclip.data.fixed_tasks import neighbor_tasks
    from hyperclip.data.wordnet import read_hierarchy
    from hyperclip.export.bundle import load_run
    from hyperclip.models.imported_text import AnyTextEncoder
    from hyperclip.train.class_texts import ClassTexts
    from hyperclip.train.hyperclip_batches import IMAGE_MEAN, IMAGE_STD
    from hyperclip.train.recipe import objective_section

    recipe = objective_section(text_side or run)
    model, tokenizer = load_run(run, trained_share=trained_share)
    image_encoder = model.image_encoder
    if text_side is not None:
        model, tokenizer = load_run(text_side)
    hierarchy = read_hierarchy(recipe["classes"], text_knowledge=recipe["text_knowledge"])
    assert isinstance(model.text_encoder, AnyTextEncoder)
    glossary = Path(recipe["glossary"]) if recipe.get("glossary") else None
    meanings = Path(recipe["meanings"]) if recipe["meanings"] else None
    texts = ClassTexts(model.text_encoder, tokenizer, meanings, glossary=glossary)
    pictures = ImageCache.open(cache)
    pixels = np.array(pictures.images[len(pictures) - n_held_out :])
    leaf = pictures.labels[len(pictures) - n_held_out :]
    classes = np.unique(leaf)
    class_emb = texts.embed([hierarchy.leaf_names[i] for i in classes], [hierarchy.wnids[i] for i in classes])
    rng = np.random.default_rng(1)
    tasks = list(neighbor_tasks(class_emb, n_tasks=n_tasks // 2, n_classes=10, rng=rng))
    tasks += [rng.choice(len(classes), size=10, replace=False) for _ in range(n_tasks - len(tasks))]
    parts = []
    with torch.inference_mode():
        for start in range(0, n_held_out, 64):
            images = torch.from_numpy(pixels[start : start + 64]).permute(0, 3, 1, 2).float() / 255
            images = functional.interpolate(images, size=(size_px, size_px), mode="bicubic", antialias=True)
            parts.append(image_encoder(normalize_images(images.clamp(0, 1), IMAGE_MEAN, IMAGE_STD)))
        embedding = torch.cat(parts)
        logits, targets = [], []
        for task in tasks:
            rows = np.flatnonzero(np.isin(leaf, classes[task]))
            head = model.make_head(torch.from_numpy(class_emb[task]))
            logits.append(model.head.logits(embedding[rows], head).numpy())
            place = {int(classes[c]): i for i, c in enumerate(task)}
            targets.append(np.array([place[int(leaf[row])] for row in rows]))
    return fit_temperature(logits, targets)


def main(arguments: list[str] | None = None) -> None:
    """Command line of `run_temperature`."""
    parser = argparse.ArgumentParser(prog="python -m hyperclip.export.temperature", description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--held-out", type=int, required=True)
    parser.add_argument("--size-px", type=int, default=160)
    parser.add_argument("--trained-share", type=float, default=1.0)
    parser.add_argument("--text-side", type=Path)
    options = parser.parse_args(arguments)
    print(
        run_temperature(
            options.run,
            options.cache,
            n_held_out=options.held_out,
            size_px=options.size_px,
            trained_share=options.trained_share,
            text_side=options.text_side,
        )
    )


if __name__ == "__main__":
    main()
