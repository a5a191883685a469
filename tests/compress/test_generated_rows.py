"""A hypernetwork of fewer rows generates the same values at the places that are left."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from hyperclip.bundle.read import read_bundle
from hyperclip.compress.generated_rows import keep_generated
from hyperclip.errors import BundleError
from hyperclip.runtime.specializer import Specializer
from hyperclip.runtime.tokenizer import TextTokenizer
from hyperclip.zoo import find_bundle

N_DENSE, WIDTH = 12, 5
KEPT = np.array([0, 3, 4, 7, 11])
SHIFT = np.array([0.5, -1.0, 0.0, 2.0, 0.25], np.float32)


def make_hypernetwork(*, is_split: bool = False, output: str = "generated") -> bytes:
    """Mean, a matrix of whole numbers with a scale a row, a bound, and learnt values with a mask."""
    rng = np.random.default_rng(0)
    arrays = {
        "codes": rng.integers(-127, 128, (N_DENSE, WIDTH)).astype(np.int8),
        "sizes": rng.uniform(0.01, 0.02, (N_DENSE, 1)).astype(np.float32),
        "bias": rng.normal(size=N_DENSE).astype(np.float32),
        "base": rng.normal(size=N_DENSE).astype(np.float32),
        "is_scale": (rng.random(N_DENSE) < 0.5).astype(np.float16),
        "bound": np.array([2.0], np.float32),
        "first": np.array(0, np.int64),
        "axis": np.array([0], np.int64),
        "sizes_of_parts": np.array([4, N_DENSE - 4], np.int64),
    }
    node = helper.make_node
    nodes = [
        node("ReduceMean", ["class_text", "axis"], ["mean"], keepdims=1),
        node("Cast", ["codes"], ["wide"], to=TensorProto.FLOAT),
        node("Mul", ["wide", "sizes"], ["weight"]),
        node("Gemm", ["mean", "weight", "bias"], ["raw"], transB=1),
        node("Div", ["raw", "bound"], ["small"]),
        node("Tanh", ["small"], ["bounded"]),
        node("Gather", ["bounded", "first"], ["delta"], axis=0),
        node("Cast", ["is_scale"], ["mask"], to=TensorProto.FLOAT),
        node("Mul", ["mask", "base"], ["masked"]),
        node("Mul", ["delta", "masked"], ["change"]),
    ]
    if is_split:
        nodes += [
            node("Split", ["change", "sizes_of_parts"], ["part1", "part2"], axis=0),
            node("Concat", ["part1", "part2"], ["joined"], axis=0),
        ]
    nodes.append(node("Add", ["base", "joined" if is_split else "change"], [output]))
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("class_text", TensorProto.FLOAT, ["classes", WIDTH])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [N_DENSE])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def run(data: bytes, class_text: np.ndarray) -> np.ndarray:
    return onnxruntime.InferenceSession(data).run(["generated"], {"class_text": class_text})[0]


@pytest.mark.parametrize("is_split", [False, True])
@pytest.mark.parametrize("is_sliced", [False, True])
def test_what_is_left_is_generated_as_before(is_split: bool, is_sliced: bool) -> None:
    dense = make_hypernetwork(is_split=is_split)
    smaller = keep_generated(dense, KEPT, SHIFT, n_dense=N_DENSE, is_sliced=is_sliced)
    for seed in range(3):
        class_text = np.random.default_rng(seed).normal(size=(4, WIDTH)).astype(np.float32)
        np.testing.assert_allclose(run(smaller, class_text), run(dense, class_text)[KEPT] + SHIFT, atol=1e-6)


def test_rows_are_gone_from_every_array() -> None:
    smaller = onnx.ModelProto.FromString(keep_generated(make_hypernetwork(), KEPT, SHIFT, n_dense=N_DENSE))
    shapes = {tensor.name: tuple(tensor.dims) for tensor in smaller.graph.initializer}
    assert not [name for name, shape in shapes.items() if N_DENSE in shape]
    assert (len(KEPT), WIDTH) in shapes.values()
    assert [node.op_type for node in smaller.graph.node].count("Add") == 1  # the shift is in the base


def test_the_given_bytes_stay_and_the_result_is_the_same_each_time() -> None:
    dense = make_hypernetwork()
    copy = bytes(dense)
    first, second = (keep_generated(dense, KEPT, SHIFT, n_dense=N_DENSE) for _ in range(2))
    assert first == second
    assert dense == copy


def test_a_graph_that_generates_nothing_is_refused() -> None:
    with pytest.raises(BundleError, match="expected the output of a hypernetwork"):
        keep_generated(make_hypernetwork(output="other"), KEPT, SHIFT, n_dense=N_DENSE)


def test_the_specializer_of_small_loses_rows_and_keeps_its_text_side() -> None:
    bundle = read_bundle(find_bundle("small"))
    manifest = bundle.manifest
    dense = bundle.files["specializer.onnx"]
    kept = np.sort(np.random.default_rng(0).permutation(manifest.n_generated)[: manifest.n_generated // 2])
    smaller = keep_generated(dense, kept, np.zeros(len(kept), np.float32), n_dense=manifest.n_generated)
    assert len(smaller) < len(dense) - 32 * (manifest.n_generated - len(kept))
    tokenizer = TextTokenizer(bundle.files["tokenizer.json"], manifest.text)
    from dataclasses import replace

    from hyperclip.bundle.manifest import GeneratedParameter

    thin = replace(manifest, generated=(GeneratedParameter(name="all", size=len(kept), offset=0),))
    both = [
        Specializer(data, tokenizer, about, n_threads=1)
        for data, about in ((dense, manifest), (smaller, thin))
    ]
    rows = [specializer.embed(["cat", "newt", "sofa"]) for specializer in both]
    np.testing.assert_array_equal(rows[0], rows[1])
    found = [specializer.generate(rows[0]) for specializer in both]
    np.testing.assert_array_equal(found[0].head, found[1].head)
    np.testing.assert_allclose(found[1].parameters, found[0].parameters[kept], atol=1e-5)
