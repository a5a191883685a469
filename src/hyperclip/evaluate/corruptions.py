"""The 15 common corruptions of the ImageNet-C family at five severities, as pure functions.

Robustness here means: what rain, a shaking hand or a bad camera do to a picture, not what an attacker
does. Kinds, order and strengths are those of Hendrycks and Dietterich; the code is our own, numpy and
Pillow alone, so that the shop can judge a classifier anywhere. Numbers are therefore close to, but not
those of, the published ImageNet-C pictures: compare classifiers with one another, not with papers.

Where it differs from the published definitions, and why:

- The original assumes 224 px. Lengths in pixels (blur radii, displacements, flakes) are multiplied by
  ``min(height, width) / 224``, so that a small picture is not wiped out by a blur made for a large one.
  Strengths of color (noise, contrast, fog) and JPEG's quality are not scaled.
- ``frost`` overlays a texture made here instead of the six photographs of frost.
- ``elastic_transform`` has its published strengths at severities 3 to 5; 1 and 2, which are published as
  a different, larger warp, are weaker versions of the same one, so that severity is monotone.
- ``glass_blur`` reads each pixel from a random place nearby instead of swapping pixels one after another.
- ``motion_blur`` and ``zoom_blur`` sample bilinearly; ``fog`` is a sum of noise of several grain sizes.

Libraries were looked at first and none is kept: `imagecorruptions` (last release 2020), `imagenet-c`
(2018) and their descendants need OpenCV, scikit-image, SciPy or ImageMagick, draw from numpy's global
random state and assume 224 px or at least 32; that is more than the shop's whole list of requirements.

References
----------
D. Hendrycks and T. Dietterich, *Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations*, arXiv 1903.12261, section 3.
"""

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image

from hyperclip.errors import InputError
from hyperclip.evaluate.image_filters import (
    Array,
    clouds,
    convolve,
    disk_kernel,
    gaussian_kernel,
    luminance,
    sample,
    streak_kernel,
    zoom,
)

__all__ = ["CORRUPTIONS", "FIVE_CORRUPTIONS", "N_SEVERITIES", "corrupt"]

N_SEVERITIES = 5
Pixels = npt.NDArray[np.uint8]
Corruption = Callable[[Array, int, np.random.Generator], Array]


def corrupt(image: Pixels, kind: str, severity: int, *, rng: np.random.Generator) -> Pixels:
    """Return a corrupted copy of an image.

    Parameters
    ----------
    image : ndarray of shape (height, width, 3), uint8, RGB
        Of any size; it is not changed.
    kind : str
        A key of ``CORRUPTIONS``.
    severity : int
        1 (hardly visible) to 5 (hardly recognizable).
    rng : numpy.random.Generator
        All that is random is drawn from it: the same state gives the same picture.

    Returns
    -------
    ndarray of shape (height, width, 3), uint8

    Raises
    ------
    InputError
        When the kind is unknown, the severity is not 1 to 5, or the image has another shape or type.

    Examples
    --------
    >>> gray = np.full((32, 48, 3), 128, np.uint8)
    >>> corrupt(gray, "gaussian_noise", 3, rng=np.random.default_rng(0)).shape
    (32, 48, 3)
    """
    if kind not in CORRUPTIONS:
        raise InputError(
            f"The corruption is {kind!r}; expected one of {', '.join(CORRUPTIONS)}; choose one of them."
        )
    if severity not in range(1, N_SEVERITIES + 1):
        raise InputError(
            f"The severity is {severity!r}; expected a whole number from 1 to {N_SEVERITIES}; try 3."
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise InputError(
            f"The image has shape {image.shape} and type {image.dtype}; expected (height, width, 3) and "
            "uint8; convert it with `numpy.asarray(image.convert('RGB'))`."
        )
    corrupted = CORRUPTIONS[kind](image.astype(np.float32) / 255, int(severity), rng)
    pixels: Pixels = np.rint(np.clip(corrupted, 0, 1) * 255).astype(np.uint8)
    return pixels


def _scale(image: Array) -> float:
    """Return what a length made for 224 px is multiplied by."""
    return float(min(image.shape[:2])) / 224


def _gaussian_noise(image: Array, severity: int, rng: np.random.Generator) -> Array:
    """Add normal noise: a sensor in low light."""
    sigma = (0.08, 0.12, 0.18, 0.26, 0.38)[severity - 1]
    noise: Array = rng.standard_normal(image.shape, dtype=np.float32)
    return image + sigma * noise


def _shot_noise(image: Array, severity: int, rng: np.random.Generator) -> Array:
    """Count photons: noise that grows with the light."""
    n_photons = (60, 25, 12, 5, 3)[severity - 1]
    return (rng.poisson(image * n_photons) / n_photons).astype(np.float32)


def _impulse_noise(image: Array, severity: int, rng: np.random.Generator) -> Array:
    """Set values to black or white at random: broken bits."""
    share = (0.03, 0.06, 0.09, 0.17, 0.27)[severity - 1]
    draw = rng.random(image.shape, dtype=np.float32)
    return np.where(draw < share / 2, np.float32(0), np.where(draw < share, np.float32(1), image))


def _defocus_blur(image: Array, severity: int, rng: np.random.Generator) -> Array:
    """Spread each point over a disk: a lens out of focus."""
    radius = (3, 4, 6, 8, 10)[severity - 1]
    return convolve(image, disk_kernel(radius * _scale(image)))


def _glass_blur(image: Array, severity: int, rng: np.random.Generator) -> Array:
    """Read pixels from random places nearby, between two blurs: frosted glass."""
    strengths = ((0.7, 1, 2), (0.9, 2, 1), (1.0, 2, 3), (1.1, 3, 2), (1.5, 4, 2))
    sigma, reach, n_rounds = strengths[severity - 1]
    kernel = gaussian_kernel(sigma * _scale(image))
    blurred = convolve(image, kernel)
    for _ in range(n_rounds):
        blurred = _displaced(blurred, rng.uniform(-1, 1, (2, *image.shape[:2])) * reach * _scale(image))
    return convolve(blurred, kernel)


def _motion_blur(image: Array, severity: int, rng: np.random.Generator) -> Array:
    """Spread each point along a line, more and more thinly: a moving camera."""
    radius, sigma = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))[severity - 1]
    scale, angle = _scale(image), rng.uniform(-45, 45)
    return convolve(image, streak_kernel(radius * scale, sigma * scale, angle_deg=angle))


def _zoom_blur(image: Array, severity: int, rng: np.random.Generator) -> Array:
    """Average an image with enlarged ones: a camera that moves toward its subject."""
    end, step = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.33, 0.03))[severity - 1]
    factors = np.arange(1, end, step)
    total = image + sum(zoom(image, float(factor)) for factor in factors)
    return np.asarray(total / (len(factors) + 1), np.float32)


def _snow(image: Array, severity: int, rng: np.random.Generator) -> Array:
    """Whiten an image and let flakes of one direction fall over it."""
    mean, sigma, size, threshold, radius, length, kept = (
        (0.1, 0.3, 3.0, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2.0, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4.0, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    )[severity - 1]
    scale = _scale(image)
    flakes = mean + sigma * rng.standard_normal((*image.shape[:2], 1), dtype=np.float32)
    # What lies between two pixels varies less than they do, so that fewer flakes pass the threshold. A
    # factor above 1 that is no whole number mixes all distances, and so makes flakes equally frequent.
    flakes = zoom(flakes, max(1.3, 1.03 * size * scale))
    flakes = np.clip(np.where(flakes < threshold, np.float32(0), flakes), 0, 1)
    angle = rng.uniform(45, 135)
    flakes = convolve(flakes, streak_kernel(radius * scale, length * scale, angle_deg=angle))
    whitened = kept * image + (1 - kept) * np.maximum(image, luminance(image) * 1.5 + 0.5)
    return np.asarray(whitened + flakes + flakes[::-1, ::-1], np.float32)


def _frost(image: Array, severity: int, rng: np.random.Generator) -> Array:
    """Lay crystals over an image, bluish white along the ridges of a rough texture."""
    kept, strength = ((1.0, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))[severity - 1]
    height, width = image.shape[:2]
    ridges = 1 - np.abs(2 * clouds(height, width, decay=1.5, rng=rng) - 1)
    patches = clouds(height, width, decay=2.0, rng=rng)
    crystals = (ridges**2 * (0.35 + 0.65 * patches))[..., None] * np.array([0.85, 0.95, 1.0], np.float32)
    return np.asarray(kept * image + strength * crystals, np.float32)


def _fog(image: Array, severity: int, rng: np.random.Generator) -> Array:
    """Add a cloudy haze, and scale back to the brightness that the image can hold."""
    strength, decay = ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4))[severity - 1]
    brightest = float(image.max())
    haze = strength * clouds(*image.shape[:2], decay=decay, rng=rng)[..., None]
    return np.asarray((image + haze) * (brightest / (brightest + strength)), np.float32)


def _brightness(image: Array, severity: int, rng: np.random.Generator) -> Array:
    """Raise the value of hue, saturation and value: an overexposed picture."""
    value = image.max(axis=2, keepdims=True)
    raised = np.minimum(value + (0.1, 0.2, 0.3, 0.4, 0.5)[severity - 1], 1)
    lifted = np.where(value > 0, image * (raised / np.where(value > 0, value, 1)), raised)
    return np.asarray(lifted, np.float32)


def _contrast(image: Array, severity: int, rng: np.random.Generator) -> Array:
    """Pull each channel toward its mean."""
    kept = (0.4, 0.3, 0.2, 0.1, 0.05)[severity - 1]
    mean = image.mean(axis=(0, 1), keepdims=True)
    return np.asarray((image - mean) * kept + mean, np.float32)


def _elastic_transform(image: Array, severity: int, rng: np.random.Generator) -> Array:
    """Stretch an image a little as a whole and shiver it locally."""
    strength, affine = ((0.02, 0.01), (0.035, 0.015), (0.05, 0.02), (0.07, 0.02), (0.12, 0.02))[severity - 1]
    height, width = image.shape[:2]
    side = min(height, width)
    noise = rng.uniform(-1, 1, (height, width, 2)).astype(np.float32)
    field = np.moveaxis(convolve(noise, gaussian_kernel(0.01 * side)), 2, 0) * (strength * side)
    corners = rng.uniform(-affine, affine, (3, 2)) * side  # what three corners are moved by
    down = np.linspace(0, 1, height)[:, None, None]
    across = np.linspace(0, 1, width)[None, :, None]
    whole = corners[0] + down * (corners[1] - corners[0]) + across * (corners[2] - corners[0])
    return _displaced(image, field + np.moveaxis(whole, 2, 0))


def _pixelate(image: Array, severity: int, rng: np.random.Generator) -> Array:
    """Make an image of fewer pixels and blow it up."""
    share = (0.6, 0.5, 0.4, 0.3, 0.25)[severity - 1]
    height, width = image.shape[:2]
    picture = _picture(image)
    small = picture.resize((max(1, int(width * share)), max(1, int(height * share))), Image.Resampling.BOX)
    return np.asarray(small.resize((width, height), Image.Resampling.NEAREST), np.float32) / 255


def _jpeg_compression(image: Array, severity: int, rng: np.random.Generator) -> Array:
    """Store an image as a JPEG file of low quality and read it back."""
    stored = io.BytesIO()
    _picture(image).save(stored, format="JPEG", quality=(25, 18, 15, 10, 7)[severity - 1])
    return np.asarray(Image.open(stored).convert("RGB"), np.float32) / 255


def _picture(image: Array) -> Image.Image:
    """Return an image as Pillow's."""
    return Image.fromarray(np.rint(image * 255).astype(np.uint8))


def _displaced(image: Array, field: Array) -> Array:
    """Read every pixel from elsewhere; the field of shape (2, height, width) is in pixels."""
    rows, columns = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in image.shape[:2]), indexing="ij")
    return sample(image, rows + field[0], columns + field[1])


CORRUPTIONS: dict[str, Corruption] = {
    "gaussian_noise": _gaussian_noise,
    "shot_noise": _shot_noise,
    "impulse_noise": _impulse_noise,
    "defocus_blur": _defocus_blur,
    "glass_blur": _glass_blur,
    "motion_blur": _motion_blur,
    "zoom_blur": _zoom_blur,
    "snow": _snow,
    "frost": _frost,
    "fog": _fog,
    "brightness": _brightness,
    "contrast": _contrast,
    "elastic_transform": _elastic_transform,
    "pixelate": _pixelate,
    "jpeg_compression": _jpeg_compression,
}
# One kind of each family and a second of the digital ones: what a quick report looks at.
FIVE_CORRUPTIONS = ("gaussian_noise", "motion_blur", "fog", "contrast", "jpeg_compression")
