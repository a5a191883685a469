"""What corruptions are made of: sampling between pixels, convolution, cloudy textures; numpy only.

Images are float32 arrays of shape (height, width, channels); beyond its border an image is mirrored
(convolution) or continued with its last pixel (sampling).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "clouds",
    "convolve",
    "disk_kernel",
    "gaussian_kernel",
    "luminance",
    "sample",
    "streak_kernel",
    "zoom",
]

Array = npt.NDArray[Any]  # float32 unless said otherwise


def sample(image: Array, rows: Array, columns: Array) -> Array:
    """Read an image between its pixels, bilinearly.

    Parameters
    ----------
    image : ndarray of shape (height, width, channels), float32
    rows, columns : ndarrays of one shape (h, w), float32
        Positions; whole numbers are the middles of pixels. Those outside are moved to the border.

    Returns
    -------
    ndarray of shape (h, w, channels), float32
    """
    height, width = image.shape[:2]
    rows, columns = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    top, left = np.floor(rows).astype(np.intp), np.floor(columns).astype(np.intp)
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    down = (rows - top)[..., None].astype(np.float32)
    across = (columns - left)[..., None].astype(np.float32)
    upper = image[top, left] * (1 - across) + image[top, right] * across
    lower = image[bottom, left] * (1 - across) + image[bottom, right] * across
    result: Array = upper * (1 - down) + lower * down
    return result


def zoom(image: Array, factor: float) -> Array:
    """Enlarge an image about its middle, and cut it to its size; ``factor`` is 1 or more."""
    for axis in (0, 1):  # the two directions are independent, which saves three quarters of the work
        n = image.shape[axis]
        places = (n - 1) / 2 + (np.arange(n, dtype=np.float32) - (n - 1) / 2) / np.float32(factor)
        first = np.clip(np.floor(places).astype(np.intp), 0, n - 1)
        part = (places - first).astype(np.float32).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        second = np.minimum(first + 1, n - 1)
        image = image.take(first, axis) * (1 - part) + image.take(second, axis) * part
    return image


def convolve(image: Array, kernel: Array) -> Array:
    """Convolve every channel with one kernel of odd sides, at the image's own size."""
    up, left = kernel.shape[0] // 2, kernel.shape[1] // 2
    padded = np.pad(image, ((up, up), (left, left), (0, 0)), mode="symmetric")
    size = padded.shape[:2]
    spectrum = np.fft.rfft2(padded, axes=(0, 1)) * np.fft.rfft2(kernel, s=size)[..., None]
    full = np.fft.irfft2(spectrum, s=size, axes=(0, 1))
    result: Array = full[2 * up :, 2 * left :].astype(np.float32)
    return result


def gaussian_kernel(sigma_px: float) -> Array:
    """Return a normal kernel that reaches 3 standard deviations; a single 1 where ``sigma_px`` is 0."""
    reach = int(np.ceil(3 * sigma_px))
    steps = np.arange(-reach, reach + 1, dtype=np.float32)
    weights = np.exp(-0.5 * (steps / max(sigma_px, 1e-6)) ** 2)
    kernel: Array = np.outer(weights, weights).astype(np.float32)
    kernel /= kernel.sum()
    return kernel


def disk_kernel(radius_px: float) -> Array:
    """Return a disk whose border pixels count as much as the disk covers of them."""
    parts = 8  # each pixel is looked at in 8 × 8 places
    reach = int(np.ceil(radius_px))
    n_pixels = 2 * reach + 1
    places = (np.arange(n_pixels * parts) + 0.5) / parts - (reach + 0.5)
    inside = places[:, None] ** 2 + places[None, :] ** 2 <= max(radius_px, 0.5) ** 2
    kernel: Array = inside.reshape(n_pixels, parts, n_pixels, parts).mean(axis=(1, 3)).astype(np.float32)
    kernel /= kernel.sum()
    return kernel


def streak_kernel(length_px: float, sigma_px: float, *, angle_deg: float) -> Array:
    """Return a line that starts in the middle and fades like half a normal curve.

    Parameters
    ----------
    length_px, sigma_px : float
        Where the line ends, and the standard deviation of its strength.
    angle_deg : float
        0 points along a row, 90 down.

    Returns
    -------
    ndarray of shape (n, n), float32, of sum 1
    """
    reach = int(np.ceil(length_px)) + 1
    steps = np.linspace(0, length_px, 4 * reach + 1)
    weights = np.exp(-0.5 * (steps / max(sigma_px, 1e-3)) ** 2)
    kernel: Array = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    for place, weight in zip(steps, weights, strict=True):  # each step is shared by the four pixels around
        row = reach + place * np.sin(np.deg2rad(angle_deg))
        column = reach + place * np.cos(np.deg2rad(angle_deg))
        top, left = int(np.floor(row)), int(np.floor(column))
        down, across = row - top, column - left
        kernel[top : top + 2, left : left + 2] += weight * np.outer([1 - down, down], [1 - across, across])
    kernel /= kernel.sum()
    return kernel


def clouds(height: int, width: int, *, decay: float, rng: np.random.Generator) -> Array:
    """Return a cloudy texture between 0 and 1: noise of halving grain size, each grain weaker by ``decay``.

    Parameters
    ----------
    height, width : int
    decay : float
        What a grain's strength is divided by when its size is halved: 2 is smooth, 1.4 is rough.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (height, width), float32
        Its smallest value is 0 and its largest 1.
    """
    side = max(height, width)
    total = np.zeros((height, width, 1), np.float32)
    strength, n_grains = 1.0, 2
    while True:
        grid = rng.uniform(-1, 1, size=(n_grains + 1, n_grains + 1, 1)).astype(np.float32)
        rows = np.arange(height, dtype=np.float32) * (n_grains / side)
        columns = np.arange(width, dtype=np.float32) * (n_grains / side)
        total += strength * sample(grid, *np.meshgrid(rows, columns, indexing="ij"))
        if n_grains >= side:
            break
        strength, n_grains = strength / decay, 2 * n_grains
    span = float(np.ptp(total))
    texture: Array = (total[..., 0] - total.min()) / (span if span > 0 else 1.0)
    return texture


def luminance(image: Array) -> Array:
    """Return the brightness of an RGB image, shape (height, width, 1)."""
    gray: Array = image @ np.array([[0.299], [0.587], [0.114]], np.float32)
    return gray
