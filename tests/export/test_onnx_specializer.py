"""The upper half as ONNX: any number of texts and classes, as PyTorch computes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("torch", reason="exporting needs PyTorch: pip install 'hyperclip[train]'")
pytest.importorskip("onnxscript", reason="exporting needs onnxscript: pip install 'hyperclip[train]'")

import onnx
import onnxruntime
import torch
from onnx import TensorProto

from hyperclip.errors import BundleError
from hyperclip.export.onnx_specializer import specializer_to_onnx
from hyperclip.models import (
    HeadConfig,
    HyperCLIP,
    HyperCLIPConfig,
    HypernetworkConfig,
    ImageEncoderConfig,
    TextEncoder,
    TextEncoderConfig,
    mean_by_class,
)

pytestmark = pytest.mark.torch

Floats = npt.NDArray[np.float32]
DIM, TEXT_DIM, N_TOKENS, LENGTH = 12, 64, 50, 12
TOLERANCE = 1e-4


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads of small tensors only wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True)
class Texts:
    """Token ids of texts, and the class of each."""

    token_ids: npt.NDArray[np.int64]
    mask: npt.NDArray[np.int64]
    class_index: npt.NDArray[np.int64]

    @property
    def n_classes(self) -> int:
        return int(self.class_index.max()) + 1


def make_texts(n_classes: int, *, per_class: int = 1, n_tokens: int = 7, seed: int = 0) -> Texts:
    """Random texts of different lengths."""
    rng = np.random.default_rng(seed)
    n = n_classes * per_class
    token_ids = rng.integers(3, N_TOKENS, (n, n_tokens))
    mask = (np.arange(n_tokens) < rng.integers(1, n_tokens + 1, n)[:, None]).astype(np.int64)
    mask[0] = 1
    return Texts(token_ids * mask, mask, rng.permutation(np.repeat(np.arange(n_classes), per_class)))


def make_model(kind: str, *, hypernetwork: str | None) -> HyperCLIP:
    torch.manual_seed(0)
    config = HyperCLIPConfig(
        image_encoder=ImageEncoderConfig(name="mobilenetv4_conv_small_050", embedding_dim=DIM),
        head=HeadConfig(kind=kind, dim=DIM, text_dim=TEXT_DIM, logit_scale=7.0),
        hypernetwork=None
        if hypernetwork is None
        else HypernetworkConfig(kind=hypernetwork, text_dim=TEXT_DIM, hidden_dim=16, bottleneck_dim=8),
    )
    text = TextEncoderConfig(
        vocab_size=N_TOKENS, context_length=LENGTH, width=32, n_layers=2, n_heads=4, text_dim=TEXT_DIM
    )
    model = HyperCLIP(config, text_encoder=TextEncoder(text))
    if model.hypernetwork is not None:
        torch.nn.init.normal_(model.hypernetwork.out.weight, std=0.05)
        model.set_center(torch.randn(20, TEXT_DIM))
    return model.eval()


@torch.no_grad()
def expected_from(model: HyperCLIP, texts: Texts) -> dict[str, Floats]:
    assert model.text_encoder is not None
    rows = model.text_encoder(torch.from_numpy(texts.token_ids), torch.from_numpy(texts.mask))
    class_emb = mean_by_class(rows, torch.from_numpy(texts.class_index), texts.n_classes)
    head = model.make_head(class_emb)
    delta = model.generate(class_emb[None])
    encoder = model.image_encoder
    final = encoder.base_parameters() if delta is None else encoder.final_parameters(delta)[0]
    return {"head": head.weight_CD.numpy(), "bias": head.bias_C.numpy(), "generated": final.numpy()}


def run_onnx(data: bytes, texts: Texts) -> dict[str, Floats]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    given = {"token_ids": texts.token_ids, "mask": texts.mask, "class_index": texts.class_index}
    return dict(zip(names, session.run(None, given), strict=True))


def assert_same(data: bytes, model: HyperCLIP, texts: Texts, *, tolerance: float = TOLERANCE) -> None:
    expected, found = expected_from(model, texts), run_onnx(data, texts)
    assert list(found) == ["head", "bias", "generated"]
    for name, wanted in expected.items():
        assert found[name].shape == wanted.shape
        assert found[name].dtype == np.float32
        limit = tolerance * max(1.0, float(np.abs(wanted).max()))
        assert np.abs(found[name] - wanted).max() <= limit, name


@pytest.fixture(scope="module")
def model() -> HyperCLIP:
    return make_model("linear", hypernetwork="text")


@pytest.fixture(scope="module")
def file(model: HyperCLIP) -> bytes:
    return specializer_to_onnx(model, half=False)


@pytest.mark.parametrize(
    "texts",
    [
        make_texts(1),
        make_texts(1, n_tokens=1),
        make_texts(3),
        make_texts(3, per_class=2, n_tokens=LENGTH),
        make_texts(50, per_class=3, n_tokens=4),
    ],
    ids=["one name", "one token", "three names", "six texts", "fifty names"],
)
def test_any_number_of_names_and_tokens_gives_what_pytorch_gives(
    model: HyperCLIP, file: bytes, texts: Texts
) -> None:
    assert_same(file, model, texts)


def test_repeated_names_count_once(model: HyperCLIP, file: bytes) -> None:
    once = make_texts(3)
    order = np.array([0, 1, 2, 2, 0, 2])
    repeated = Texts(once.token_ids[order], once.mask[order], np.arange(6))

    assert_same(file, model, repeated)
    found = run_onnx(file, repeated)["generated"]
    single = Texts(once.token_ids, once.mask, np.arange(3))
    np.testing.assert_allclose(found, run_onnx(file, single)["generated"], atol=1e-5)


def test_other_names_give_other_parameters(file: bytes) -> None:
    one, other = (run_onnx(file, make_texts(4, seed=seed))["generated"] for seed in (1, 2))

    assert np.abs(one - other).max() > 1e-2


def test_padding_changes_nothing(file: bytes) -> None:
    texts = make_texts(5)
    wider = Texts(
        np.pad(texts.token_ids, ((0, 0), (0, 3))), np.pad(texts.mask, ((0, 0), (0, 3))), texts.class_index
    )

    for name, values in run_onnx(file, texts).items():
        np.testing.assert_allclose(run_onnx(file, wider)[name], values, atol=1e-5)


def test_the_file_keeps_the_contract(file: bytes) -> None:
    model = onnx.load_from_string(file)

    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
    assert model.ir_version == 8
    assert {node.domain for node in model.graph.node} == {""}
    made = {name for node in model.graph.node for name in node.output}
    assert {"row_text", "class_text"} <= made
    read = {name for node in model.graph.node for name in node.input}
    assert {tensor.name for tensor in model.graph.initializer} <= read
    for value in model.graph.input:
        assert value.type.tensor_type.elem_type == TensorProto.INT64


@pytest.mark.slow
def test_a_small_file_has_whole_number_embeddings_and_is_nearly_the_same(
    model: HyperCLIP, file: bytes
) -> None:
    data = specializer_to_onnx(model)

    kinds = {tensor.data_type for tensor in onnx.load_from_string(data).graph.initializer}
    assert {TensorProto.INT8, TensorProto.FLOAT16} <= kinds
    assert len(data) < 0.7 * len(file)
    assert_same(data, model, make_texts(9, per_class=2), tolerance=2e-2)
    assert specializer_to_onnx(model) == data


@pytest.mark.slow
@pytest.mark.parametrize(("hypernetwork", "kind", "total"), [
    (None, "log_mixture", 1), ("token", "log_mixture", 1), (None, "mixture_plus_linear", 1),
])  # fmt: skip
def test_controls_and_mixtures_are_exported_too(hypernetwork: str | None, kind: str, total: int) -> None:
    model = make_model(kind, hypernetwork=hypernetwork)
    data = specializer_to_onnx(model, half=False)

    for texts in (make_texts(1), make_texts(6, per_class=2)):
        assert_same(data, model, texts)
    np.testing.assert_allclose(run_onnx(data, make_texts(6))["head"].sum(axis=1), total, atol=1e-5)


@pytest.mark.slow
def test_whole_number_embeddings_leave_every_text_where_it_was(model: HyperCLIP) -> None:
    texts = make_texts(40)
    small = onnx.load_from_string(specializer_to_onnx(model))
    small.graph.output.append(onnx.helper.make_tensor_value_info("row_text", TensorProto.FLOAT, ["n", None]))
    session = onnxruntime.InferenceSession(small.SerializeToString(), providers=["CPUExecutionProvider"])
    given = {"token_ids": texts.token_ids, "mask": texts.mask, "class_index": texts.class_index}
    (found,) = session.run(["row_text"], given)
    assert model.text_encoder is not None
    with torch.no_grad():
        wanted = model.text_encoder(torch.from_numpy(texts.token_ids), torch.from_numpy(texts.mask)).numpy()

    assert (found * wanted).sum(axis=1).min() > 0.999


def test_a_model_without_a_text_encoder_is_refused(model: HyperCLIP) -> None:
    with pytest.raises(BundleError, match="has no text encoder"):
        specializer_to_onnx(HyperCLIP(model.config))
