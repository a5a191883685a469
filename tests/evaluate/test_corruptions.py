"""Corruptions keep shape and input, obey their generator, grow with severity, and match known cases."""

from functools import lru_cache

import numpy as np
import pytest
from PIL import Image

from hyperclip.errors import InputError
from hyperclip.evaluate.corruptions import CORRUPTIONS, FIVE_CORRUPTIONS, corrupt
from hyperclip.evaluate.image_filters import clouds

RANDOM = set(CORRUPTIONS) - {
    *("defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression"),
}


def picture(side_px: int, seed: int = 0) -> np.ndarray:
    """Return rough colored clouds with a sharp, dark square in them."""
    rng = np.random.default_rng(seed)
    layers = [clouds(side_px, side_px, decay=1.3, rng=rng) for _ in range(3)]
    image = (np.stack(layers, axis=2) * 255).astype(np.uint8)
    image[side_px // 4 : side_px // 2, side_px // 3 : side_px // 2] //= 4
    return image


@lru_cache
def photographs(side_px: int) -> list[np.ndarray]:
    """Return three photographs that come with scikit-image."""
    data = pytest.importorskip("skimage.data")
    pictures = [Image.fromarray(one) for one in (data.astronaut(), data.coffee(), data.chelsea())]
    return [np.asarray(one.resize((side_px, side_px))) for one in pictures]


def rms_change(image: np.ndarray, other: np.ndarray) -> float:
    return float(np.sqrt(np.mean((image.astype(float) - other) ** 2)))


def lost_detail(image: np.ndarray, other: np.ndarray) -> float:
    """Return 1 minus the correlation of the differences between neighboring pixels."""
    steps = [
        np.concatenate([np.diff(one.mean(axis=2), axis=axis).ravel() for axis in (0, 1)])
        for one in (image, other)
    ]
    return 1 - float(np.corrcoef(*steps)[0, 1])


def test_there_are_the_fifteen_kinds_of_the_family() -> None:
    assert len(CORRUPTIONS) == 15
    assert set(FIVE_CORRUPTIONS) <= set(CORRUPTIONS)


@pytest.mark.parametrize("kind", CORRUPTIONS)
@pytest.mark.parametrize("shape", [(64, 48, 3), (7, 90, 3), (1, 1, 3), (2, 3, 3)])
def test_any_size_comes_back_in_its_size_and_the_input_stays(kind: str, shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    before = image.copy()
    for severity in (1, 5):
        corrupted = corrupt(image, kind, severity, rng=np.random.default_rng(2))
        assert corrupted.shape == shape
        assert corrupted.dtype == np.uint8
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_the_generator_alone_decides(kind: str) -> None:
    image = picture(48)
    first, again, other = (corrupt(image, kind, 3, rng=np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert (rms_change(first, other) > 0) == (kind in RANDOM)


@pytest.mark.parametrize("side_px", [64, 112])
@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_severity_is_monotone(kind: str, side_px: int) -> None:
    # Fog and frost grow by covering more finely, not by changing more of the brightness.
    damage = lost_detail if kind in ("fog", "frost") else rms_change
    means = [
        np.mean(
            [
                damage(image, corrupt(image, kind, severity, rng=np.random.default_rng(seed)))
                for seed, image in enumerate(photographs(side_px) * 2)
            ]
        )
        for severity in range(1, 6)
    ]
    assert means[0] > 0
    # The published strengths 2 and 3 of snow (dense small flakes, sparse large ones) change equally much.
    slack = 0.03 * means[1] if kind == "snow" else 0.0
    assert (np.diff(means) > -slack).all(), means
    assert means[4] > 1.05 * means[2] > 1.05 * means[0]


@pytest.mark.parametrize("kind", ["defocus_blur", "glass_blur", "motion_blur", "zoom_blur"])
def test_blurs_and_warps_leave_an_even_picture_alone(kind: str) -> None:
    even = np.full((40, 56, 3), 137, np.uint8)
    corrupted = corrupt(even, kind, 5, rng=np.random.default_rng(0))
    assert np.abs(corrupted.astype(int) - even).max() <= 1  # rounding


def test_lengths_scale_with_the_picture() -> None:
    small = picture(64)
    large = small.repeat(4, axis=0).repeat(4, axis=1)
    of_large = corrupt(large, "defocus_blur", 4, rng=np.random.default_rng(0))
    middle = of_large.reshape(64, 4, 64, 4, 3).mean(axis=(1, 3))
    of_small = corrupt(small, "defocus_blur", 4, rng=np.random.default_rng(0))
    assert rms_change(of_small, middle) < 0.2 * rms_change(small, of_small)


def test_gaussian_noise_has_its_published_strength() -> None:
    gray = np.full((200, 200, 3), 128, np.uint8)
    noise = corrupt(gray, "gaussian_noise", 1, rng=np.random.default_rng(0)).astype(float) - gray
    assert noise.std() == pytest.approx(0.08 * 255, rel=0.02)
    assert noise.mean() == pytest.approx(0, abs=0.3)


def test_shot_noise_has_the_variance_of_a_count() -> None:
    gray = np.full((200, 200, 3), 51, np.uint8)
    noisy = corrupt(gray, "shot_noise", 1, rng=np.random.default_rng(0)) / 255
    assert noisy.var() == pytest.approx(0.2 / 60, rel=0.03)


def test_impulse_noise_sets_its_share_to_black_and_white() -> None:
    gray = np.full((200, 200, 3), 100, np.uint8)
    noisy = corrupt(gray, "impulse_noise", 3, rng=np.random.default_rng(0))
    assert (noisy == 0).mean() == pytest.approx(0.045, abs=0.003)
    assert (noisy == 255).mean() == pytest.approx(0.045, abs=0.003)
    assert set(np.unique(noisy)) == {0, 100, 255}


def test_contrast_keeps_the_mean_of_each_channel() -> None:
    image = picture(48)
    flat = corrupt(image, "contrast", 3, rng=np.random.default_rng(0))
    np.testing.assert_allclose(flat.mean(axis=(0, 1)), image.mean(axis=(0, 1)), atol=0.5)
    np.testing.assert_allclose(flat.std(axis=(0, 1)), 0.2 * image.std(axis=(0, 1)), rtol=0.03)


def test_brightness_keeps_hue_and_lifts_black_to_gray() -> None:
    image = np.array([[[100, 50, 0], [0, 0, 0]]], np.uint8)
    brighter = corrupt(image, "brightness", 2, rng=np.random.default_rng(0))
    assert brighter.tolist() == [[[151, 76, 0], [51, 51, 51]]]


def test_pixelate_makes_even_blocks() -> None:
    blocks = corrupt(picture(64), "pixelate", 5, rng=np.random.default_rng(0))
    first = blocks[::4, ::4].repeat(4, axis=0).repeat(4, axis=1)
    np.testing.assert_array_equal(blocks, first)


@pytest.mark.parametrize(
    ("kind", "severity", "image", "message"),
    [
        ("rain", 3, picture(8), "'rain'"),
        ("fog", 0, picture(8), "severity is 0"),
        ("fog", 6, picture(8), "severity is 6"),
        ("fog", 3, picture(8).astype(np.float32), "float32"),
        ("fog", 3, picture(8)[..., 0], r"shape \(8, 8\)"),
        ("fog", 3, picture(8)[:0], r"shape \(0, 8, 3\)"),
    ],
)
def test_what_cannot_be_corrupted_is_named(kind: str, severity: int, image: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        corrupt(image, kind, severity, rng=np.random.default_rng(0))
