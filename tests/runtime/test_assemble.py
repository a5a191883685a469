"""The classifier file: standard, deterministic, and what its parts compute one after the other."""

import json
from collections import Counter

import numpy as np
import onnx
import pytest

from hyperclip.bundle import MIXTURE_FLOOR
from hyperclip.errors import BundleError
from hyperclip.runtime.assemble import assemble, fingerprint_of, stamp
from hyperclip.runtime.fold import fold_norms
from hyperclip.runtime.graph import Graph, read_graph
from hyperclip.runtime.model_file import parse_model
from hyperclip.runtime.session import Session
from tiny_bundle import DIM, make_encoder, make_manifest

RNG = np.random.default_rng(2)
HEAD = RNG.uniform(0, 1, (4, DIM)).astype(np.float32)
LINEAR = RNG.normal(size=(4, DIM)).astype(np.float32)
BIAS = RNG.normal(size=4).astype(np.float32)
METADATA = {"class_names": ["cat", "👩‍🚀"], "threshold": None}


def encoder() -> Graph:
    """Return the tiny encoder, taken apart and folded."""
    model = parse_model(make_encoder(), where="e")
    return fold_norms(read_graph(model, where="e", input_name="images", output_name="embedding"))


def rows(head_kind: str) -> np.ndarray:
    """The head as a bundle of that kind gives it."""
    return np.hstack([HEAD, LINEAR]) if head_kind == "mixture_plus_linear" else HEAD


def build(kind: str = "linear") -> bytes:
    """Return a classifier file."""
    manifest = make_manifest(kind=kind)
    return assemble(
        encoder(),
        head=rows(kind),
        bias=BIAS,
        head_spec=manifest.head,
        images=manifest.images,
        metadata=METADATA,
    )


def test_the_file_has_the_promised_form(head_kind: str) -> None:
    model = onnx.ModelProto.FromString(build(head_kind))
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version == 8
    assert [(item.domain, item.version) for item in model.opset_import] == [("", 18)]
    assert {node.domain for node in model.graph.node} == {""}
    assert [value.name for value in model.graph.input] == ["images"]
    assert [value.name for value in model.graph.output] == ["logits", "embedding"]
    image = model.graph.input[0].type.tensor_type
    assert image.elem_type == onnx.TensorProto.UINT8
    assert [dim.dim_param or dim.dim_value for dim in image.shape.dim] == ["batch", "height", "width", 3]
    names = [node.name for node in model.graph.node]
    assert all(names)
    assert len(set(names)) == len(names)
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    assert not any(tensor.data_location for tensor in model.graph.initializer)


def test_equal_arguments_give_equal_bytes(head_kind: str) -> None:
    assert build(head_kind) == build(head_kind)


def test_logits_are_the_head_on_the_embedding(head_kind: str) -> None:
    session = Session(build(head_kind), where="c", n_threads=1)
    images = RNG.integers(0, 256, (3, 50, 41, 3), dtype=np.uint8)
    logits, embedding = session.run(["logits", "embedding"], {"images": images})
    values = embedding.astype(np.float64)
    powers = np.exp(values)
    mixed = np.log(powers / powers.sum(axis=1, keepdims=True) @ HEAD.T + MIXTURE_FLOOR)
    expected = {
        "linear": values @ HEAD.T,
        "log_mixture": mixed,
        "mixture_plus_linear": mixed + values @ LINEAR.T,
    }[head_kind] + BIAS
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)


def test_a_head_of_zeros_gives_finite_logits() -> None:
    manifest = make_manifest(kind="log_mixture")
    data = assemble(
        encoder(), head=HEAD * 0, bias=BIAS * 0, head_spec=manifest.head, images=manifest.images, metadata={}
    )
    images = np.zeros((1, 8, 8, 3), np.uint8)
    (logits,) = Session(data, where="c").run(["logits"], {"images": images})
    np.testing.assert_allclose(logits, np.log(MIXTURE_FLOOR), rtol=1e-5)


def test_metadata_are_sorted_json_without_escapes() -> None:
    model = onnx.ModelProto.FromString(build())
    keys = [entry.key for entry in model.metadata_props]
    assert keys == sorted(keys)
    values = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert values["hyperclip.class_names"] == ["cat", "👩‍🚀"]
    assert values["hyperclip.threshold"] is None
    assert "👩‍🚀" in next(entry.value for entry in model.metadata_props if "class_names" in entry.key)


def test_the_fingerprint_is_of_the_file_without_it() -> None:
    model = onnx.ModelProto.FromString(build())
    stored = next(entry for entry in model.metadata_props if entry.key == "hyperclip.fingerprint")
    assert json.loads(stored.value) == fingerprint_of(model)
    weight = next(item for item in model.graph.initializer if item.name == "head/bias")
    weight.raw_data = bytes(len(weight.raw_data))
    assert json.loads(stored.value) != fingerprint_of(model)


def test_stamping_again_replaces_our_entries_and_keeps_others() -> None:
    model = onnx.ModelProto.FromString(build())
    model.metadata_props.add(key="author", value="somebody")
    again = onnx.ModelProto.FromString(stamp(model, {"producer": "x"}))
    assert [entry.key for entry in again.metadata_props] == [
        "author",
        "hyperclip.fingerprint",
        "hyperclip.producer",
    ]


def test_names_inside_the_encoder_cannot_collide_with_ours() -> None:
    graph = encoder()
    clash = {"c1": "logits", "r1": "preprocess/pixels", "flat": "head/weight"}
    nodes = []
    for node in graph.nodes:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[:] = [clash.get(name, name) for name in node.input]
        copy.output[:] = [clash.get(name, name) for name in node.output]
        nodes.append(copy)
    renamed = Graph(
        nodes=tuple(nodes), constants=graph.constants, input_name="images", output_name="embedding", opset=18
    )
    manifest = make_manifest()
    data = assemble(
        renamed, head=HEAD, bias=BIAS, head_spec=manifest.head, images=manifest.images, metadata=METADATA
    )
    images = RNG.integers(0, 256, (2, 40, 40, 3), dtype=np.uint8)
    expected = Session(build(), where="c").run(["logits"], {"images": images})[0]
    np.testing.assert_array_equal(Session(data, where="c").run(["logits"], {"images": images})[0], expected)


def test_an_encoder_that_does_not_fit_is_one_sentence() -> None:
    manifest = make_manifest()
    with pytest.raises(BundleError, match="does not make a valid classifier") as caught:
        assemble(
            encoder(),
            head=RNG.normal(size=(4, DIM + 1)).astype(np.float32),
            bias=BIAS,
            head_spec=manifest.head,
            images=manifest.images,
            metadata=METADATA,
        )
    assert len(str(caught.value).encode()) < 1500


def test_all_sizes_have_the_same_nodes() -> None:
    manifest = make_manifest()
    counts = []
    for size_px in (16, 32):
        images = manifest.images.__class__(**{**vars(manifest.images), "size_px": size_px})
        data = assemble(
            encoder(), head=HEAD, bias=BIAS, head_spec=manifest.head, images=images, metadata=METADATA
        )
        counts.append(Counter(node.op_type for node in onnx.ModelProto.FromString(data).graph.node))
    assert counts[0] == counts[1]


def test_a_classifier_beyond_two_gigabytes_is_refused() -> None:
    manifest = make_manifest(kind="linear")
    huge = np.broadcast_to(np.float32(0), (2**29, DIM))  # no memory, and counted as its size

    with pytest.raises(BundleError, match=r"would have .* GB; expected at most 2 GB"):
        assemble(
            encoder(),
            head=huge,
            bias=BIAS,
            head_spec=manifest.head,
            images=manifest.images,
            metadata=METADATA,
        )


def test_scalars_stay_scalars() -> None:
    """A pooled token is picked by a Gather whose index has no axes; with one, shapes would differ."""
    model = onnx.ModelProto.FromString(build())
    white = next(tensor for tensor in model.graph.initializer if tensor.name == "preprocess/white")

    assert list(white.dims) == []
