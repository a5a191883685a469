"""A model cut in two computes what it computed in one piece."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from hyperclip.errors import BundleError
from hyperclip.runtime.session import Session
from hyperclip.runtime.split import has_tensor, part_between
from tiny_bundle import make_encoder, make_specializer

WHOLE = onnx.ModelProto.FromString(make_specializer(make_encoder()))
ROWS = helper.make_tensor_value_info("row_text", TensorProto.FLOAT, ["n", None])


def test_halves_equal_the_whole() -> None:
    rng = np.random.default_rng(0)
    inputs = {
        "token_ids": rng.integers(0, 80, (6, 5)),
        "mask": np.ones((6, 5), np.int64),
        "class_index": np.array([0, 0, 1, 2, 1, 2]),
    }
    names = ["head", "bias", "generated"]
    expected = Session(WHOLE.SerializeToString(), where="w").run(names, inputs)
    first = part_between(WHOLE, ["token_ids", "mask"], [ROWS])
    second = part_between(WHOLE, ["row_text", "class_index"], list(WHOLE.graph.output))
    assert len(first.graph.node) + len(second.graph.node) == len(WHOLE.graph.node)
    (rows,) = Session(first.SerializeToString(), where="1").run(
        ["row_text"], {"token_ids": inputs["token_ids"], "mask": inputs["mask"]}
    )
    actual = Session(second.SerializeToString(), where="2").run(
        names, {"row_text": rows, "class_index": inputs["class_index"]}
    )
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


def test_weights_go_only_where_they_are_read() -> None:
    second = part_between(WHOLE, ["row_text", "class_index"], list(WHOLE.graph.output))
    assert "table" not in {tensor.name for tensor in second.graph.initializer}


def test_has_tensor_finds_inner_names() -> None:
    assert has_tensor(WHOLE, "row_text")
    assert not has_tensor(WHOLE, "nothing")


def test_a_path_around_the_cut_is_refused() -> None:
    with pytest.raises(BundleError, match=r"also reads '(mask|token_ids)'"):
        part_between(WHOLE, ["class_index"], list(WHOLE.graph.output))
