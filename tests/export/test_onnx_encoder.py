"""Image encoders as ONNX: the same function as in PyTorch, with the generated parameters as constants."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator

import numpy as np
import pytest

pytest.importorskip("torch", reason="exporting needs PyTorch: pip install 'hyperclip[train]'")
pytest.importorskip("onnxscript", reason="exporting needs onnxscript: pip install 'hyperclip[train]'")

import onnx
import onnxruntime
import timm
import torch
from onnx import TensorProto, helper, numpy_helper
from timm.layers import GroupNorm
from torch import Tensor

from hyperclip.bundle import GeneratedParameter
from hyperclip.errors import BundleError
from hyperclip.export.onnx_encoder import encoder_to_onnx, graph_to_model, merge_pads
from hyperclip.models import ImageEncoder, ImageEncoderConfig
from hyperclip.runtime.graph import Graph, read_graph, write_generated

pytestmark = pytest.mark.torch

DIM = 16
SMALL = "mobilenetv4_conv_small_050"
TOLERANCE = 1e-4  # of the largest value: float32 rounding, in another order, over some fifty layers
HALF_TOLERANCE = 2e-2  # float16 weights have three digits, and their errors add up over the layers


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads of small tensors only wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def random_images(size_px: int, n_images: int = 3) -> Tensor:
    return torch.randn(n_images, 3, size_px, size_px, generator=torch.Generator().manual_seed(size_px))


def make_encoder(name: str) -> ImageEncoder:
    """An encoder whose scales, shifts and statistics are not those of the start."""
    torch.manual_seed(0)
    encoder = ImageEncoder(ImageEncoderConfig(name=name, embedding_dim=DIM))
    with torch.no_grad():
        for norm in encoder.norms():
            norm.norm.weight.mul_(0.8 + 0.4 * torch.rand(norm.n_channels))
            norm.norm.bias.add_(0.1 * torch.randn(norm.n_channels))
            if isinstance(norm.norm, torch.nn.BatchNorm2d):
                norm.norm.momentum = 1.0
        encoder.train()(random_images(64, 4))
    return encoder.eval()


def run_onnx(data: bytes, images: Tensor) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    (embedding,) = session.run(["embedding"], {"images": images.numpy()})
    return embedding


@torch.no_grad()
def assert_same(data: bytes, encoder: ImageEncoder, images: Tensor, delta: Tensor | None = None,
                tolerance: float = TOLERANCE) -> None:  # fmt: skip
    expected = encoder(images, delta).numpy()
    found = run_onnx(data, images)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance * max(1.0, np.abs(expected).max())
    if len(images) > 1:  # not a constant, of which anything would be the same
        assert expected.std(axis=0).mean() > 1e-3


def operators(data: bytes) -> set[str]:
    return {node.op_type for node in onnx.load_from_string(data).graph.node}


def layout_of(encoder: ImageEncoder) -> tuple[GeneratedParameter, ...]:
    return tuple(
        GeneratedParameter(name=name, size=size, offset=offset) for name, size, offset in encoder.layout
    )


def read(data: bytes) -> Graph:
    return read_graph(onnx.load_from_string(data), where="it", input_name="images", output_name="embedding")


def assert_well_formed(
    data: bytes, encoder: ImageEncoder, *, affine_shape: Callable[[int], tuple[int, ...]]
) -> None:
    """Check what the bundle's contract asks of ``encoder.onnx``."""
    model = onnx.load_from_string(data)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
    assert model.ir_version == 8
    assert {node.domain for node in model.graph.node} == {""}
    assert not operators(data) & {"BatchNormalization", "Shape", "Pad", "Identity"}
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    assert set(held) <= {name for node in model.graph.node for name in node.input}
    for name, size, _ in encoder.layout:
        array = numpy_helper.to_array(held[name])
        assert array.dtype == np.float32
        assert array.shape == affine_shape(size)
    base = encoder.base_parameters().detach().numpy()
    for item in layout_of(encoder):
        wanted = base[item.offset : item.offset + item.size]
        np.testing.assert_array_equal(numpy_helper.to_array(held[item.name]).reshape(-1), wanted)


@torch.no_grad()
def assert_writable(data: bytes, encoder: ImageEncoder, images: Tensor) -> None:
    """Check that values written into the graph do what the same context does in PyTorch."""
    delta = 0.2 * torch.randn(1, encoder.n_generated, generator=torch.Generator().manual_seed(1))
    values = encoder.final_parameters(delta)[0].numpy()
    written = write_generated(read(data), values, layout_of(encoder), where="it")
    changed = graph_to_model(written, keep_float=set(), half=False)
    assert_same(changed, encoder, images, delta)
    assert np.abs(run_onnx(changed, images) - run_onnx(data, images)).max() > 1e-2


# One small encoder, in every respect -------------------------------------------------------------------


@pytest.fixture(scope="module")
def small() -> ImageEncoder:
    return make_encoder(SMALL)


@pytest.fixture(scope="module")
def small_file(small: ImageEncoder) -> bytes:
    return encoder_to_onnx(small, size_px=64, half=False)


def test_every_size_and_number_of_images_gives_what_pytorch_gives(
    small: ImageEncoder, small_file: bytes
) -> None:
    for size_px, n_images in ((64, 1), (96, 3), (160, 2)):
        assert_same(small_file, small, random_images(size_px, n_images))


def test_the_file_keeps_the_contract(small: ImageEncoder, small_file: bytes) -> None:
    assert_well_formed(small_file, small, affine_shape=lambda size: (size, 1, 1))


def test_generated_values_can_be_written_into_the_graph(small: ImageEncoder, small_file: bytes) -> None:
    assert_writable(small_file, small, random_images(96))


def test_an_embedding_for_a_linear_head_has_unit_length(small: ImageEncoder, small_file: bytes) -> None:
    images = random_images(64, 3)
    data = encoder_to_onnx(small, size_px=64, half=False, has_unit_length=True)

    found, plain = run_onnx(data, images), run_onnx(small_file, images)

    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(
        found, plain / np.linalg.norm(plain, axis=1, keepdims=True), atol=1e-5, rtol=1e-4
    )


@pytest.mark.slow
def test_half_precision_halves_the_file_and_keeps_what_is_generated(
    small: ImageEncoder, small_file: bytes
) -> None:
    data = encoder_to_onnx(small, size_px=64)

    assert len(data) < 0.6 * len(small_file)
    assert_same(data, small, random_images(96), tolerance=HALF_TOLERANCE)
    held = {tensor.name: tensor.data_type for tensor in onnx.load_from_string(data).graph.initializer}
    assert {held[name] for name, _, _ in small.layout} == {TensorProto.FLOAT}
    assert TensorProto.FLOAT16 in held.values()


@pytest.mark.slow
def test_the_same_encoder_gives_the_same_bytes_and_stays_as_it_is(
    small: ImageEncoder, small_file: bytes
) -> None:
    before = copy.deepcopy(small.state_dict())

    assert encoder_to_onnx(small, size_px=64, half=False) == small_file

    assert all(torch.equal(before[key], value) for key, value in small.state_dict().items())


# Other encoders ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_encoder_of_the_bundled_model_at_three_sizes() -> None:
    encoder = make_encoder("tf_efficientnet_lite0")
    data = encoder_to_onnx(encoder, half=False)

    for size_px in (96, 160, 224):
        assert_same(data, encoder, random_images(size_px, 2))
    assert_well_formed(data, encoder, affine_shape=lambda size: (size, 1, 1))  # TensorFlow's padding too
    assert_writable(data, encoder, random_images(96))


@pytest.mark.slow
def test_an_encoder_with_layer_norms() -> None:
    encoder = make_encoder("edgenext_xx_small")
    data = encoder_to_onnx(encoder, size_px=64, half=False)

    assert_same(data, encoder, random_images(64))
    assert_writable(data, encoder, random_images(64))
    assert not operators(data) & {"BatchNormalization", "Pad"}


@pytest.mark.slow
def test_an_encoder_with_group_norms(monkeypatch: pytest.MonkeyPatch) -> None:
    make = functools.partial(timm.create_model, norm_layer=functools.partial(GroupNorm, num_groups=8))
    monkeypatch.setattr("hyperclip.models.image_encoder.timm.create_model", make)
    encoder = make_encoder("resnet10t")
    assert isinstance(encoder.norms()[0].norm, torch.nn.GroupNorm)
    data = encoder_to_onnx(encoder, size_px=64, half=False)

    assert_same(data, encoder, random_images(64))
    assert_writable(data, encoder, random_images(64))
    assert "BatchNormalization" not in operators(data)


def test_a_norm_without_statistics_is_refused(small: ImageEncoder) -> None:
    encoder = copy.deepcopy(small)
    norm = encoder.norms()[0].norm
    norm.running_mean = norm.running_var = None  # type: ignore[union-attr]

    with pytest.raises(BundleError, match=r"norm .* has no running statistics"):
        encoder_to_onnx(encoder, size_px=64)


# Padding ----------------------------------------------------------------------------------------------

IMAGES = np.random.default_rng(0).normal(size=(1, 2, 6, 6)).astype(np.float32)


def padded_graph(*, pads: list[int], mode: str = "constant", fill: float = 0.0, last: str = "Conv",
                 own_pads: tuple[int, ...] = (0, 0, 0, 0), n_readers: int = 1) -> Graph:  # fmt: skip
    """A padding, and what reads it."""
    rng = np.random.default_rng(1)
    nodes = [helper.make_node("Pad", ["images", "pads", "fill"], ["padded"], mode=mode)]
    if last == "Conv":
        nodes += [
            helper.make_node("Conv", ["padded", "weight"], [f"out{i}"], pads=own_pads, strides=(2, 2))
            for i in range(n_readers)
        ]
    else:
        nodes += [helper.make_node(last, ["padded"], ["out0"], kernel_shape=(3, 3))]
    total = "out0" if n_readers == 1 else "total"
    if n_readers == 2:
        nodes.append(helper.make_node("Add", ["out0", "out1"], ["total"]))
    nodes.append(helper.make_node("ReduceMean", [total, "axes"], ["embedding"], keepdims=0))
    return Graph(
        nodes=tuple(nodes),
        constants={
            "pads": np.array(pads, np.int64),
            "fill": np.array(fill, np.float32),
            "axes": np.array([2, 3], np.int64),
            "weight": rng.normal(size=(4, 2, 3, 3)).astype(np.float32),
        },
        input_name="images",
        output_name="embedding",
        opset=18,
    )


def run_graph(graph: Graph) -> np.ndarray:
    nodes = [helper.make_node("Identity", ["images"], ["copied"]), *graph.nodes]  # any number of channels
    body = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 2, 6, 6])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in graph.constants.items()],
    )  # fmt: skip
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"images": IMAGES})[0]


@pytest.mark.parametrize(
    ("graph", "is_merged"),
    [
        (padded_graph(pads=[0, 0, 0, 1, 0, 0, 1, 2]), True),
        (padded_graph(pads=[0, 0, 0, 1, 0, 0, 1, 2], own_pads=(1, 0, 0, 1)), True),
        (padded_graph(pads=[0, 0, 0, 1, 0, 0, 1, 2], fill=1.0), False),
        (padded_graph(pads=[0, 0, 1, 1, 0, 0, 1, 1], mode="reflect"), False),
        (padded_graph(pads=[0, 0, 1, 1, 0, 0, 1, 1], n_readers=2), False),
        (padded_graph(pads=[0, 0, 1, 1, 0, 0, 1, 1], last="MaxPool"), False),
        (padded_graph(pads=[0, 0, -1, 0, 0, 0, 0, 0]), False),
    ],
)
def test_padding_moves_into_the_convolution_only_where_that_is_the_same(
    graph: Graph, is_merged: bool
) -> None:
    merged = merge_pads(graph)

    assert ("Pad" in {node.op_type for node in merged.nodes}) is not is_merged
    np.testing.assert_allclose(run_graph(merged), run_graph(graph), atol=1e-6)


def test_weights_beyond_float16_stay_float32() -> None:
    graph = padded_graph(pads=[0] * 8)
    weight = np.asarray(graph.constants["weight"])
    huge = weight * 1e6

    for array, data_type in ((weight, TensorProto.FLOAT16), (huge, TensorProto.FLOAT)):
        data = graph_to_model(
            Graph(
                nodes=graph.nodes, constants={**graph.constants, "weight": array}, input_name="images",
                output_name="embedding", opset=18,
            ),
            keep_float=set(), half=True,
        )  # fmt: skip
        held = {
            t.name.removesuffix(".half"): t.data_type for t in onnx.load_from_string(data).graph.initializer
        }
        assert held["weight"] == data_type
