"""Augmentation of a whole batch at once, cheap enough for two cores.

Crops, flips, color, and what a user's pictures suffer from: few pixels enlarged, and blur.

Legend: B images in a batch, H W pixels, S side that comes out.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hyperclip.errors import InputError

__all__ = ["AugmentConfig", "augment", "augment_beside_clean", "normalize_images"]

_MAX_RESOLUTION = 0.75  # share of S: pictures that are shrunk less than this look as before


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Strength of each change."""

    min_area: float = 0.4
    """Smallest share of the picture that a crop keeps."""
    max_stretch: float = 1.25
    """Largest change of the aspect ratio."""
    flip: bool = True
    color: float = 0.25
    """Largest relative change of brightness, contrast and saturation."""
    low_resolution: float = 0.2
    """Share of images that are shrunk and enlarged again."""
    min_resolution: float = 0.25
    """Smallest side they are shrunk to, as a share of S."""
    min_resolution_px: int = 8
    """Smallest side they are shrunk to, whatever S is."""
    blur: float = 0.1
    """Share of images that are blurred."""
    max_blur_px: float = 1.5

    def __post_init__(self) -> None:
        limits = {
            "min_area": (0.01, 1.0),
            "max_stretch": (1.0, 10.0),
            "color": (0.0, 1.0),
            "low_resolution": (0.0, 1.0),
            "min_resolution": (0.01, _MAX_RESOLUTION),
            "min_resolution_px": (1, 4096),
            "blur": (0.0, 1.0),
            "max_blur_px": (0.0, 6.0),
        }
        for key, (low, high) in limits.items():
            if not low <= getattr(self, key) <= high:
                raise InputError(
                    f"augment.{key} is {getattr(self, key)}; expected from {low} to {high}; correct the "
                    "recipe."
                )


def augment(images_BHW3: Tensor, size_px: int, *, config: AugmentConfig, rng: np.random.Generator) -> Tensor:
    """Crop, flip, recolor and spoil a batch.

    Parameters
    ----------
    images_BHW3 : Tensor of shape (B, H, W, 3), uint8, RGB
    size_px : int
        S.
    config : AugmentConfig
    rng : numpy.random.Generator
        Decides everything: the same generator state gives the same batch.

    Returns
    -------
    Tensor of shape (B, 3, S, S), float32, RGB in [0, 1]
    """
    return _spoil(_clean(images_BHW3, size_px, config, rng), config, rng)


def augment_beside_clean(
    images_BHW3: Tensor, size_px: int, *, clean_px: int, config: AugmentConfig, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Augment, and give the same crops and colors unspoiled and at another size, for a teacher.

    Parameters
    ----------
    images_BHW3 : Tensor of shape (B, H, W, 3), uint8, RGB
    size_px : int
        S, at most `clean_px`.
    clean_px : int
        Side of the unspoiled crops.
    config : AugmentConfig
    rng : numpy.random.Generator

    Returns
    -------
    images : Tensor of shape (B, 3, S, S), float32, RGB in [0, 1]
    clean : Tensor of shape (B, 3, clean_px, clean_px), float32, RGB in [0, 1]

    Raises
    ------
    InputError
        If the unspoiled crops would be smaller than the others.
    """
    if size_px > clean_px:
        raise InputError(
            f"Pictures of {size_px} px stand beside clean ones of {clean_px} px; expected clean ones at "
            "least as large; raise the teacher's size."
        )
    clean = _clean(images_BHW3, clean_px, config, rng).clamp_(0.0, 1.0)
    images = clean.clone()
    if size_px < clean_px:
        images = functional.interpolate(clean, size=(size_px, size_px), mode="bilinear", antialias=True)
    return _spoil(images, config, rng), clean


def _clean(images_BHW3: Tensor, size_px: int, config: AugmentConfig, rng: np.random.Generator) -> Tensor:
    images = images_BHW3.permute(0, 3, 1, 2).float().div_(255.0)
    images = _shrink_first(images, size_px)
    images = _crop(images, size_px, config, rng)
    return _recolor(images, config.color, rng)


def _spoil(images: Tensor, config: AugmentConfig, rng: np.random.Generator) -> Tensor:
    return _blur(_spoil_resolution(images, config, rng), config, rng).clamp_(0.0, 1.0)


def normalize_images(images_B3HW: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Subtract the mean and divide by the deviation of each color."""
    shape = (1, 3, 1, 1)
    mean_1311, std_1311 = (
        torch.tensor(values, device=images_B3HW.device).reshape(shape) for values in (mean, std)
    )
    return (images_B3HW - mean_1311) / std_1311


def _shrink_first(images: Tensor, size_px: int) -> Tensor:
    """Antialias once for the batch, so that the sampled crop (of at least half the side) does not alias."""
    side = math.ceil(1.4 * size_px)
    if images.shape[-1] <= side:
        return images
    return functional.interpolate(images, size=(side, side), mode="bilinear", antialias=True)


def _crop(images: Tensor, size_px: int, config: AugmentConfig, rng: np.random.Generator) -> Tensor:
    if config.min_area == 1 and config.max_stretch == 1:
        return _whole(images, size_px, config, rng)
    n = len(images)
    area = rng.uniform(config.min_area, 1.0, n)
    stretch = np.exp(rng.uniform(-1, 1, n) * math.log(config.max_stretch))
    width = np.minimum(np.sqrt(area * stretch), 1.0)
    height = np.minimum(np.sqrt(area / stretch), 1.0)
    center_x = rng.uniform(-1, 1, n) * (1 - width)
    center_y = rng.uniform(-1, 1, n) * (1 - height)
    sign = np.where(rng.random(n) < 0.5, -1.0, 1.0) if config.flip else np.ones(n)
    theta = np.zeros((n, 2, 3), dtype=np.float32)
    theta[:, 0, 0], theta[:, 0, 2] = width * sign, center_x
    theta[:, 1, 1], theta[:, 1, 2] = height, center_y
    grid = functional.affine_grid(torch.from_numpy(theta), [n, 3, size_px, size_px], align_corners=False)
    return functional.grid_sample(
        images, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )


def _whole(images: Tensor, size_px: int, config: AugmentConfig, rng: np.random.Generator) -> Tensor:
    """Nothing is cut away: flip and resize, much quicker than sampling a grid."""
    if config.flip:
        rows = torch.from_numpy(np.flatnonzero(rng.random(len(images)) < 0.5))
        images[rows] = images[rows].flip(-1)
    if images.shape[-1] == size_px:
        return images
    is_smaller = size_px < images.shape[-1]
    return functional.interpolate(images, size=(size_px, size_px), mode="bilinear", antialias=is_smaller)


def _recolor(images: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    if strength == 0:
        return images
    brightness, contrast, saturation = (
        torch.from_numpy(rng.uniform(1 - strength, 1 + strength, len(images)).astype(np.float32))[
            :, None, None, None
        ]
        for _ in range(3)
    )
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    images = (images - mean) * contrast + mean * brightness
    gray = images.mean(dim=1, keepdim=True)
    return gray + (images - gray) * saturation


def _spoil_resolution(images: Tensor, config: AugmentConfig, rng: np.random.Generator) -> Tensor:
    rows = torch.from_numpy(np.flatnonzero(rng.random(len(images)) < config.low_resolution))
    share = rng.uniform(config.min_resolution, _MAX_RESOLUTION)
    if len(rows) == 0:
        return images
    size = images.shape[-1]
    small_px = min(size, max(config.min_resolution_px, round(size * share)))
    small = functional.interpolate(images[rows], size=(small_px, small_px), mode="bilinear", antialias=True)
    images[rows] = functional.interpolate(small, size=(size, size), mode="bicubic", align_corners=False)
    return images


def _blur(images: Tensor, config: AugmentConfig, rng: np.random.Generator) -> Tensor:
    rows = torch.from_numpy(np.flatnonzero(rng.random(len(images)) < config.blur))
    sigma = rng.uniform(0.3, max(config.max_blur_px, 0.31))
    if len(rows) == 0:
        return images
    radius = math.ceil(2.5 * sigma)
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    taps = (taps / taps.sum()).repeat(3, 1, 1, 1)
    padded = functional.pad(images[rows], (radius,) * 4, mode="reflect")
    blurred = functional.conv2d(padded, taps.reshape(3, 1, 1, -1), groups=3)
    images[rows] = functional.conv2d(blurred, taps.reshape(3, 1, -1, 1), groups=3)
    return images
