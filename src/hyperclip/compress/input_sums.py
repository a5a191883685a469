"""What a layer's inputs and outputs are like over the calibration data.

Neither depends on how the data are cut into batches. A convolution's inputs are the values under
each offset of its kernel, padding included, which is what its unfolded patches hold; their sums are sums
over stretches of the picture-shaped sum, so that no patch is ever made.

Legend: B pictures, C channels, H W positions, K inputs of one output, G groups.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx

from hyperclip.compress.weight_layers import WeightLayer
from hyperclip.errors import BundleError
from hyperclip.runtime.graph import node_attribute

__all__ = ["InputNorms", "OutputMoments"]

Sums = npt.NDArray[np.float64]


class InputNorms:
    """Running sums of squares over the inputs of one layer.

    Parameters
    ----------
    layer : WeightLayer
        One whose `obstacle` is empty.
    node : onnx.NodeProto
        Its operator, for strides, padding and dilation.
    """

    def __init__(self, layer: WeightLayer, node: onnx.NodeProto) -> None:
        self._layer = layer
        self._node = node
        self._squares: Sums | None = None  # (C, H, W) of a convolution, else (K,)

    def add(self, inputs: npt.NDArray[np.generic]) -> None:
        """Count a batch: (B, C, H, W) for a convolution, else (..., K); float32, summed in float64."""
        x = inputs.astype(np.float64, copy=False)
        if not self._layer.kind.endswith("Conv"):
            x = x.reshape(-1, x.shape[-1])
        squares = np.einsum("b...,b...->...", x, x)
        if self._squares is None:
            self._squares = squares
        elif self._squares.shape != squares.shape:
            raise BundleError(
                f"The layer {self._layer.name} sees inputs of shape {squares.shape} and before that of "
                f"{self._squares.shape}; expected one shape; calibrate with pictures of one size."
            )
        else:
            self._squares = self._squares + squares

    @property
    def norms(self) -> Sums:
        """Euclidean norm of each input over all data and positions, shape (groups, n_inputs)."""
        sums, layer = self._squares, self._layer
        if sums is None:
            raise BundleError(
                f"The layer {layer.name} saw no data; expected at least one picture or text; calibrate it."
            )
        if not layer.kind.endswith("Conv"):
            return np.sqrt(sums).reshape(1, -1)
        kernel = layer.shape[2:]
        top, left, bottom, right = self._numbers("pads", [0, 0, 0, 0])
        stride, dilation = self._numbers("strides", [1, 1]), self._numbers("dilations", [1, 1])
        rows, columns = self._output_shape(sums.shape[1:])
        padded = np.pad(sums, ((0, 0), (top, bottom), (left, right)))
        offsets = np.empty((*kernel, len(sums)))
        for i in range(kernel[0]):
            for j in range(kernel[1]):
                down = slice(i * dilation[0], i * dilation[0] + (rows - 1) * stride[0] + 1, stride[0])
                across = slice(j * dilation[1], j * dilation[1] + (columns - 1) * stride[1] + 1, stride[1])
                offsets[i, j] = padded[:, down, across].sum(axis=(1, 2))
        grouped = offsets.reshape(*kernel, layer.groups, -1)
        return np.sqrt(np.moveaxis(grouped, 2, 0).reshape(layer.groups, -1))

    def _output_shape(self, sides: Sequence[int]) -> tuple[int, int]:
        """Return how many positions the kernel takes down and across."""
        pads = self._numbers("pads", [0, 0, 0, 0])
        stride, dilation = self._numbers("strides", [1, 1]), self._numbers("dilations", [1, 1])
        rows, columns = (
            (
                sides[axis]
                + pads[axis]
                + pads[axis + 2]
                - dilation[axis] * (self._layer.shape[2 + axis] - 1)
                - 1
            )
            // stride[axis]
            + 1
            for axis in (0, 1)
        )
        return rows, columns

    def _numbers(self, name: str, default: list[int]) -> list[int]:
        value = node_attribute(self._node, name)
        return [int(number) for number in value] if isinstance(value, Sequence) else default


class OutputMoments:
    """Running mean and standard deviation of each output of one layer.

    Parameters
    ----------
    layer : WeightLayer
    """

    def __init__(self, layer: WeightLayer) -> None:
        self._is_conv = layer.kind.endswith("Conv")
        self._n = 0
        self._mean: Sums = np.zeros(layer.n_outputs)
        self._scatter: Sums = np.zeros(layer.n_outputs)  # sum of squared distances from the mean

    def add(self, outputs: npt.NDArray[np.generic]) -> None:
        """Count a batch: (B, C, H, W) of a convolution, else (..., C); float32, summed in float64."""
        y = np.moveaxis(outputs, 1, -1) if self._is_conv else outputs
        rows = y.reshape(-1, y.shape[-1]).astype(np.float64)
        mean, n_all = rows.mean(axis=0), self._n + len(rows)
        apart = mean - self._mean
        self._scatter = (
            self._scatter + ((rows - mean) ** 2).sum(axis=0) + apart**2 * (self._n * len(rows) / n_all)
        )
        self._mean = self._mean + apart * (len(rows) / n_all)
        self._n = n_all

    @property
    def mean(self) -> Sums:
        """Shape (n_outputs,)."""
        return self._mean

    @property
    def std(self) -> Sums:
        """Shape (n_outputs,)."""
        return np.sqrt(self._scatter / max(1, self._n))
