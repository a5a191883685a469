"""A graph as a module computes the same, loses channels, and is written back as the same graph."""

import numpy as np
import onnx
import onnxruntime
import pytest

pytest.importorskip("torch", reason="retraining needs PyTorch: pip install 'hyperclip[train]'")
pytest.importorskip("torch_pruning", reason="needs torch-pruning: pip install 'hyperclip[train]'")

import torch
from onnx import TensorProto, helper, numpy_helper

from hyperclip.compress.graph_module import GraphModule
from hyperclip.errors import InputError
from hyperclip.models.channel_groups import find_groups
from hyperclip.models.channel_removal import remove_channels

pytestmark = pytest.mark.torch
WIDTH = 8


def make_graph(*, activation: str = "Relu") -> onnx.ModelProto:
    """Convolution with uneven padding, depthwise one, sum, scale, two kinds of linear layers."""
    rng = np.random.default_rng(0)
    node = helper.make_node
    arrays = {
        "w0": rng.normal(size=(WIDTH, 3, 3, 3)), "b0": rng.normal(size=WIDTH),
        "w1": rng.normal(size=(WIDTH, 1, 3, 3)), "w2": rng.normal(size=(WIDTH, WIDTH, 1, 1)) / 3,
        "gain": rng.uniform(0.5, 2, size=(1, WIDTH, 1, 1)), "shift": rng.normal(size=(WIDTH, 1, 1)),
        "half": np.array(0.5), "low": np.array(0.0), "high": np.array(6.0),
        "w3": rng.normal(size=(WIDTH, 12)), "b3": rng.normal(size=12), "w4": rng.normal(size=(5, 12)),
        "b4": np.array([0.25]),
    }  # fmt: skip
    constants = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in arrays.items()]
    constants += [
        numpy_helper.from_array(np.array([2, 3], np.int64), "axes"),
        numpy_helper.from_array(np.array([-1, WIDTH], np.int64), "flat"),
    ]
    clip = activation == "Clip"
    nodes = [
        node("Conv", ["x", "w0", "b0"], ["a"], pads=[0, 0, 1, 1], strides=[2, 2]),
        node(activation, ["a", "low", "high"] if clip else ["a"], ["b"]),
        node("Conv", ["b", "w1"], ["c"], pads=[1, 1, 1, 1], group=WIDTH),
        node("Conv", ["c", "w2"], ["d"]),
        node("Add", ["d", "b"], ["e"]),
        node("Mul", ["e", "gain"], ["f"]),
        node("Sub", ["f", "shift"], ["g"]),
        node("Mul", ["half", "g"], ["h"]),
        node("ReduceMean", ["h", "axes"], ["i"], keepdims=1),
        node("Reshape", ["i", "flat"], ["j"]),
        node("MatMul", ["j", "w3"], ["k"]),
        node("Add", ["k", "b3"], ["l"]),
        node("Gemm", ["l", "w4", "b4"], ["y"], transB=1),
    ]
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, "height", "width"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 5])], constants,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def as_module(model: onnx.ModelProto) -> GraphModule:
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    return GraphModule(model.graph.node, constants, source="x", output="y").eval()


def run(model: onnx.ModelProto, images: torch.Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(["y"], {"x": images.numpy()})[0]


def pictures(n: int = 4) -> torch.Tensor:
    return torch.randn(n, 3, 9, 12, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "activation", ["Relu", "Clip", "HardSwish", "HardSigmoid", "Sigmoid", "Tanh", "Erf", "Identity"]
)
def test_the_module_computes_what_the_runtime_computes(activation: str) -> None:
    model = make_graph(activation=activation)
    with torch.no_grad():
        found = as_module(model)(pictures()).numpy()
    np.testing.assert_allclose(found, run(model, pictures()), rtol=1e-4, atol=1e-4)


def test_norms_are_put_in_and_folded_away_without_a_change() -> None:
    model = make_graph()
    module = as_module(model)
    with torch.no_grad():
        before = module(pictures())
        module.add_norms([pictures(16), pictures(3)])
        torch.testing.assert_close(module(pictures()), before, rtol=1e-4, atol=1e-4)
        assert len(module.norms) == 3
        norm = next(iter(module.norms.values()))
        normalized = module.layers[next(iter(module.norms))](pictures(16)) - norm.running_mean[:, None, None]
        assert normalized.mean().abs() < 0.1
    np.testing.assert_allclose(run(module.written(model), pictures()), before, rtol=1e-4, atol=1e-4)


def test_rows_get_length_one_and_their_length_in_the_file_is_still_known() -> None:
    """Gradients of nearly dead channels would drown all others if their rows stayed short."""
    model = make_graph()
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == "w0")
    array = numpy_helper.to_array(weight).copy()
    array[1] *= 1e-3
    array[2] = 0
    weight.CopyFrom(numpy_helper.from_array(array, "w0"))
    module = as_module(model)
    name = f"layers.{next(iter(module.layers))}.weight"
    lengths = np.linalg.norm(array.reshape(WIDTH, -1), axis=1)
    np.testing.assert_allclose(module.row_lengths(name), lengths, rtol=1e-5)
    with torch.no_grad():
        before = module(pictures())
        module.add_norms([pictures(16)])
        torch.testing.assert_close(module(pictures()), before, rtol=1e-4, atol=1e-4)
        rows = module.get_parameter(name).flatten(1).norm(dim=1)
    np.testing.assert_allclose(rows, [1, 1, 0, 1, 1, 1, 1, 1], atol=1e-5)
    np.testing.assert_allclose(module.row_lengths(name), lengths, rtol=1e-4, atol=1e-6)
    group = find_groups(module, pictures(1))[0]
    total = torch.stack([module.row_lengths(maker) for maker in group.makers]).sum(dim=0)
    torch.testing.assert_close(module.lengths(module, [group])[group.name], total)


def test_channels_are_removed_from_the_written_graph() -> None:
    model = make_graph()
    before = model.SerializeToString()
    module = as_module(model)
    module.add_norms([pictures(16)])
    groups = find_groups(module, pictures(1))
    assert [group.n_channels for group in groups] == [WIDTH, 12]
    remove_channels(module, groups, {group.name: torch.arange(0, group.n_channels, 2) for group in groups})
    written = module.written(model)
    onnx.checker.check_model(written, full_check=True)
    with torch.no_grad():
        np.testing.assert_allclose(run(written, pictures()), module(pictures()), rtol=1e-4, atol=1e-4)
    shapes = {tuple(tensor.dims) for tensor in written.graph.initializer}
    assert {(4, 3, 3, 3), (4, 1, 3, 3), (4, 4, 1, 1), (4, 6), (5, 6), (4, 1, 1)} <= shapes
    assert not {(WIDTH, 3, 3, 3), (WIDTH, 12)} & shapes  # nothing old is left
    assert model.SerializeToString() == before


def test_weights_that_two_operators_share_are_parted() -> None:
    model = make_graph()
    model.graph.node[3].input[1] = "w2"
    extra = helper.make_node("Conv", ["d", "w2"], ["d2"])
    model.graph.node.insert(4, extra)
    model.graph.node[5].input[0] = "d2"
    module = as_module(model)
    with torch.no_grad():
        for layer in module.layers.values():
            layer.weight.mul_(1.5)
        expected = module(pictures())
    np.testing.assert_allclose(run(module.written(model), pictures()), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda nodes: setattr(nodes[1], "op_type", "Selu"), "Selu .* not known here"),
        (lambda nodes: nodes[0].attribute.append(helper.make_attribute("auto_pad", "SAME_UPPER")), "padding"),
        (lambda nodes: nodes[12].attribute.append(helper.make_attribute("alpha", 2.0)), "alpha"),
        (lambda nodes: nodes[9].input.__setitem__(1, "axes3"), "one row a picture"),
        (lambda nodes: nodes[8].input.__setitem__(1, "axis"), "height and width"),
    ],
)
def test_operators_that_cannot_be_followed_are_named(change, message: str) -> None:
    model = make_graph()
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 2, -1], np.int64), "axes3"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "axis"))
    change(model.graph.node)
    with pytest.raises(InputError, match=message):
        as_module(model)(pictures())
