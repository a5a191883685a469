"""Going through a graph piece by piece gives what running it as a whole gives, with or without memory."""

import numpy as np
import onnxruntime as ort
import pytest

from hyperclip.compress.walk import Walk, constant_tensors
from small_graphs import batches, convolutions, pictures, stored

NAMES = ["r0", "r1", "r2", "sum", "flat"]


def place_of_reader(name: str) -> int:
    return next(index for index, node in enumerate(convolutions().graph.node) if name in node.input)


@pytest.mark.parametrize("max_bytes", [0, 20_000, 10**9])
def test_pieces_give_what_the_whole_gives(max_bytes: int) -> None:
    import onnx

    model, data = convolutions(), pictures(6)
    whole = convolutions()
    whole.graph.output.extend(onnx.ValueInfoProto(name=name) for name in NAMES)
    session = ort.InferenceSession(whole.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = dict(zip(NAMES, session.run(NAMES, {"images": data}), strict=True))
    walk = Walk(model, batches(data, 4), max_kept_bytes=max_bytes)
    for name in NAMES:
        found = np.concatenate([arrays[0] for arrays in walk.advance(place_of_reader(name), [name])])
        np.testing.assert_allclose(found, expected[name], rtol=1e-5, atol=1e-6)
        ahead = np.concatenate([arrays[0] for arrays in walk.look_ahead(["embedding"])])
        np.testing.assert_allclose(ahead, session.run(["embedding"], {"images": data})[0], atol=1e-5)


def test_changed_weights_count_from_their_layer_on() -> None:
    model, data = convolutions(), pictures(3)
    walk = Walk(model, batches(data, 2))
    before = np.concatenate([arrays[0] for arrays in walk.advance(place_of_reader("r1"), ["r1"])])
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "dw")
    tensor.raw_data = np.zeros((16, 1, 3, 3), np.float32).tobytes()
    after = np.concatenate([arrays[0] for arrays in walk.look_ahead(["c2"])])
    assert before.any()
    bias = stored(model)["dw.bias"]
    np.testing.assert_allclose(after, np.broadcast_to(bias[:, None, None], after.shape), rtol=1e-6)


def test_what_depends_on_constants_alone_is_constant() -> None:
    constants = constant_tensors(convolutions().graph)
    assert {"stem", "down", "down32"} <= constants
    assert not {"images", "c0", "embedding"} & constants
