"""Small ONNX graphs with every kind of layer that is pruned or left alone."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[np.generic]


def model_of(
    nodes: list[onnx.NodeProto],
    constants: Mapping[str, Array],
    *,
    input_shape: list[object],
    output_shape: list[object],
) -> onnx.ModelProto:
    """Return a model from ``images`` to ``embedding``, float32."""
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, input_shape)],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, output_shape)],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def convolutions(*, seed: int = 0) -> onnx.ModelProto:
    """A stem, a residual block (1x1, depthwise, 1x1 in float16), a grouped strided one, and a projection."""
    rng = np.random.default_rng(seed)

    def weights(*shape: int) -> npt.NDArray[np.float32]:
        return rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)

    constants: dict[str, Array] = {
        "stem": weights(8, 3, 3, 3),
        "stem.bias": weights(8),
        "up": weights(16, 8, 1, 1),
        "up.bias": weights(16),
        "dw": weights(16, 1, 3, 3),
        "dw.bias": weights(16),
        "down": weights(8, 16, 1, 1).astype(np.float16),
        "group": weights(12, 4, 3, 3),
        "group.bias": weights(12),
        "proj": weights(5, 12),
    }
    make = helper.make_node
    nodes = [
        make("Conv", ["images", "stem", "stem.bias"], ["c0"], name="n0", pads=[1] * 4),
        make("Relu", ["c0"], ["r0"]),
        make("Conv", ["r0", "up", "up.bias"], ["c1"], name="n1"),
        make("Relu", ["c1"], ["r1"]),
        make("Conv", ["r1", "dw", "dw.bias"], ["c2"], name="n2", group=16, pads=[1] * 4),
        make("Relu", ["c2"], ["r2"]),
        make("Cast", ["down"], ["down32"], to=TensorProto.FLOAT),
        make("Conv", ["r2", "down32"], ["c3"], name="n3"),
        make("Add", ["c3", "r0"], ["sum"]),
        make("Conv", ["sum", "group", "group.bias"], ["c4"], name="n4", group=2, strides=[2, 1],
             pads=[1, 0, 0, 1], dilations=[1, 2]),
        make("Relu", ["c4"], ["r4"]),
        make("GlobalAveragePool", ["r4"], ["pooled"]),
        make("Flatten", ["pooled"], ["flat"]),
        make("Gemm", ["flat", "proj"], ["embedding"], name="n5", transB=1),
    ]  # fmt: skip
    return model_of(nodes, constants, input_shape=["batch", 3, "height", "width"], output_shape=["batch", 5])


def products(*, seed: int = 1) -> onnx.ModelProto:
    """MatMul with a bias behind it, with int8 weights, without a bias; and a product of two computed ones."""
    rng = np.random.default_rng(seed)
    constants: dict[str, Array] = {
        "first": rng.normal(0, 0.3, (6, 8)).astype(np.float32),
        "first.bias": rng.normal(0, 0.3, 8).astype(np.float32),
        "second.int8": rng.integers(-127, 128, (8, 4)).astype(np.int8),
        "second.scale": rng.uniform(0.001, 0.01, (1, 4)).astype(np.float32),
    }
    make = helper.make_node
    nodes = [
        make("MatMul", ["images", "first"], ["p1"], name="m1"),
        make("Add", ["p1", "first.bias"], ["a1"]),
        make("Tanh", ["a1"], ["t1"]),
        make("Cast", ["second.int8"], ["second.wide"], to=TensorProto.FLOAT),
        make("Mul", ["second.wide", "second.scale"], ["second"]),
        make("MatMul", ["t1", "second"], ["p2"], name="m2"),
        make("Transpose", ["p2"], ["p2t"], perm=[0, 2, 1]),
        make("MatMul", ["p2", "p2t"], ["embedding"], name="m3"),
    ]
    return model_of(nodes, constants, input_shape=["batch", "tokens", 6], output_shape=["batch", None, None])


def stored(model: onnx.ModelProto) -> dict[str, Array]:
    """Return all initializers."""
    return {tensor.name: np.asarray(numpy_helper.to_array(tensor)) for tensor in model.graph.initializer}


def pictures(n: int, *, seed: int = 3, side: int = 9, channels: int = 3) -> npt.NDArray[np.float32]:
    """Return inputs whose channels differ in size, (n, channels, side, side + 2)."""
    rng = np.random.default_rng(seed)
    spread = rng.uniform(0.2, 3, (1, channels, 1, 1))
    return (rng.normal(0.3, 1, (n, channels, side, side + 2)) * spread).astype(np.float32)


def batches(array: Array, size: int) -> list[dict[str, Array]]:
    """Cut inputs into batches."""
    return [{"images": array[start : start + size]} for start in range(0, len(array), size)]
