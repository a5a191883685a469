"""How much there is to gain: a finished control, optimized on the training pictures of one list.

Four freedoms: the head alone; scales and shifts; these and the weights of 1 x 1 convolutions (what the
arms `hyper` and `hyper_weights` generate, under the head of the names); everything. Each starts from the
control's weights, with BatchNorm's running statistics as they are. A fifth optimization controls these: equal
steps for scales, shifts and weights on pictures of *all* classes trained on, so that what training on would
give any list is not taken for what knowing the list gives.

Legend: N pictures, C classes of a list.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from benchmarks.claim_conditioning.measure import Pictures, prepare
from benchmarks.conditioning.arms import Arm
from torch import Tensor, nn
from torch.nn import functional

from hyperclip.data.cache import ImageCache
from hyperclip.models import HyperCLIP
from hyperclip.models.conditioned_norm import ConditionedNorm
from hyperclip.models.heads import ClassHead

__all__ = ["TrainingPictures", "accuracy", "free_parameters", "optimize"]

_BATCH_SIZE = 32
_WARMUP_SHARE = 0.1


class TrainingPictures(NamedTuple):
    """Pictures that training saw, and the few that were cut from them to choose on."""

    cache: ImageCache
    labels: npt.NDArray[np.int64]  # class of each picture, -1 for others
    n_development: int
    size_px: int

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        wnids: Sequence[str],
        label_wnids: Sequence[str],
        n_development: int,
        size_px: int,
    ) -> "TrainingPictures":
        """Open a cache whose labels count in the order of `label_wnids`."""
        cache = ImageCache.open(folder)
        place = {wnid: index for index, wnid in enumerate(wnids)}
        to_class = np.array([place.get(wnid, -1) for wnid in label_wnids] + [-1], dtype=np.int64)
        return cls(cache, to_class[np.asarray(cache.labels)], n_development, size_px)

    def of(
        self, classes: npt.NDArray[np.int64], *, is_development: bool, n_at_most: int | None = None
    ) -> Pictures:
        """Prepared pictures of some classes."""
        split = len(self.labels) - self.n_development
        rows = np.flatnonzero(np.isin(self.labels, classes))
        rows = rows[(rows >= split) == is_development]
        if n_at_most is not None and len(rows) > n_at_most:
            rows = np.sort(np.random.default_rng(0).permutation(rows)[:n_at_most])
        return Pictures(prepare(self.cache.images[rows], self.size_px), self.labels[rows])


def free_parameters(model: HyperCLIP, freedom: str) -> list[Tensor]:
    """Return the parameters of the image encoder that a freedom moves; the head is apart."""
    encoder = model.image_encoder
    if freedom == "head":
        return []
    if freedom == "everything":
        return list(encoder.parameters())
    norms = [module.norm for module in encoder.modules() if isinstance(module, ConditionedNorm)]
    moved: list[Tensor] = [parameter for norm in norms for parameter in (norm.weight, norm.bias)]
    if freedom == "norms_pointwise":
        moved += [
            module.weight
            for module in encoder.modules()
            if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and module.groups == 1
        ]
    return moved


def optimize(
    arm: Arm,
    asked: npt.NDArray[np.int64],
    train: Pictures,
    freedom: str,
    *,
    peak_lr: float,
    n_steps: int,
    seed: int = 0,
) -> tuple[HyperCLIP, ClassHead]:
    """Return a copy of a control that was optimized for a list, and its head.

    Parameters
    ----------
    arm : Arm
        A run without hypernetwork; left as it is.
    asked : ndarray of shape (C,), int64
    train : Pictures
        Of these classes.
    freedom : str
        One of `benchmarks.claim_conditioning.rates.FREEDOMS`.
    peak_lr : float
        Of Adam, reached after a tenth of the steps, then half a cosine down to zero.
    n_steps, seed : int
    """
    model = copy.deepcopy(arm.model).eval().requires_grad_(False)
    moved = free_parameters(model, freedom)
    with torch.no_grad():
        start = model.make_head(arm.class_emb_CE[torch.from_numpy(asked)])
    head = ClassHead(start.weight_CD.clone(), start.bias_C.clone())
    free: list[Tensor] = [*moved]
    if freedom in ("head", "everything"):
        free += [head.weight_CD, head.bias_C]
    for parameter in free:
        parameter.requires_grad_(True)
    groups = [
        {"params": [p for p in free if p is not head.weight_CD], "share": 1.0},
        # Rows of the head are as long as the logit scale (about 20), so they move in larger steps.
        {"params": [p for p in free if p is head.weight_CD], "share": 10.0},
    ]
    optimizer = torch.optim.Adam(
        [group for group in groups if group["params"]], lr=peak_lr, betas=(0.9, 0.99)
    )
    place = np.full(int(asked.max()) + 1, -1)
    place[asked] = np.arange(len(asked))
    target_N = torch.from_numpy(place[train.labels])
    fixed_ND = _embed(model, train.images_N3HW) if not moved else None
    for step, rows in enumerate(_batches(len(target_N), n_steps, seed=seed)):
        for group in optimizer.param_groups:
            group["lr"] = peak_lr * float(group["share"]) * _rate(step / n_steps)
        if fixed_ND is not None:
            embedding = fixed_ND[rows]
        else:
            images = train.images_N3HW[rows]
            if step % 2:  # every other batch in the mirror
                images = images.flip(3)
            embedding = model.embed_images(images.contiguous(memory_format=torch.channels_last))
        loss = functional.cross_entropy(model.head.logits(embedding, head), target_N[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(free, 5.0)
        optimizer.step()
    return model, ClassHead(head.weight_CD.detach(), head.bias_C.detach())


@torch.inference_mode()
def accuracy(model: HyperCLIP, head: ClassHead, asked: npt.NDArray[np.int64], pictures: Pictures) -> float:
    """Return the share of pictures of a list that a model with its head names rightly."""
    best = model.head.logits(_embed(model, pictures.images_N3HW), head).argmax(dim=1).numpy()
    return float((asked[best] == pictures.labels).mean())


@torch.no_grad()
def _embed(model: HyperCLIP, images_N3HW: Tensor, batch_size: int = 50) -> Tensor:
    batches = torch.split(images_N3HW, batch_size)
    return torch.cat([model.embed_images(batch).float() for batch in batches])


def _batches(n: int, n_steps: int, *, seed: int) -> Iterator[Tensor]:
    """Rows of each step; every picture once before any comes again."""
    rng = torch.Generator().manual_seed(seed)
    order = torch.zeros(0, dtype=torch.int64)
    for _ in range(n_steps):
        while len(order) < min(_BATCH_SIZE, n):
            order = torch.cat([order, torch.randperm(n, generator=rng)])
        yield order[:_BATCH_SIZE]
        order = order[_BATCH_SIZE:]


def _rate(progress: float) -> float:
    if progress < _WARMUP_SHARE:
        return (progress + 0.01) / (_WARMUP_SHARE + 0.01)
    return 0.5 * (1 + math.cos(math.pi * (progress - _WARMUP_SHARE) / (1 - _WARMUP_SHARE)))
