"""Augmentation: decided by the generator alone, in range, and what each change does."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="augmentation needs PyTorch: pip install 'hyperclip[train]'")

import torch
from torch import Tensor

from hyperclip.data.augment import AugmentConfig, augment, augment_beside_clean, normalize_images
from hyperclip.errors import InputError

pytestmark = pytest.mark.torch

PLAIN = AugmentConfig(min_area=1.0, max_stretch=1.0, flip=False, color=0.0, low_resolution=0.0, blur=0.0)
ALL = AugmentConfig(low_resolution=1.0, blur=1.0)


def pictures(n: int = 6, size_px: int = 48, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, (n, size_px, size_px, 3), dtype=np.uint8))


def run(images: Tensor, size_px: int, config: AugmentConfig, seed: int = 0) -> Tensor:
    return augment(images, size_px, config=config, rng=np.random.default_rng(seed))


def sharpness(images: Tensor) -> Tensor:
    """Mean difference of neighbors, one number a picture."""
    return (images[..., 1:] - images[..., :-1]).abs().mean(dim=(1, 2, 3))


@pytest.mark.parametrize("size_px", [32, 48, 96])
@pytest.mark.parametrize("source_px", [20, 48, 200])
def test_any_size_comes_out_in_range(size_px: int, source_px: int) -> None:
    out = run(pictures(4, source_px), size_px, ALL)

    assert out.shape == (4, 3, size_px, size_px)
    assert out.dtype == torch.float32
    assert torch.isfinite(out).all()
    assert out.min() >= 0
    assert out.max() <= 1


def test_the_generator_decides_everything_and_the_input_stays() -> None:
    images = pictures()
    before = images.clone()

    torch.manual_seed(1)
    first = run(images, 32, AugmentConfig())
    torch.manual_seed(2)
    assert torch.equal(run(images, 32, AugmentConfig()), first)
    assert not torch.equal(run(images, 32, AugmentConfig(), seed=1), first)
    assert torch.equal(images, before)


def test_without_any_change_pictures_stay_as_they_are() -> None:
    images = pictures(size_px=32)

    out = run(images, 32, PLAIN)

    torch.testing.assert_close(out, images.permute(0, 3, 1, 2) / 255, atol=1e-5, rtol=0)


def test_a_flip_mirrors_about_half_of_the_pictures() -> None:
    images = pictures(64, 16)
    plain = images.permute(0, 3, 1, 2) / 255

    out = run(images, 16, replace(PLAIN, flip=True))

    kept, mirrored = (
        (out - wanted).abs().amax(dim=(1, 2, 3)) < 1e-4 for wanted in (plain, plain.flip(dims=(3,)))
    )
    assert (kept ^ mirrored).all()
    assert 16 < int(mirrored.sum()) < 48


def test_crops_keep_at_least_the_smallest_area() -> None:
    """On pictures that are ramps, the range of values left tells the width and height of the crop."""
    ramp = torch.linspace(0, 255, 64)
    x = ramp[None, :].expand(64, 64)
    images = torch.stack([x, x.T, torch.zeros(64, 64)], dim=-1).to(torch.uint8).expand(200, -1, -1, -1)

    out = run(images, 64, replace(PLAIN, min_area=0.25, max_stretch=1.2))

    width, height = ((out[:, c].amax((1, 2)) - out[:, c].amin((1, 2))) for c in (0, 1))
    area = width * height
    assert 0.2 < area.min() < 0.35  # 63/64 of each side lie between the outer pixels
    assert area.max() > 0.9
    assert 1.15 < float((width / height).max()) < 1.25


def test_color_changes_brightness_contrast_and_saturation() -> None:
    images = pictures(40, 16)
    plain = run(images, 16, PLAIN)

    out = run(images, 16, replace(PLAIN, color=0.3))

    brightness = out.mean(dim=(1, 2, 3)) / plain.mean(dim=(1, 2, 3))
    assert 0.65 < brightness.min() < 0.9
    assert 1.1 < brightness.max() < 1.35
    gray = torch.full((2, 8, 8, 3), 100, dtype=torch.uint8)
    assert run(gray, 8, replace(PLAIN, color=0.3)).std(dim=1).max() < 1e-5  # gray stays gray


@pytest.mark.parametrize("change", ["low_resolution", "blur"])
def test_only_the_stated_share_of_pictures_is_spoiled(change: str) -> None:
    images = pictures(100, 32)
    plain = run(images, 32, PLAIN)

    out = run(images, 32, replace(PLAIN, **{change: 0.3}))

    is_changed = (out - plain).abs().amax(dim=(1, 2, 3)) > 0.02
    assert 15 <= int(is_changed.sum()) <= 45
    assert (sharpness(out)[is_changed] < 0.9 * sharpness(plain)[is_changed]).all()
    torch.testing.assert_close(out[~is_changed], plain[~is_changed], atol=1e-5, rtol=0)


def test_pictures_are_shrunk_without_aliasing() -> None:
    """A pattern finer than the pixels that come out becomes gray, not stripes."""
    stripes = (torch.arange(200) % 2 * 255).to(torch.uint8)[None, None, :, None].expand(1, 200, 200, 3)

    out = run(stripes, 32, PLAIN)

    assert (out - 0.5).abs().max() < 0.1


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"min_area": 0.0}, "min_area is 0.0"),
        ({"min_area": 1.5}, "min_area is 1.5"),
        ({"max_stretch": 0.9}, "max_stretch is 0.9"),
        ({"color": 1.5}, "color is 1.5"),
        ({"low_resolution": -0.1}, "low_resolution is -0.1"),
        ({"min_resolution": 0.9}, "min_resolution is 0.9"),
        ({"blur": float("nan")}, "blur is nan"),
        ({"max_blur_px": 100.0}, "max_blur_px is 100.0"),
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, float], word: str) -> None:
    with pytest.raises(InputError, match=rf"augment\.{word}; expected from"):
        AugmentConfig(**values)


def test_the_strongest_blur_fits_the_smallest_picture() -> None:
    out = run(pictures(3, 32), 32, replace(PLAIN, blur=1.0, max_blur_px=6.0), seed=3)

    assert torch.isfinite(out).all()


def test_images_are_normalized_color_by_color() -> None:
    images = torch.tensor([0.25, 0.5, 1.0])[None, :, None, None].expand(2, 3, 4, 4)

    out = normalize_images(images, (0.5, 0.5, 0.0), (0.5, 0.25, 2.0))

    torch.testing.assert_close(out[0, :, 0, 0], torch.tensor([-0.5, 0.0, 0.5]))
    assert out.shape == images.shape


# Beside a teacher -------------------------------------------------------------------------------------


def test_a_teacher_sees_the_same_crops_unspoiled() -> None:
    rng = np.random.default_rng(5)
    same, clean = augment_beside_clean(
        pictures(4, 96), 64, clean_px=64, config=AugmentConfig(low_resolution=0.0, blur=0.0), rng=rng
    )
    assert torch.equal(same, clean)
    spoiled, clean_again = augment_beside_clean(
        pictures(4, 96), 64, clean_px=64, config=ALL, rng=np.random.default_rng(5)
    )
    assert torch.equal(clean, clean_again)
    assert (sharpness(spoiled) < sharpness(clean)).all()


def test_a_teacher_sees_large_pictures_where_the_learner_sees_small_ones() -> None:
    config = replace(PLAIN, min_area=0.5)
    small, large = augment_beside_clean(
        pictures(4, 128), 32, clean_px=128, config=config, rng=np.random.default_rng(0)
    )
    assert small.shape[-2:] == (32, 32)
    assert large.shape[-2:] == (128, 128)
    shrunk = torch.nn.functional.interpolate(large, size=(32, 32), mode="bilinear", antialias=True)
    torch.testing.assert_close(small, shrunk.clamp(0, 1))


def test_a_teacher_smaller_than_the_learner_is_refused() -> None:
    with pytest.raises(InputError, match="Pictures of 64 px stand beside clean ones of 32 px"):
        augment_beside_clean(pictures(2), 64, clean_px=32, config=PLAIN, rng=np.random.default_rng(0))


def test_few_pixels_have_a_floor() -> None:
    floor = AugmentConfig(
        min_area=1.0, max_stretch=1.0, flip=False, color=0.0, low_resolution=1.0, blur=0.0,
        min_resolution=0.01, min_resolution_px=48,
    )  # fmt: skip
    assert (sharpness(run(pictures(4, 64), 64, floor)) > 1.2 * sharpness(
        run(pictures(4, 64), 64, replace(floor, min_resolution_px=8))
    )).any()  # fmt: skip
    whole = run(pictures(4, 64), 64, replace(floor, min_resolution_px=64))
    torch.testing.assert_close(whole, run(pictures(4, 64), 64, PLAIN), atol=1e-4, rtol=0)


@pytest.mark.parametrize("size_px", [32, 48, 96])
def test_pictures_that_lose_nothing_are_only_flipped_and_resized(size_px: int) -> None:
    images = pictures(16, 48)
    out = run(images, size_px, replace(PLAIN, flip=True))
    plain = run(images, size_px, PLAIN)

    is_same = (out - plain).abs().flatten(1).amax(dim=1) < 1e-6
    is_flipped = (out - plain.flip(-1)).abs().flatten(1).amax(dim=1) < 1e-5
    assert (is_same ^ is_flipped).all()
    assert 0 < is_same.sum() < 16
