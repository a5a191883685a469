"""The features of a head are the same in NumPy and as operators."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hyperclip.runtime.head_features import FEATURES, default_features, feature_nodes, head_features
from hyperclip.runtime.session import Session


@pytest.mark.parametrize("kind", ["unit", "centered_unit"])
def test_numpy_and_operators_agree(kind: str) -> None:
    rows = np.random.default_rng(0).normal(3, 2, (5, 7)).astype(np.float32)
    rows[4] = 0
    nodes, constants = feature_nodes(kind, output="features", prefix="x/")
    shape = ["n", 7]
    graph = helper.make_graph(
        nodes,
        "features",
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    session = Session(model.SerializeToString(), where="features")
    (result,) = session.run(["features"], {"embedding": rows})
    np.testing.assert_allclose(result, head_features(rows, kind), atol=1e-6)


def test_raw_features_are_the_embedding_itself() -> None:
    rows = np.array([[1.0, 2.0]])
    assert head_features(rows, "raw") is rows
    assert feature_nodes("raw", output="features", prefix="") == ([], {})


@pytest.mark.parametrize("kind", ["unit", "centered_unit"])
def test_directions_have_length_one_and_zeros_stay_zeros(kind: str) -> None:
    features = head_features([[3.0, -1.0, 8.0], [0.0, 0.0, 0.0]], kind)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), [1, 0], atol=1e-6)


def test_a_shift_of_all_concept_logits_changes_nothing() -> None:
    rows = np.random.default_rng(0).normal(size=(4, 6))
    np.testing.assert_allclose(
        head_features(rows + 5, "centered_unit"), head_features(rows, "centered_unit"), atol=1e-12
    )


def test_what_suits_a_head_is_one_of_the_kinds() -> None:
    assert default_features("linear") == "raw"
    assert {default_features(kind) for kind in ("log_mixture", "mixture_plus_linear", "adapted")} <= set(
        FEATURES
    )
