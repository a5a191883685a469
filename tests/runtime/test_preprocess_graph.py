"""The resize inside a classifier file equals Pillow's."""

import dataclasses
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from hyperclip.bundle import ImageSpec
from hyperclip.runtime.preprocess import fit_image
from hyperclip.runtime.preprocess_graph import PIXELS, preprocessing_nodes
from hyperclip.runtime.session import Session
from tiny_bundle import make_manifest

SIZE_PX = 96
# (height, width); where one side shrinks and the other grows, `squash` would ask Pillow 12 and later
# for another order of the two passes, so such shapes are only tried with `crop`.
SIZES = [
    (1, 1), (1, 500), (500, 1), (2, 3), (31, 17), (64, 64), (95, 95), (96, 96), (97, 97), (97, 301),
    (90, 120), (224, 224), (333, 500), (480, 640), (641, 481), (1000, 91), (91, 1000), (777, 1203),
]  # fmt: skip


def spec(**change: object) -> ImageSpec:
    """Return the tiny model's image spec at 96 px with some changes."""
    return dataclasses.replace(make_manifest().images, size_px=SIZE_PX, sizes_px=(SIZE_PX,), **change)


@cache
def session(images: ImageSpec) -> Session:
    """Return the preprocessing alone as a session."""
    nodes, constants = preprocessing_nodes(images)
    outputs = [
        helper.make_tensor_value_info("preprocess/levels", TensorProto.FLOAT, None),
        helper.make_tensor_value_info(PIXELS, TensorProto.FLOAT, None),
    ]
    graph = helper.make_graph(
        nodes,
        "preprocessing",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", "height", "width", 3])],
        outputs,
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return Session(model.SerializeToString(), where="preprocessing", n_threads=1)


def levels(image: npt.NDArray[np.uint8], images: ImageSpec) -> npt.NDArray[np.generic]:
    """Return the gray levels of one picture after the resize in the graph."""
    return session(images).run(["preprocess/levels"], {"images": image[None]})[0][0].transpose(1, 2, 0)


def make_picture(size: tuple[int, int], kind: str) -> npt.NDArray[np.uint8]:
    """Return noise, or a fine pattern on a slope; both are harder than photographs."""
    rng = np.random.default_rng(size)
    if kind == "noise":
        return rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    rows, columns = np.indices(size)
    slope = 100.0 * rows / size[0] + 60.0 * columns / size[1]
    pattern = (rows + 2 * columns) % 5 * 20.0
    return np.stack([slope, pattern, slope + pattern], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize(("resize", "crop_ratio"), [
    ("crop", 1.0), ("crop", 0.875), ("squash", 1.0), ("shortest", 1.0), ("shortest", 0.875),
    ("shortest_floor", 1.0),
])  # fmt: skip
@pytest.mark.parametrize("kind", ["noise", "pattern"])
def test_resize_equals_pillow(interpolation: str, resize: str, crop_ratio: float, kind: str) -> None:
    images = spec(resize=resize, crop_ratio=crop_ratio, interpolation=interpolation)
    for size in SIZES:
        if resize == "squash" and size[0] > SIZE_PX > size[1]:
            continue
        image = make_picture(size, kind)
        side = min(size) * crop_ratio if resize == "crop" else min(size)
        if images.is_resized_first:
            side = min(size) * SIZE_PX / images.resize_px
        tolerance = 1 if side >= SIZE_PX else 3
        expected = fit_image(Image.fromarray(image), spec=images)
        difference = np.abs(levels(image, images) - expected.astype(np.float32)).max()
        assert difference <= tolerance, (size, difference)


@pytest.mark.torch
@pytest.mark.parametrize(("resize_px", "size_px"), [(96, 96), (110, 96), (97, 96)])
def test_shortest_is_what_torchvision_does(resize_px: int, size_px: int) -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    images = spec(resize="shortest", crop_ratio=size_px / resize_px)
    cubic = transforms.InterpolationMode.BICUBIC
    other = transforms.Compose(
        [transforms.Resize(resize_px, interpolation=cubic), transforms.CenterCrop(size_px)]
    )
    assert images.resize_px == resize_px
    for size in [(480, 640), (641, 481), (100, 777), (50, 60), (1000, 333), (96, 96), (225, 999)]:
        picture = Image.fromarray(make_picture(size, "noise"))
        np.testing.assert_array_equal(fit_image(picture, spec=images), np.asarray(other(picture)))


def test_a_panorama_keeps_its_middle() -> None:
    images = spec(resize="shortest")
    wide = make_picture((100, 2001), "pattern")
    middle = wide[:, (2001 - 800) // 2 : (2001 - 800) // 2 + 800]
    np.testing.assert_array_equal(
        fit_image(Image.fromarray(wide), spec=images), fit_image(Image.fromarray(middle), spec=images)
    )


def test_a_picture_of_the_right_size_is_left_as_it_is() -> None:
    image = make_picture((SIZE_PX, SIZE_PX), "noise")
    np.testing.assert_array_equal(levels(image, spec()), image)


def test_levels_are_whole_and_in_range() -> None:
    result = levels(make_picture((31, 17), "noise"), spec())
    np.testing.assert_array_equal(result, np.clip(np.round(result), 0, 255))


def test_pixels_are_normalized_as_the_manifest_says() -> None:
    images = spec()
    image = make_picture((SIZE_PX, SIZE_PX), "noise")
    (pixels,) = session(images).run([PIXELS], {"images": image[None]})
    expected = (image / 255.0 - np.array(images.mean)) / np.array(images.std)
    np.testing.assert_allclose(pixels[0].transpose(1, 2, 0), expected, rtol=0, atol=1e-5)


def test_pictures_of_a_batch_do_not_touch_one_another() -> None:
    images = spec()
    batch = np.stack([make_picture((70, 120), kind) for kind in ("noise", "pattern")])
    (both,) = session(images).run([PIXELS], {"images": batch})
    for row, image in zip(both, batch, strict=True):
        np.testing.assert_array_equal(row, session(images).run([PIXELS], {"images": image[None]})[0][0])
