"""Folding norms into convolutions leaves the function and removes the nodes."""

from collections import Counter

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hyperclip.runtime.fold import fold_norms
from hyperclip.runtime.graph import Graph, read_graph, write_generated
from hyperclip.runtime.model_file import parse_model
from hyperclip.runtime.session import Session
from tiny_bundle import layout, make_encoder

make = helper.make_node
RNG = np.random.default_rng(11)


def run(graph: Graph, image: npt.NDArray[np.float32]) -> npt.NDArray[np.generic]:
    """Return what a graph computes."""
    proto = helper.make_graph(
        list(graph.nodes),
        "g",
        [helper.make_tensor_value_info(graph.input_name, TensorProto.FLOAT, list(image.shape))],
        [helper.make_tensor_value_info(graph.output_name, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in graph.constants.items()],
    )
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return Session(model.SerializeToString(), where="g", n_threads=1).run(
        [graph.output_name], {graph.input_name: image}
    )[0]


def small_graph(nodes: list[onnx.NodeProto], **constants: npt.NDArray[np.generic]) -> Graph:
    """Return a graph from ``x`` to ``y``."""
    return Graph(nodes=tuple(nodes), constants=constants, input_name="x", output_name="y", opset=18)


def op_types(graph: Graph) -> list[str]:
    """Return the operators of a graph."""
    return [node.op_type for node in graph.nodes]


def normal(*shape: int) -> npt.NDArray[np.float32]:
    """Return random numbers."""
    return RNG.normal(size=shape).astype(np.float32)


IMAGE = normal(2, 3, 9, 7)


def test_conditioned_norms_fold_away_and_the_residual_stays() -> None:
    model = parse_model(make_encoder(), where="e")
    graph = read_graph(model, where="e", input_name="images", output_name="embedding")
    values = RNG.normal(1.0, 0.7, sum(item.size for item in layout())).astype(np.float32)
    graph = write_generated(graph, values, layout(), where="e")
    folded = fold_norms(graph)
    assert op_types(folded) == ["Conv", "Relu", "Conv", "Add", "GlobalAveragePool", "Flatten", "Gemm"]
    assert not any(name.startswith("norm") for name in folded.constants)
    image = normal(2, 3, 20, 24)
    np.testing.assert_allclose(run(folded, image), run(graph, image), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 1, 1), (1, 4, 1, 1)])
@pytest.mark.parametrize("has_bias", [False, True])
def test_scale_and_shift_fold_in_either_operand_order(shape: tuple[int, ...], has_bias: bool) -> None:
    constants = {"w": normal(4, 3, 3, 3), "s": normal(*shape), "t": normal(*shape)}
    if has_bias:
        constants["b"] = normal(4)
    nodes = [
        make("Conv", ["x", "w", "b"] if has_bias else ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        make("Mul", ["s", "c"], ["m"]),
        make("Add", ["m", "t"], ["y"]),
    ]
    graph = small_graph(nodes, **constants)
    folded = fold_norms(graph)
    assert op_types(folded) == ["Conv"]
    np.testing.assert_allclose(run(folded, IMAGE), run(graph, IMAGE), rtol=1e-5, atol=1e-5)


def test_a_shift_alone_folds_and_a_scale_alone_needs_no_bias() -> None:
    shift = small_graph(
        [make("Conv", ["x", "w"], ["c"]), make("Add", ["c", "t"], ["y"])],
        w=normal(4, 3, 1, 1),
        t=normal(4, 1, 1),
    )
    scale = small_graph(
        [make("Conv", ["x", "w"], ["c"]), make("Mul", ["c", "t"], ["y"])],
        w=normal(4, 3, 1, 1),
        t=normal(4, 1, 1),
    )
    for graph, n_inputs in ((shift, 3), (scale, 2)):
        folded = fold_norms(graph)
        assert [len(node.input) for node in folded.nodes] == [n_inputs]
        np.testing.assert_allclose(run(folded, IMAGE), run(graph, IMAGE), rtol=1e-5, atol=1e-5)


def test_weights_that_two_convolutions_share_are_not_scaled_twice() -> None:
    nodes = [
        make("Conv", ["x", "w", "b"], ["c1"]),
        make("Conv", ["x", "w", "b"], ["c2"]),
        make("Mul", ["c1", "s1"], ["m1"]),
        make("Mul", ["c2", "s2"], ["m2"]),
        make("Sub", ["m1", "m2"], ["y"]),
    ]
    graph = small_graph(nodes, w=normal(4, 3, 1, 1), b=normal(4), s1=normal(4, 1, 1), s2=normal(4, 1, 1))
    folded = fold_norms(graph)
    assert op_types(folded) == ["Conv", "Conv", "Sub"]
    np.testing.assert_allclose(run(folded, IMAGE), run(graph, IMAGE), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "graph",
    [
        # The plain output of the convolution is read by somebody else too.
        small_graph(
            [make("Conv", ["x", "w"], ["c"]), make("Mul", ["c", "s"], ["m"]), make("Add", ["m", "c"], ["y"])],
            w=normal(4, 3, 1, 1),
            s=normal(4, 1, 1),
        ),
        # One value for each place instead of each channel.
        small_graph(
            [make("Conv", ["x", "w"], ["c"]), make("Mul", ["c", "s"], ["y"])],
            w=normal(4, 3, 1, 1),
            s=normal(9, 7),
        ),
        # An activation lies between.
        small_graph(
            [make("Conv", ["x", "w"], ["c"]), make("Relu", ["c"], ["r"]), make("Mul", ["r", "s"], ["y"])],
            w=normal(4, 3, 1, 1),
            s=normal(4, 1, 1),
        ),
        # The weights are computed.
        small_graph(
            [
                make("Abs", ["w"], ["w2"]),
                make("Conv", ["x", "w2"], ["c"]),
                make("Mul", ["c", "s"], ["y"]),
            ],
            w=normal(4, 3, 1, 1),
            s=normal(4, 1, 1),
        ),
        # The convolution's output is the output of the model.
        small_graph(
            [make("Conv", ["x", "w"], ["y"]), make("Mul", ["y", "s"], ["z"])],
            w=normal(4, 3, 1, 1),
            s=normal(4, 1, 1),
        ),
    ],
    ids=["shared", "spatial", "activation", "computed", "output"],
)
def test_what_cannot_fold_stays(graph: Graph) -> None:
    folded = fold_norms(graph)
    assert Counter(op_types(folded)) == Counter(op_types(graph))
    np.testing.assert_array_equal(run(folded, IMAGE), run(graph, IMAGE))


def test_folding_leaves_the_original_untouched() -> None:
    graph = small_graph(
        [make("Conv", ["x", "w"], ["c"]), make("Mul", ["c", "s"], ["y"])],
        w=normal(4, 3, 1, 1),
        s=normal(4, 1, 1),
    )
    before = run(graph, IMAGE)
    fold_norms(graph)
    np.testing.assert_array_equal(run(graph, IMAGE), before)
