"""An encoder is widened and stored again without a change."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from hyperclip.compress.encoder_file import is_stored_half, plain_model, stored_model
from hyperclip.runtime.graph import read_graph
from tiny_bundle import layout, make_encoder


def plain(data: bytes) -> onnx.ModelProto:
    model = onnx.ModelProto.FromString(data)
    return plain_model(read_graph(model, where="it", input_name="images", output_name="embedding"))


def run(data: bytes) -> np.ndarray:
    images = np.random.default_rng(0).normal(size=(2, 3, 17, 20)).astype(np.float32)
    return onnxruntime.InferenceSession(data).run(["embedding"], {"images": images})[0]


@pytest.mark.parametrize("half", [True, False])
def test_what_was_widened_is_stored_again(half: bool) -> None:
    data = make_encoder()
    names = frozenset(item.name for item in layout())
    wide = plain(data)
    assert all(tensor.data_type != onnx.TensorProto.FLOAT16 for tensor in wide.graph.initializer)
    stored = stored_model(wide, keep_float=names, half=half)
    np.testing.assert_allclose(run(stored), run(data), atol=2e-3 if half else 1e-6)
    kinds = {tensor.name: tensor.data_type for tensor in onnx.ModelProto.FromString(stored).graph.initializer}
    assert all(kinds[name] == onnx.TensorProto.FLOAT for name in names)
    assert ("projection.weight32.half" in kinds) == half
    assert plain(stored).graph.node == wide.graph.node


def test_numbers_that_half_precision_cannot_hold_stay_wide() -> None:
    wide = plain(make_encoder())
    for tensor in wide.graph.initializer:
        if tensor.name == "stem.weight32":
            array = onnx.numpy_helper.to_array(tensor).copy()
            array[0] = 1e5
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    stored = stored_model(wide, keep_float=frozenset(), half=True)
    names = {tensor.name for tensor in onnx.ModelProto.FromString(stored).graph.initializer}
    assert "stem.weight32" in names
    assert "projection.weight32.half" in names


def test_whether_weights_are_half_is_seen() -> None:
    names = frozenset(item.name for item in layout())
    mixed = onnx.ModelProto.FromString(make_encoder())  # its depthwise weights are float32
    assert not is_stored_half(mixed, keep_float=names)
    for half in (True, False):
        stored = onnx.ModelProto.FromString(stored_model(plain(make_encoder()), keep_float=names, half=half))
        assert is_stored_half(stored, keep_float=names) == half


def test_a_number_a_channel_stays_wide_and_does_not_count() -> None:
    half = onnx.ModelProto.FromString(stored_model(plain(make_encoder()), keep_float=frozenset(), half=True))
    wide = numpy_helper.from_array(np.ones((32, 1, 1), np.float32), "scale")
    half.graph.initializer.extend([wide, numpy_helper.from_array(np.float32(1), "number")])
    assert is_stored_half(half, keep_float=frozenset())
    half.graph.initializer.append(numpy_helper.from_array(np.ones((32, 3), np.float32), "matrix"))
    assert not is_stored_half(half, keep_float=frozenset())
