"""Hostile and broken model files are refused in one sentence, before a runtime sees them."""

import contextlib
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hyperclip.errors import BundleError
from hyperclip.runtime.model_file import parse_model, read_model_file
from tiny_bundle import make_encoder

Change = Callable[[onnx.ModelProto], None]


def changed(change: Change) -> bytes:
    """Return the tiny encoder after a change."""
    model = onnx.ModelProto.FromString(make_encoder())
    change(model)
    return bytes(model.SerializeToString())


def weight(model: onnx.ModelProto) -> onnx.TensorProto:
    """Return the first tensor of a model."""
    return model.graph.initializer[0]


def external_location(model: onnx.ModelProto) -> None:
    weight(model).data_location = TensorProto.EXTERNAL
    weight(model).external_data.add(key="location", value="../../etc/passwd")


def external_entry_alone(model: onnx.ModelProto) -> None:
    weight(model).external_data.add(key="location", value="weights.bin")


def external_in_constant(model: onnx.ModelProto) -> None:
    tensor = numpy_helper.from_array(np.zeros(2, np.float32), "c")
    tensor.data_location = TensorProto.EXTERNAL
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))


def huge_dims(model: onnx.ModelProto) -> None:
    weight(model).dims[:] = [2**40, 2**20]


def negative_dims(model: onnx.ModelProto) -> None:
    weight(model).dims[:] = [-1, 3]


def overflowing_dims(model: onnx.ModelProto) -> None:
    weight(model).dims[:] = [2**32, 2**32, 0, 1]
    weight(model).dims[2] = 2**32


def high_rank(model: onnx.ModelProto) -> None:
    weight(model).dims[:] = [1] * 9


def string_tensor(model: onnx.ModelProto) -> None:
    weight(model).data_type = TensorProto.STRING


def custom_domain(model: onnx.ModelProto) -> None:
    model.graph.node[1].domain = "com.evil"
    model.opset_import.add(domain="com.evil", version=1)


def microsoft_domain(model: onnx.ModelProto) -> None:
    model.graph.node[1].domain = "com.microsoft"


def subgraph(model: onnx.ModelProto) -> None:
    empty = helper.make_graph([], "g", [], [])
    model.graph.node.append(helper.make_node("If", ["flag"], ["x"], then_branch=empty, else_branch=empty))


def function(model: onnx.ModelProto) -> None:
    model.functions.add(name="f", domain="")


def sparse(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add()


def old_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 11


def late_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 99


def no_opset(model: onnx.ModelProto) -> None:
    del model.opset_import[:]


def late_ir(model: onnx.ModelProto) -> None:
    model.ir_version = 99


def no_nodes(model: onnx.ModelProto) -> None:
    del model.graph.node[:]


def constant_of_huge_shape(model: onnx.ModelProto) -> None:
    """A few bytes that would ask for 4 TB as soon as a session folds constants."""
    model.graph.initializer.append(numpy_helper.from_array(np.array([2**20, 2**20], np.int64), "shape"))
    model.graph.node.append(helper.make_node("ConstantOfShape", ["shape"], ["huge"]))


def expanded(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array([2**30, 8, 1, 1], np.int64), "shape"))
    model.graph.node.append(helper.make_node("Expand", ["norm1.scale", "shape"], ["huge"]))


def tiled(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array([2**30, 1, 1], np.int64), "times"))
    model.graph.node.append(helper.make_node("Tile", ["norm1.scale", "times"], ["huge"]))


def doubled(model: onnx.ModelProto) -> None:
    """Forty concatenations of a tensor with itself: 2 to the 40th."""
    last = "norm1.scale"
    for step in range(40):
        model.graph.node.append(helper.make_node("Concat", [last, last], [f"d{step}"], axis=0))
        last = f"d{step}"


def huge_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 2**40


HOSTILE = [
    external_location, external_entry_alone, external_in_constant, huge_dims, negative_dims, overflowing_dims,
    high_rank, string_tensor, custom_domain, microsoft_domain, subgraph, function, sparse, old_opset,
    late_opset, no_opset, late_ir, no_nodes, constant_of_huge_shape, expanded, tiled, doubled, huge_input,
]  # fmt: skip


def test_an_honest_model_passes() -> None:
    model = parse_model(make_encoder(), where="encoder.onnx")
    assert len(model.graph.node) == 13


@pytest.mark.parametrize("change", HOSTILE, ids=lambda change: change.__name__)
def test_hostile_models_are_refused_without_much_memory(change: Change) -> None:
    data = changed(change)
    tracemalloc.start()
    try:
        with pytest.raises(BundleError) as caught:
            parse_model(data, where="'evil.onnx'")
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert message.startswith("'evil.onnx'")
    assert len(message.encode()) < 1500
    assert "\n" not in message
    assert peak_bytes < 20_000_000


def test_a_truncated_or_random_file_never_crashes() -> None:
    data = make_encoder()
    rng = np.random.default_rng(0)
    candidates = [data[:length] for length in rng.integers(0, len(data), 100)]
    candidates += [rng.bytes(int(length)) for length in rng.integers(0, 5000, 100)]
    for candidate in candidates:
        # Cut between two of its parts, what is left may be a model of its own; nothing else may come out.
        with contextlib.suppress(BundleError):
            assert parse_model(candidate, where="x").graph.node


def test_flipped_bytes_never_crash() -> None:
    data = make_encoder()
    rng = np.random.default_rng(1)
    for place in rng.integers(0, len(data), 300):
        candidate = data[:place] + rng.bytes(1) + data[place + 1 :]
        with contextlib.suppress(BundleError):
            assert parse_model(candidate, where="x").graph.node


def test_read_model_file_checks_the_size_first(tmp_path: Path) -> None:
    path = tmp_path / "big.onnx"
    with path.open("wb") as file:
        file.truncate(2**40)  # sparse: takes no disk
    with pytest.raises(BundleError, match="expected at most"):
        read_model_file(path)


def test_read_model_file_refuses_empty_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "empty.onnx").touch()
    with pytest.raises(BundleError, match="is empty"):
        read_model_file(tmp_path / "empty.onnx")
    with pytest.raises(BundleError, match="is a folder"):
        read_model_file(tmp_path)
    with pytest.raises(BundleError, match="cannot be opened"):
        read_model_file(tmp_path / "none.onnx")
