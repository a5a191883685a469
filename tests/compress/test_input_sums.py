"""Norms of a convolution's unfolded patches, whatever the batch size; moments of outputs."""

import numpy as np
import numpy.typing as npt
import pytest
from onnx import helper

from hyperclip.compress.input_sums import InputNorms, OutputMoments
from hyperclip.compress.weight_layers import WeightLayer, find_layers
from hyperclip.errors import BundleError
from small_graphs import convolutions, pictures


def a_layer(shape: tuple[int, ...], *, groups: int = 1, kind: str = "Conv") -> WeightLayer:
    return WeightLayer(
        name="w", node=0, kind=kind, source="x", weight="w", bias="", shape=shape, groups=groups
    )


def unfolded_norms(
    x: npt.NDArray[np.float32], kernel: tuple[int, int], groups: int, **options: list[int]
) -> npt.NDArray[np.float64]:
    """Return the norms the slow way: every patch is cut out; (groups, kh * kw * channels of a group)."""
    pads, strides = options.get("pads", [0] * 4), options.get("strides", [1, 1])
    dilations = options.get("dilations", [1, 1])
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    height = padded.shape[2] - dilations[0] * (kernel[0] - 1)
    width = padded.shape[3] - dilations[1] * (kernel[1] - 1)
    total = np.zeros((*kernel, x.shape[1]))
    for top in range(0, height, strides[0]):
        for left in range(0, width, strides[1]):
            for i in range(kernel[0]):
                for j in range(kernel[1]):
                    value = padded[:, :, top + i * dilations[0], left + j * dilations[1]]
                    total[i, j] += (value**2).sum(axis=0)
    split = total.reshape(*kernel, groups, -1)
    return np.sqrt(np.moveaxis(split, 2, 0).reshape(groups, -1))


@pytest.mark.parametrize(
    ("kernel", "groups", "options"),
    [
        ((1, 1), 1, {}),
        ((3, 3), 1, {"pads": [1, 1, 1, 1]}),
        ((3, 3), 1, {"pads": [0, 0, 1, 1], "strides": [2, 2]}),
        ((5, 3), 2, {"pads": [2, 1, 0, 3], "strides": [1, 2]}),
        ((3, 3), 6, {"pads": [1, 1, 1, 1], "dilations": [2, 1]}),
    ],
)
def test_norms_are_those_of_unfolded_patches(
    kernel: tuple[int, int], groups: int, options: dict[str, list[int]]
) -> None:
    x = pictures(4, channels=6)
    layer = a_layer((12, 6 // groups, *kernel), groups=groups)
    sums = InputNorms(layer, helper.make_node("Conv", ["x", "w"], ["y"], **options))
    sums.add(x)
    np.testing.assert_allclose(sums.norms, unfolded_norms(x, kernel, groups, **options), rtol=1e-10)


def test_norms_are_the_gradient_of_a_convolution_of_squares() -> None:
    torch = pytest.importorskip("torch")
    x = pictures(3, channels=4)
    layer = a_layer((5, 4, 3, 3))
    sums = InputNorms(layer, helper.make_node("Conv", ["x", "w"], ["y"], pads=[1] * 4, strides=[2, 1]))
    sums.add(x)
    kernel = torch.zeros(1, 4, 3, 3, dtype=torch.float64, requires_grad=True)
    squares = torch.from_numpy(x).double() ** 2
    torch.nn.functional.conv2d(squares, kernel, stride=(2, 1), padding=1).sum().backward()
    expected = np.moveaxis(kernel.grad[0].numpy(), 0, -1).reshape(-1)
    np.testing.assert_allclose(sums.norms[0] ** 2, expected, rtol=1e-10)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_the_batch_size_does_not_count(size: int) -> None:
    x = pictures(64, channels=3)
    layer = find_layers(convolutions(), until="embedding", fixed=frozenset())[0]
    node = convolutions().graph.node[layer.node]
    whole, parts = InputNorms(layer, node), InputNorms(layer, node)
    moments, moments_of_parts = OutputMoments(a_layer((3, 1, 1, 1))), OutputMoments(a_layer((3, 1, 1, 1)))
    whole.add(x)
    moments.add(x)
    for start in range(0, 64, size):
        parts.add(x[start : start + size])
        moments_of_parts.add(x[start : start + size])
    np.testing.assert_allclose(parts.norms, whole.norms, rtol=1e-12)
    np.testing.assert_allclose(moments_of_parts.mean, moments.mean, rtol=1e-10)
    np.testing.assert_allclose(moments_of_parts.std, moments.std, rtol=1e-10)


def test_moments_are_mean_and_deviation_by_channel() -> None:
    x = pictures(5, channels=3)
    moments = OutputMoments(a_layer((3, 1, 1, 1)))
    moments.add(x)
    np.testing.assert_allclose(moments.mean, x.astype(np.float64).mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(moments.std, x.astype(np.float64).std(axis=(0, 2, 3)), rtol=1e-12)


def test_squares_do_not_overflow_in_half_precision() -> None:
    sums = InputNorms(a_layer((2, 3), kind="Gemm"), helper.make_node("Gemm", ["x", "w"], ["y"]))
    sums.add(np.full((10, 3), 6e4, np.float16))
    np.testing.assert_allclose(sums.norms, 6e4 * np.sqrt(10), rtol=1e-3)


def test_pictures_of_two_sizes_are_refused() -> None:
    sums = InputNorms(a_layer((2, 3, 1, 1)), helper.make_node("Conv", ["x", "w"], ["y"]))
    sums.add(pictures(2, side=8))
    with pytest.raises(BundleError, match="one size"):
        sums.add(pictures(2, side=9))


def test_without_data_there_are_no_norms() -> None:
    sums = InputNorms(a_layer((2, 3, 1, 1)), helper.make_node("Conv", ["x", "w"], ["y"]))
    with pytest.raises(BundleError, match="saw no data"):
        _ = sums.norms
