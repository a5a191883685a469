"""Train a classifier's head, and a scale and a shift of each channel of its encoder, on a few pictures.

Normalization layers are baked into the convolutions of a file; what they could still change, the size
and the mean of each channel, is given back as a scale and a shift behind each convolution. All other
weights of the encoder stay as they are.

Legend: B pictures, F channels, H W pixels, C classes.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperclip.adapt.tuned_numbers import ChannelChange, TunedNumbers
from hyperclip.bundle.manifest import ImageSpec
from hyperclip.compress.graph_module import GraphModule
from hyperclip.errors import InputError
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.model_file import parse_model
from hyperclip.runtime.preprocess_graph import PIXELS
from hyperclip.runtime.replace_numbers import stored_numbers

__all__ = ["Lesson", "Rates", "TunableClassifier", "train"]

BATCH_SIZE = 8
AT_ONCE = 4  # pictures of a batch that go through the network together: faster on a processor, less memory
N_MEASURED = 32  # pictures on which the size of channels is measured
MAX_SHIFT = 0.1  # of the side, by which a training view is moved; by whole pixels, which blurs nothing
MAX_GRAD_NORM = 5.0
TINY = 1e-6


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What is trained on.

    Parameters
    ----------
    pixels : ndarray of shape (n_images, side, side, 3), uint8
        RGB, as the classifier is given them.
    target : ndarray of shape (n_images,), int64
    weights : ndarray of shape (n_images,), float64
        Of each picture in the loss.
    temperature : float
        What logits are divided by in the loss.
    """

    pixels: npt.NDArray[np.uint8]
    target: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]
    temperature: float


@dataclass(frozen=True, kw_only=True)
class Rates:
    """How far one step goes at most.

    Parameters
    ----------
    channels : float
        Of a scale, and of a shift in standard deviations of its channel.
    head : float
        Of a logit, in temperatures, where all numbers of the head change in its favor.
    """

    channels: float
    head: float


class TunableClassifier(nn.Module):
    """A classifier file as a module in which head, scales and shifts learn.

    Parameters
    ----------
    classifier : Classifier

    Raises
    ------
    InputError
        If an operator of the file is not one of those that convolutional encoders have.
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        model = parse_model(classifier.to_bytes(), where="The classifier")
        try:
            self.encoder = GraphModule.between(model, PIXELS, "embedding")
            self.head = GraphModule.between(model, "embedding", "logits")
        except InputError as error:
            raise InputError(
                f"The classifier cannot be trained ({str(error).partition(';')[0]}); expected a "
                "convolutional encoder as `hyperclip specialize` writes it; use a method that fits a head "
                "alone, such as gda."
            ) from error
        self.requires_grad_(False).eval()
        self._numbers = stored_numbers(classifier)
        self._channels: dict[str, _ChannelAffine] = {}
        for key, layer in self.encoder.layers.items():
            node = self.encoder.layer_nodes[key]
            if isinstance(layer, nn.Conv2d) and all(name in self._numbers for name in node.input[1:] if name):
                self._channels[key] = _ChannelAffine(layer.out_channels, shifts=layer.bias is not None)
                self.encoder.norms[key] = self._channels[key]
        self._fitted = [key for key in self.head.layers if self._is_fitted(key, model.graph.node)]
        self._reach = dict.fromkeys(self._fitted, 1.0)
        for key in self._fitted:
            self.head.layers[key].requires_grad_(True)

    def _is_fitted(self, key: str, nodes: Sequence[object]) -> bool:
        """Tell whether a layer of the head makes the logits or a summand of them, and is its own."""
        node = self.head.layer_nodes[key]
        maker = next(other for other in nodes if "logits" in other.output)  # type: ignore[attr-defined]
        summands = {"logits", *(maker.input if maker.op_type == "Add" else ())}  # type: ignore[attr-defined]
        is_linear = isinstance(self.head.layers[key], nn.Linear) and node.op_type == "Gemm"
        is_stored = all(name in self._numbers for name in node.input[1:])
        return is_linear and is_stored and node.output[0] in summands

    def forward(self, planes: Tensor) -> Tensor:
        """From normalized pictures (B, 3, H, W) to logits (B, C)."""
        logits: Tensor = self.head(self.encoder(planes))
        return logits

    @torch.no_grad()
    def measure(self, planes: Tensor) -> None:
        """Learn from pictures what a step is: how channels vary, and how large the head's features are."""
        hooks = []
        for key in self._fitted:

            def reach(module: nn.Module, given: tuple[Tensor], key: str = key) -> None:
                self._reach[key] = max(TINY, float(given[0].abs().sum(dim=1).mean()))

            hooks.append(self.head.layers[key].register_forward_pre_hook(reach))
        for key, affine in self._channels.items():

            def note(
                module: nn.Module, given: object, out: Tensor, affine: "_ChannelAffine" = affine
            ) -> None:
                affine.unit.copy_(out.transpose(0, 1).flatten(1).std(dim=1))

            hooks.append(self.encoder.layers[key].register_forward_hook(note))
        self(planes)
        for hook in hooks:
            hook.remove()

    def groups(self, rates: Rates, temperature: float) -> list[dict[str, object]]:
        """Return what learns, with its learning rates."""
        channels = [parameter for affine in self._channels.values() for parameter in affine.parameters()]
        groups: list[dict[str, object]] = [{"params": channels, "lr": rates.channels}] if channels else []
        for key in self._fitted:
            layer = self.head.layers[key]
            assert isinstance(layer, nn.Linear)
            groups.append({"params": [layer.weight], "lr": rates.head * temperature / self._reach[key]})
            groups.append({"params": [layer.bias], "lr": rates.head * temperature})
        return groups

    def numbers(self) -> TunedNumbers:
        """Return what has changed since the start."""
        before: dict[str, npt.NDArray[np.float32]] = {}
        changes = []
        for key, affine in self._channels.items():
            weight, bias = (*self.encoder.layer_nodes[key].input, "")[1:3]
            before |= {name: self._numbers[name] for name in (weight, bias) if name}
            scale, shift = affine.values()
            changes.append(ChannelChange(weight=weight, bias=bias, scale=scale, shift=shift))
        added = {}
        for key in self._fitted:
            layer, node = self.head.layers[key], self.head.layer_nodes[key]
            assert isinstance(layer, nn.Linear)
            for name, value in zip(node.input[1:], (layer.weight, layer.bias), strict=True):
                old = self._numbers[name]
                new = value.detach().numpy()
                new = new if new.shape == old.shape else new.T
                before[name], added[name] = old, (new - old).astype(np.float32)
        return TunedNumbers(before=before, channels=tuple(changes), head=added)


class _ChannelAffine(nn.Module):
    """``(1 + scale) * x + unit * shift`` for each channel of (B, F, H, W); at first it changes nothing."""

    unit: Tensor

    def __init__(self, n_channels: int, *, shifts: bool) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(n_channels))
        self.shift = nn.Parameter(torch.zeros(n_channels)) if shifts else None
        self.register_buffer("unit", torch.ones(n_channels))

    def forward(self, x: Tensor) -> Tensor:
        gain = (1 + self.scale)[:, None, None]
        if self.shift is None:
            return x * gain
        return torch.addcmul((self.unit * self.shift)[:, None, None], x, gain)

    def values(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Scale and shift as arrays."""
        shift = torch.zeros_like(self.scale) if self.shift is None else self.unit * self.shift
        return self.scale.detach().numpy().copy(), shift.detach().numpy().copy()


def train(
    classifier: Classifier,
    lesson: Lesson,
    rates: Rates,
    *,
    n_steps: int,
    seed: int = 0,
    on_step: Callable[[], None] | None = None,
) -> TunedNumbers | None:
    """Return what some steps of Adam change; None if the loss does not stay finite.

    Parameters
    ----------
    classifier : Classifier
        Not changed.
    lesson : Lesson
    rates : Rates
        The highest; they rise over the first tenth of the steps and fall along a cosine.
    n_steps : int
    seed : int
        Of the order of the pictures, and of how they are moved and mirrored.
    on_step : callable, optional

    Raises
    ------
    InputError
        If the file has operators that cannot be trained.
    """
    module = TunableClassifier(classifier)
    images, rng = classifier.metadata.images, np.random.default_rng(seed)
    module.measure(views(lesson.pixels[:N_MEASURED], images, None))
    groups = module.groups(rates, lesson.temperature)
    highest = [float(group["lr"]) for group in groups]  # type: ignore[arg-type]
    optimizer = torch.optim.Adam(groups)
    order = np.zeros(0, np.int64)
    n_warm = max(1, n_steps // 10)
    for step in range(n_steps):
        part = min(1.0, (step + 1) / n_warm) * 0.5 * (1 + math.cos(math.pi * step / n_steps))
        for group, rate in zip(optimizer.param_groups, highest, strict=True):
            group["lr"] = part * rate
        if len(order) < min(BATCH_SIZE, len(lesson.target)):
            order = np.concatenate([order, rng.permutation(len(lesson.target))])
        rows, order = order[:BATCH_SIZE], order[BATCH_SIZE:]
        optimizer.zero_grad()
        loss = sum(
            _backward(module, lesson, rows[start : start + AT_ONCE], images, rng, n=len(rows))
            for start in range(0, len(rows), AT_ONCE)
        )
        learnt = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        norm = nn.utils.clip_grad_norm_(learnt, MAX_GRAD_NORM)
        if not (math.isfinite(loss) and math.isfinite(float(norm))):
            return None
        optimizer.step()
        if on_step is not None:
            on_step()
    return module.numbers()


def _backward(
    module: TunableClassifier,
    lesson: Lesson,
    rows: npt.NDArray[np.int64],
    images: ImageSpec,
    rng: np.random.Generator,
    *,
    n: int,
) -> float:
    """Add the gradients of some pictures of a batch of `n`; return their share of its loss."""
    logits_BC = module(views(lesson.pixels[rows], images, rng)) / lesson.temperature
    losses_B = functional.cross_entropy(logits_BC, torch.from_numpy(lesson.target[rows]), reduction="none")
    loss = (losses_B * torch.from_numpy(lesson.weights[rows]).float()).sum() / n
    loss.backward()  # type: ignore[no-untyped-call]
    return float(loss.detach())


def views(pixels: npt.NDArray[np.uint8], images: ImageSpec, rng: np.random.Generator | None) -> Tensor:
    """Return pictures as the encoder reads them, (B, 3, S, S): whole, or moved and mirrored at random.

    Parameters
    ----------
    pixels : ndarray of shape (B, side, side, 3), uint8
        The middle square of `images.size_px` is what the file would see.
    images : ImageSpec
    rng : numpy.random.Generator or None
        None for pictures as they are.
    """
    planes = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 255
    n, side, size_px = len(pixels), pixels.shape[1], images.size_px
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (images.mean, images.std))
    planes = (planes - mean) / std
    if rng is None and side == size_px:
        return planes
    whole = min(1.0, size_px / side)
    most = int(MAX_SHIFT * size_px)
    mirror_B = np.ones(n) if rng is None else rng.choice([-1.0, 1.0], n)
    shift_B2 = np.zeros((n, 2)) if rng is None else rng.integers(-most, most + 1, (n, 2))
    place = np.zeros((n, 2, 3), np.float32)
    place[:, 0, 0], place[:, 1, 1], place[:, :, 2] = mirror_B * whole, whole, 2 * shift_B2 / side
    grid = functional.affine_grid(torch.from_numpy(place), [n, 3, size_px, size_px], align_corners=False)
    return functional.grid_sample(
        planes, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
