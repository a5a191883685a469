"""Steps that look for flat minima: climb to the worst nearby weights, and descend with the gradient there.

SAM has one radius for all parameters together. ASAM measures the radius relative to the weights.
AdaSAP gives each neuron (a row of a layer's weights) a ball of its own, larger for neurons that are about to
be pruned.

Legend: N neurons of a layer, n numbers of each.

References
----------
Foret et al., "Sharpness-aware minimization", arXiv 2010.01412; Kwon et al., "ASAM", arXiv 2102.11600; Bair et
al., "Adaptive sharpness-aware pruning for robust sparse networks", arXiv 2306.14306. The radius of a neuron
and the product of balls are one reading of the last, whose printed formula is unclear; the ellipsoid is the
other.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hyperclip.errors import InputError

__all__ = [
    "SharpnessConfig",
    "climbed",
    "differentiate",
    "kept_buffers",
    "neuron_norms",
    "neuron_radii",
    "perturbations",
    "sharp_backward",
]

_METHODS = ("none", "sam", "asam", "adasap")


@dataclass(frozen=True, kw_only=True)
class SharpnessConfig:
    """Which neighborhood of the weights must have a low loss too; a step then costs two gradients."""

    method: str = "none"
    """`none`, `sam`, `asam` (SAM relative to the weights) or `adasap` (a radius for each neuron)."""
    radius: float = 0.05
    """Of the whole model (`sam`: 0.05, `asam`: 0.5), or the largest of a neuron (`adasap`: 0.02)."""
    radius_min: float = 0.005
    """Radius of the most important neuron of a layer (`adasap`)."""
    normalization: str = "neuron"
    """Of `adasap`. `neuron`: each has a ball of its own. `global`: all share one, which is gentler."""

    def __post_init__(self) -> None:
        if self.method not in _METHODS:
            raise InputError(
                f"sharpness.method is {self.method!r}; expected one of {', '.join(_METHODS)}; choose one."
            )
        if not 0 <= self.radius < math.inf:
            raise InputError(f"sharpness.radius is {self.radius}; expected 0 or more; try 0.05.")
        if not 0 <= self.radius_min < math.inf:
            raise InputError(f"sharpness.radius_min is {self.radius_min}; expected 0 or more; try 0.005.")
        if self.method == "adasap" and self.radius_min > self.radius:
            raise InputError(
                f"sharpness.radius_min is {self.radius_min}; expected at most radius = {self.radius}; "
                "lower it."
            )
        if self.normalization not in ("neuron", "global"):
            raise InputError(
                f"sharpness.normalization is {self.normalization!r}; expected 'neuron' or 'global'; "
                "choose one."
            )

    @property
    def is_relative(self) -> bool:
        """Whether perturbations are measured relative to the weights."""
        return self.method in ("asam", "adasap")


def neuron_norms(weight: Tensor) -> Tensor:
    """Euclidean length of each neuron's weights, shape (N,)."""
    norms: Tensor = weight.detach().flatten(1).norm(dim=1)
    return norms


def neuron_radii(importance_N: Tensor, *, radius_min: float, radius_max: float) -> Tensor:
    """Radius of each neuron's ball: the least important gets the largest.

    Parameters
    ----------
    importance_N : Tensor of shape (N,)
    radius_min, radius_max : float

    Returns
    -------
    Tensor of shape (N,)
        Linear in importance; all are ``radius_max`` where all are equally important.
    """
    low, high = importance_N.min(), importance_N.max()
    share = (importance_N - low) / (high - low) if high > low else torch.zeros_like(importance_N)
    return radius_max - share * (radius_max - radius_min)


def perturbations(
    weights: Sequence[Tensor],
    gradients: Sequence[Tensor],
    radii: Sequence[Tensor | float],
    *,
    is_relative: bool,
    is_global: bool,
) -> list[Tensor]:
    """The way up: what to add to the weights so that the loss rises most within a neighborhood.

    Parameters
    ----------
    weights, gradients : sequence of Tensor of shape (N, ...)
        A vector counts as N neurons of one number each.
    radii : sequence of Tensor of shape (N,), or float
        Of each neuron, or of all in a tensor.
    is_relative : bool
        Measure lengths relative to the weights, with T = diag(abs(w)); otherwise T = 1.
    is_global : bool
        Divide by the length of the whole gradient (with equal radii: SAM and ASAM) instead of each neuron's.

    Returns
    -------
    list of Tensor
        For each neuron i ``radius_i T_i^2 g_i / |T_i g_i|``, or ``/ |T g|`` of all; 0 where that is 0.

    Notes
    -----
    With a ball a neuron, each perturbation has the length ``radius_i`` in its own metric; the whole one of N
    neurons is about sqrt(N) times as long as SAM's with the same radius.
    """
    scaled = [w.detach().abs() * g if is_relative else g for w, g in zip(weights, gradients, strict=True)]
    whole = torch.stack([one.norm() for one in scaled]).norm() if is_global else None
    result = []
    for weight, one, radius in zip(weights, scaled, radii, strict=True):
        length = one.reshape(len(one), -1).norm(dim=1) if whole is None else whole.expand(len(one))
        factor = torch.where(length > 0, radius / length.clamp(min=torch.finfo(one.dtype).tiny), 0.0)
        up = one * factor.reshape(-1, *(1,) * (one.dim() - 1)).to(one.dtype)
        result.append(up * weight.detach().abs() if is_relative else up)
    return result


@contextmanager
def climbed(parameters: Sequence[Tensor], up: Sequence[Tensor]) -> Iterator[None]:
    """Add perturbations to parameters for the length of the block; they come back bit for bit."""
    before = [parameter.detach().clone() for parameter in parameters]
    try:
        with torch.no_grad():
            for parameter, one in zip(parameters, up, strict=True):
                parameter.add_(one)
        yield
    finally:
        with torch.no_grad():
            for parameter, old in zip(parameters, before, strict=True):
                parameter.copy_(old)


@contextmanager
def kept_buffers(model: nn.Module) -> Iterator[None]:
    """Undo what a pass does to statistics: a step counts its batch once."""
    before = {name: value.detach().clone() for name, value in model.named_buffers()}
    try:
        yield
    finally:
        with torch.no_grad():
            for name, value in model.named_buffers():
                value.copy_(before[name])


def differentiate(loss: Tensor) -> None:
    """Add the gradient of a loss to its parameters."""
    torch.autograd.backward(loss)


def sharp_backward(
    model: nn.Module,
    compute: Callable[[], Tensor],
    config: SharpnessConfig,
    *,
    radii: Mapping[str, Tensor] | None = None,
    backward: Callable[[Tensor], None] = differentiate,
    on_first: Callable[[], None] = lambda: None,
) -> Tensor:
    """Fill the gradients of a step, from the weights that a climb reaches.

    Parameters
    ----------
    model : torch.nn.Module
        Its weights and statistics are afterwards what the first pass left.
    compute : callable
        Runs the model and returns the loss; must draw the same random numbers each time.
    config : SharpnessConfig
    radii : mapping of str to Tensor of shape (N,), optional
        By the name of a weight, for `adasap`; others get those of their neurons' lengths.
    backward : callable
        How to differentiate, where that is not ``loss.backward()``.
    on_first : callable
        Called when the gradients are those at the weights themselves.

    Returns
    -------
    Tensor
        The loss at the weights themselves.

    Notes
    -----
    `sam` perturbs every parameter. `asam` and `adasap` perturb weights of layers, not scales, shifts and
    biases. A step whose first gradient is not finite is not perturbed, so that the loop's own check sees it.
    """
    loss = compute()
    backward(loss)
    on_first()
    if config.method == "none":
        return loss.detach()
    chosen = {
        name: parameter
        for name, parameter in model.named_parameters()
        if parameter.grad is not None and (config.method == "sam" or parameter.dim() > 1)
    }
    parameters = list(chosen.values())
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not all(bool(torch.isfinite(gradient).all()) for gradient in gradients):
        return loss.detach()
    up = perturbations(
        [_with_axis(p) for p in parameters], [_with_axis(g) for g in gradients],
        [_radius(name, p, config, radii or {}) for name, p in chosen.items()],
        is_relative=config.is_relative,
        is_global=config.method != "adasap" or config.normalization == "global",
    )  # fmt: skip
    model.zero_grad(set_to_none=True)
    with (
        climbed(parameters, [one.reshape(p.shape) for one, p in zip(up, parameters, strict=True)]),
        kept_buffers(model),
    ):
        backward(compute())
    return loss.detach()


def _with_axis(value: Tensor) -> Tensor:
    """A single number as a vector of one."""
    return value.detach().reshape(1) if value.dim() == 0 else value.detach()


def _radius(
    name: str, weight: Tensor, config: SharpnessConfig, radii: Mapping[str, Tensor]
) -> Tensor | float:
    if config.method != "adasap":
        return config.radius
    if name in radii:
        return radii[name].to(weight.device)
    return neuron_radii(neuron_norms(weight), radius_min=config.radius_min, radius_max=config.radius)
