"""An encoder taken apart computes what it computed, with other parameters where they are written."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hyperclip.bundle import GeneratedParameter
from hyperclip.errors import BundleError
from hyperclip.runtime.graph import Graph, neutral_values, read_graph, write_generated
from hyperclip.runtime.model_file import parse_model
from hyperclip.runtime.session import Session
from tiny_bundle import DIM, layout, make_encoder


def read(data: bytes) -> Graph:
    """Take an encoder apart."""
    return read_graph(parse_model(data, where="e"), where="e", input_name="images", output_name="embedding")


def put_together(graph: Graph) -> Session:
    """Return a session of a graph."""
    model = helper.make_model(
        helper.make_graph(
            list(graph.nodes),
            "g",
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["b", 3, "h", "w"])],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["b", DIM])],
            [numpy_helper.from_array(array, name) for name, array in graph.constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", graph.opset)],
        ir_version=8,
    )
    return Session(model.SerializeToString(), where="g", n_threads=1)


IMAGES = np.random.default_rng(5).normal(size=(3, 3, 20, 24)).astype(np.float32)


def test_reading_changes_nothing_but_the_storage_of_weights() -> None:
    graph = read(make_encoder())
    assert "Cast" not in [node.op_type for node in graph.nodes]
    assert all(array.dtype != np.float16 for array in graph.constants.values())
    expected = Session(make_encoder(), where="e", n_threads=1).run(["embedding"], {"images": IMAGES})[0]
    actual = put_together(graph).run(["embedding"], {"images": IMAGES})[0]
    np.testing.assert_array_equal(actual, expected)


def test_constant_nodes_become_constants() -> None:
    model = onnx.ModelProto.FromString(make_encoder())
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == "depthwise.weight")
    model.graph.initializer.remove(weight)
    model.graph.node.insert(0, helper.make_node("Constant", [], ["depthwise.weight"], value=weight))
    graph = read(model.SerializeToString())
    assert "Constant" not in [node.op_type for node in graph.nodes]
    assert "depthwise.weight" in graph.constants


def test_notes_of_the_exporter_stay_behind() -> None:
    model = onnx.ModelProto.FromString(make_encoder())
    model.graph.node[1].doc_string = "/home/somebody/secret/train.py:17"
    model.graph.node[1].metadata_props.add(key="stack_trace", value="/home/somebody/secret/train.py")
    assert all(b"secret" not in node.SerializeToString() for node in read(model.SerializeToString()).nodes)


def test_written_parameters_are_the_ones_that_compute() -> None:
    graph = read(make_encoder())
    neutral = neutral_values(graph, layout())
    same = write_generated(graph, neutral, layout(), where="e")
    other = write_generated(graph, neutral * 2, layout(), where="e")
    plain = put_together(graph).run(["embedding"], {"images": IMAGES})[0]
    np.testing.assert_array_equal(put_together(same).run(["embedding"], {"images": IMAGES})[0], plain)
    assert np.abs(put_together(other).run(["embedding"], {"images": IMAGES})[0] - plain).max() > 0.01
    np.testing.assert_array_equal(neutral_values(graph, layout()), neutral)  # the original is untouched


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        (GeneratedParameter(name="norm9.scale", size=8, offset=0), "has none"),
        (GeneratedParameter(name="norm1.scale", size=9, offset=0), "has 8 values"),
    ],
)
def test_a_layout_that_does_not_fit_is_named(parameter: GeneratedParameter, message: str) -> None:
    values = np.zeros(parameter.size, np.float32)
    with pytest.raises(BundleError, match=message):
        write_generated(read(make_encoder()), values, (parameter,), where="encoder.onnx")


def test_an_encoder_with_batch_norm_is_refused() -> None:
    model = onnx.ModelProto.FromString(make_encoder())
    model.graph.node[4].op_type = "BatchNormalization"
    with pytest.raises(BundleError, match="BatchNormalization"):
        read_graph(model, where="e", input_name="images", output_name="embedding")


def test_other_inputs_and_outputs_are_refused() -> None:
    model = onnx.ModelProto.FromString(make_encoder())
    with pytest.raises(BundleError, match=r"expected \['pixels'\] to"):
        read_graph(model, where="e", input_name="pixels", output_name="embedding")
