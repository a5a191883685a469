"""From a model whose tasks change weights, over a bundle, to a classifier file that costs nothing more."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="exporting needs PyTorch: pip install 'hyperclip[train]'")
pytest.importorskip("onnxscript", reason="exporting needs onnxscript: pip install 'hyperclip[train]'")

import onnx
import torch
from onnx import numpy_helper

from hyperclip.bundle import GeneratedParameter, Manifest
from hyperclip.bundle.write import write_bundle
from hyperclip.errors import BundleError
from hyperclip.export.onnx_encoder import encoder_to_onnx
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
from hyperclip.runtime import Model
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.tokenizer import TextTokenizer
from tiny_bundle import CONTEXT_LENGTH, make_manifest, make_tokenizer

pytestmark = pytest.mark.torch

DIM, TEXT_DIM, SIZE_PX = 16, 8, 32
NAMES = ["cat", "dog", "a photo", "zebra 7"]
OTHERS = ["pin", "tin can"]
TOLERANCE = 1e-4  # of logits of about unit size: float32 rounding in another order


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads of small tensors only wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_model(generates: tuple[str, ...], *, code: str = "sphere") -> HyperCLIP:
    """A random model that looks trained; the image encoder is the same whatever is generated."""
    torch.manual_seed(0)
    config = HyperCLIPConfig(
        image_encoder=ImageEncoderConfig(name="compact_20k", embedding_dim=DIM, generates=generates),
        head=HeadConfig(kind="log_mixture", text_dim=TEXT_DIM, dim=DIM, logit_scale=5.0),
        hypernetwork=HypernetworkConfig(text_dim=TEXT_DIM, hidden_dim=16, bottleneck_dim=8, code=code),
    )
    text = TextEncoderConfig(
        vocab_size=200, context_length=CONTEXT_LENGTH, width=32, n_layers=1, text_dim=TEXT_DIM
    )
    model = HyperCLIP(config, text_encoder=TextEncoder(text))
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for norm in model.image_encoder.norms():
            norm.norm.weight.mul_(0.8 + 0.4 * torch.rand(norm.n_channels, generator=rng))
            norm.norm.bias.add_(0.2 * torch.randn(norm.n_channels, generator=rng))
            norm.norm.momentum = 1.0  # type: ignore[union-attr]
        model.image_encoder.train()(torch.randn(16, 3, 64, 64, generator=rng))
    assert model.hypernetwork is not None
    torch.nn.init.normal_(model.hypernetwork.out.weight, std=0.2, generator=rng)
    return model.eval()


def manifest_of(model: HyperCLIP) -> Manifest:
    said = make_manifest(kind="log_mixture", temperature=None)
    layout = model.image_encoder.layout
    return dataclasses.replace(
        said,
        text=dataclasses.replace(said.text, templates=("{}",)),
        head=dataclasses.replace(said.head, dim=DIM, text_dim=TEXT_DIM),
        generated=tuple(GeneratedParameter(name=n, size=size, offset=offset) for n, size, offset in layout),
    )


def files_of(model: HyperCLIP, *, half: bool = False) -> dict[str, bytes]:
    return {
        "encoder.onnx": encoder_to_onnx(model.image_encoder, size_px=64, half=half),
        "specializer.onnx": specializer_to_onnx(model, half=half),
        "tokenizer.json": make_tokenizer(),
    }


def load(model: HyperCLIP, files: dict[str, bytes], folder: Path) -> Model:
    write_bundle(folder, manifest_of(model), files)
    return Model.load(folder, n_threads=1)


@pytest.fixture(scope="module")
def model() -> HyperCLIP:
    return make_model(("norms", "pointwise"))


@pytest.fixture(scope="module")
def files(model: HyperCLIP) -> dict[str, bytes]:
    return files_of(model)


def random_pixels(n_images: int = 5) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n_images, SIZE_PX, SIZE_PX, 3), dtype=np.uint8)


@torch.no_grad()
def expected_logits(model: HyperCLIP, names: list[str], context: list[str]) -> np.ndarray:
    """What PyTorch's functional path makes of the pictures."""
    said = manifest_of(model)
    images = torch.from_numpy(random_pixels()).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in (said.images.mean, said.images.std))
    tokenizer = TextTokenizer(make_tokenizer(), said.text)

    def embed(texts: list[str]) -> torch.Tensor:
        token_ids, mask = tokenizer.encode(texts)
        assert model.text_encoder is not None
        rows = model.text_encoder(torch.from_numpy(token_ids), torch.from_numpy(mask))
        return mean_by_class(rows, torch.arange(len(texts)), len(texts))

    delta = model.generate(embed(context)[None])
    embedding = model.embed_images((images - mean) / std, delta)
    return model.head.logits(embedding, model.make_head(embed(names))).numpy()


def assert_same(classifier: Classifier, expected: np.ndarray) -> None:
    found = classifier.decision_function(random_pixels())
    assert np.abs(found - expected).max() <= TOLERANCE * max(1.0, float(np.abs(expected).max()))


def assert_told_its_task(model: HyperCLIP, shop: Model) -> None:
    """Compare classifiers for two tasks and for none with PyTorch."""
    own, other = expected_logits(model, NAMES, NAMES), expected_logits(model, NAMES, OTHERS)
    assert_same(shop.specialize(NAMES, image_size_px=SIZE_PX), own)
    assert_same(shop.specialize(NAMES, image_size_px=SIZE_PX, context=OTHERS), other)
    assert np.abs(own - other).max() > 0.02  # the task does matter
    neutral = shop.specialize(NAMES, image_size_px=SIZE_PX, context="neutral")
    assert np.abs(neutral.decision_function(random_pixels()) - own).max() > 0.02


def test_a_classifier_is_what_pytorch_computes_under_the_same_task(
    model: HyperCLIP, files: dict[str, bytes], tmp_path: Path
) -> None:
    assert_told_its_task(model, load(model, files, tmp_path / "bundle"))


@pytest.mark.slow
def test_experts_that_mix_weights_alone_are_exported_too(tmp_path: Path) -> None:
    model = make_model(("pointwise",), code="softmax")

    assert_told_its_task(model, load(model, files_of(model), tmp_path / "bundle"))


def test_a_specialized_file_costs_what_a_plain_one_costs(
    model: HyperCLIP, files: dict[str, bytes], tmp_path: Path
) -> None:
    plain = make_model(("norms",))
    made = [
        load(one, given, tmp_path / name).specialize(NAMES, image_size_px=SIZE_PX).to_bytes()
        for name, one, given in (("plain", plain, files_of(plain)), ("told", model, files))
    ]
    kinds = [[node.op_type for node in onnx.load_from_string(data).graph.node] for data in made]

    assert kinds[0] == kinds[1]
    assert kinds[1].count("Conv") == 16
    assert len(made[0]) == len(made[1])


def test_generated_weights_are_named_arrays_that_hold_the_neutral_encoder(
    model: HyperCLIP, files: dict[str, bytes]
) -> None:
    encoder = model.image_encoder
    tensors = onnx.load_from_string(files["encoder.onnx"]).graph.initializer
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in tensors}

    names = [name for name, _, _ in encoder.layout if name.endswith(".weight")]
    assert len(names) == 10
    for name in names:
        learnt = encoder.trunk.get_parameter(name).detach().numpy()
        assert held[name].dtype == np.float32
        assert held[name].shape == (*learnt.shape[:2], 1, 1)
        np.testing.assert_array_equal(held[name], learnt)


@pytest.mark.slow
def test_half_precision_is_nearly_the_same(model: HyperCLIP, tmp_path: Path) -> None:
    half = files_of(model, half=True)
    shop = load(model, half, tmp_path / "bundle")
    constants = onnx.load_from_string(half["encoder.onnx"]).graph.initializer
    generated = {name for name, _, _ in model.image_encoder.layout}

    assert generated <= {t.name for t in constants if t.data_type == onnx.TensorProto.FLOAT}
    found = shop.specialize(NAMES, image_size_px=SIZE_PX).decision_function(random_pixels())
    expected = expected_logits(model, NAMES, NAMES)
    assert np.abs(found - expected).max() <= 2e-2 * max(1.0, float(np.abs(expected).max()))


@pytest.mark.parametrize("change", [-1, 1])
def test_a_layout_that_does_not_fit_the_arrays_is_refused(
    model: HyperCLIP, files: dict[str, bytes], tmp_path: Path, change: int
) -> None:
    said = manifest_of(model)
    first = next(i for i, item in enumerate(said.generated) if item.name.endswith(".weight"))
    generated, offset = [], 0
    for i, item in enumerate(said.generated):
        size = item.size + (change if i == first else -change if i == first + 1 else 0)
        generated.append(GeneratedParameter(name=item.name, size=size, offset=offset))
        offset += size
    write_bundle(tmp_path / "bundle", dataclasses.replace(said, generated=tuple(generated)), files)

    with pytest.raises(BundleError, match="values of float32 for the generated parameter"):
        Model.load(tmp_path / "bundle")
