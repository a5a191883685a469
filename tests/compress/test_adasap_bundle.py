"""AdaSAP on a bundle: fewer channels, still specialized to any names, exactly what masking would give."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="retraining needs PyTorch: pip install 'hyperclip[train]'")
pytest.importorskip("torch_pruning", reason="needs torch-pruning: pip install 'hyperclip[train]'")
pytest.importorskip("onnxscript", reason="the test exports: pip install 'hyperclip[train]'")

import onnx
import torch
from onnx import helper, numpy_helper

from hyperclip.bundle import write_bundle
from hyperclip.bundle.read import Bundle, read_bundle
from hyperclip.compress import CompressionData, compress
from hyperclip.compress.adasap import AdaSAPConfig
from hyperclip.compress.adasap_bundle import plain_encoder, smaller_bundle
from hyperclip.compress.context_encoder import ContextEncoder
from hyperclip.compress.contexts import context_parameters
from hyperclip.compress.rewrite import rewritten_bundle, save_bundle
from hyperclip.errors import InputError
from hyperclip.models.channel_removal import model_groups, remove_channels
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.specialize import Model, load
from tiny_bundle import make_files, make_manifest
from tiny_encoder import make_model, write_model_folder

pytestmark = pytest.mark.torch
LISTS = (("cat", "dog", "fox"), ("a b", "c: d"), ("photo", "dog", "x", "y", "z"))
QUICK = AdaSAPConfig(n_steps=12, batch_size=8, radius=0.1, round_to=2, contexts=LISTS[:2])
NEW = ["zebra", "a piano", "7"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle with a hypernetwork of its own, exported from PyTorch."""
    torch.set_num_threads(1)
    return read_bundle(write_model_folder(make_model(), tmp_path_factory.mktemp("micro")))


@pytest.fixture(params=["linear", "log_mixture", "mixture_plus_linear", "exported"])
def bundle(request: pytest.FixtureRequest, tmp_path: Path) -> Bundle:
    """A bundle for each kind of head whose specializer generates, and the exported one."""
    if request.param == "exported":
        found: Bundle = request.getfixturevalue("exported")
        return found
    folder = tmp_path / "tiny"
    write_bundle(folder, make_manifest(kind=request.param), make_files(kind=request.param))
    return read_bundle(folder)


def pictures(n: int = 24) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    colors = rng.integers(0, 256, (3, 1, 1, 3))
    noise = rng.integers(-60, 60, (n, 64, 64, 3))
    return tuple(np.clip(colors[np.arange(n) % 3] + noise, 0, 255).astype(np.uint8))


def pruned_by_hand(bundle: Bundle, *, seed: int = 0) -> tuple[Bundle, ContextEncoder]:
    """Every second channel or so of each group removed, and nothing trained."""
    contexts = context_parameters(Model(bundle), LISTS)
    encoder = ContextEncoder(plain_encoder(bundle), bundle.manifest.generated, contexts)
    groups = model_groups(encoder.module, size_px=64)
    random = torch.Generator().manual_seed(seed)
    kept = {
        group.name: torch.randperm(group.n_channels, generator=random)[: -(-group.n_channels // 2)].sort()[0]
        for group in groups
    }
    encoder.forget(remove_channels(encoder.module, groups, kept))
    smaller = smaller_bundle(
        bundle, encoder.written(), layout=encoder.layout, kept=encoder.kept, shift=encoder.neutral_shift,
        change="Pruned.", probes=list(LISTS[:2]),
    )  # fmt: skip
    return smaller, encoder


def masked(bundle: Bundle, kept: np.ndarray) -> Bundle:
    """The dense bundle with scale and shift of the other channels at zero, whatever the names."""
    mask = np.zeros(bundle.manifest.n_generated, np.float32)
    mask[kept] = 1
    encoder = onnx.ModelProto.FromString(bundle.files["encoder.onnx"])
    for item in bundle.manifest.generated:
        for tensor in encoder.graph.initializer:
            if tensor.name == item.name:
                array = numpy_helper.to_array(tensor)
                part = mask[item.offset : item.offset + item.size].reshape(array.shape)
                tensor.CopyFrom(numpy_helper.from_array(array * part, item.name))
    source = "hypernetwork.onnx" if "hypernetwork.onnx" in bundle.files else "specializer.onnx"
    model = onnx.ModelProto.FromString(bundle.files[source])
    for node in model.graph.node:
        node.output[:] = ["unmasked" if name == "generated" else name for name in node.output]
    model.graph.node.append(helper.make_node("Mul", ["unmasked", "mask_of_channels"], ["generated"]))
    model.graph.initializer.append(numpy_helper.from_array(mask, "mask_of_channels"))
    changed = {"encoder.onnx": encoder.SerializeToString(), source: model.SerializeToString()}
    return rewritten_bundle(bundle, changed, change="Masked.")


@pytest.mark.parametrize("context", ["own", "neutral", LISTS[2]])
def test_pruned_then_specialized_is_masked_then_specialized(
    bundle: Bundle, context: str | tuple[str, ...]
) -> None:
    smaller, encoder = pruned_by_hand(bundle)
    assert 0 < len(encoder.kept) < bundle.manifest.n_generated
    assert np.abs(encoder.neutral_shift).max() == 0
    for names in (*LISTS, NEW):
        one, other, dense = (
            Model(each).specialize(names, context=context)
            for each in (smaller, masked(bundle, encoder.kept), bundle)
        )
        found, wanted, whole = (each.run_pixels(np.stack(pictures(6))) for each in (one, other, dense))
        scale = np.abs(wanted[1]).max()
        np.testing.assert_allclose(found[1], wanted[1], atol=1e-4 * scale)
        np.testing.assert_allclose(found[0], wanted[0], atol=1e-4 * max(1.0, np.abs(wanted[0]).max()))
        assert np.abs(whole[1] - wanted[1]).max() > 1e-2 * scale  # the mask does something
        assert len(one.to_bytes()) < len(dense.to_bytes())


def test_the_embedding_and_the_colors_stay(bundle: Bundle) -> None:
    smaller, _ = pruned_by_hand(bundle)
    shapes = [
        {tensor.name: tuple(tensor.dims) for tensor in plain_encoder(each).graph.initializer}
        for each in (bundle, smaller)
    ]
    model = plain_encoder(smaller)
    first = next(node for node in model.graph.node if node.op_type == "Conv")
    last = [node for node in model.graph.node if node.op_type in ("Gemm", "MatMul")][-1]
    assert shapes[1][first.input[1]][1] == 3
    assert bundle.manifest.head.dim in shapes[1][last.input[1]]
    assert smaller.manifest.head == bundle.manifest.head


def test_a_bundle_is_pruned_trained_and_specialized_to_new_names(bundle: Bundle, tmp_path: Path) -> None:
    before = {name: bytes(data) for name, data in bundle.files.items()}, bundle.manifest.to_json()
    told: list[tuple[int, int, str]] = []
    data = CompressionData(images=pictures())
    smaller, report = compress(bundle, data, QUICK, on_progress=lambda *args: told.append(args))

    assert ({name: bytes(data) for name, data in bundle.files.items()}, bundle.manifest.to_json()) == before
    folder = bundle.folder.with_name("thin")  # beside the model whose text side it shares
    save_bundle(smaller, folder)
    again = read_bundle(folder)
    assert again.fingerprint == smaller.fingerprint != bundle.fingerprint
    assert again.manifest.n_generated < bundle.manifest.n_generated
    assert len(again.files["encoder.onnx"]) < len(bundle.files["encoder.onnx"])
    assert again.files["tokenizer.json"] == bundle.files["tokenizer.json"]
    model = load(folder)
    for context in ("own", "neutral"):
        classifier = model.specialize(NEW, context=context)
        classifier.save(tmp_path / f"{context}.onnx")
        loaded = Classifier.load(tmp_path / f"{context}.onnx")
        assert loaded.decision_function(list(pictures(4))).shape == (4, 3)
        assert loaded.embed(list(pictures(4))).shape == (4, bundle.manifest.head.dim)
    assert "Pruned: 50%" in again.manifest.origin
    assert told[-1] == (12, 12, "steps")
    assert report.settings["contexts"] == [list(names) for names in LISTS[:2]]
    assert report.n_calibration_images == 24
    assert {layer.part for layer in report.layers} == {"encoder.onnx"}
    shares = [layer.macs_after / layer.macs_before for layer in report.layers]
    assert min(shares) < 0.6
    assert report.layers[-1].shape_after != report.layers[-1].shape_before


def test_text_vectors_and_heads_are_those_of_the_dense_bundle(bundle: Bundle) -> None:
    smaller, _ = compress(bundle, CompressionData(images=pictures()), QUICK)
    dense, thin = Model(bundle), Model(smaller)
    np.testing.assert_array_equal(dense.embed_text(NEW), thin.embed_text(NEW))
    np.testing.assert_array_equal(dense.generate(dense.texts(NEW)).head, thin.generate(thin.texts(NEW)).head)


def test_training_moves_neutral_values_and_generated_ones_alike(bundle: Bundle) -> None:
    """What a list adds to the neutral values is what it added before, at the channels that are left."""
    contexts = context_parameters(Model(bundle), LISTS)
    smaller, _ = compress(bundle, CompressionData(images=pictures()), QUICK)
    found = context_parameters(Model(smaller), LISTS) - Model(smaller).neutral_parameters
    wanted = contexts - Model(bundle).neutral_parameters
    places = [
        np.flatnonzero(np.isclose(wanted, column[:, None], atol=1e-5).all(axis=0)) for column in found.T
    ]
    assert all(len(place) for place in places)


def test_the_same_config_gives_the_same_bundle(exported: Bundle) -> None:
    data = CompressionData(images=pictures())
    first, second = (compress(exported, data, QUICK)[0].fingerprint for _ in range(2))
    assert first == second


@pytest.mark.parametrize("importance", ["taylor", "latency", "random"])
def test_other_criteria_prune_as_much(exported: Bundle, importance: str) -> None:
    config = dataclasses.replace(QUICK, importance=importance)
    smaller, report = compress(exported, CompressionData(images=pictures()), config)
    n_before, n_after = (
        sum(shape[0] for layer in report.layers if layer.kind == "Conv" for shape in [getattr(layer, key)])
        for key in ("shape_before", "shape_after")
    )
    assert n_after < 0.7 * n_before
    assert smaller.manifest.n_generated < 0.7 * exported.manifest.n_generated


def similarity(dense: Bundle, smaller: Bundle, context: str | tuple[str, ...]) -> float:
    """Mean cosine of centered embeddings in a context."""
    first, second = (
        Model(each).specialize(["cat", "dog"], context=context).embed(list(pictures()))
        for each in (dense, smaller)
    )
    center = first.mean(axis=0)
    first, second = first - center, second - center
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return float(((first * second).sum(axis=1) / lengths).mean())


def test_training_brings_embeddings_back_in_every_state(exported: Bundle) -> None:
    brief, long = (
        compress(
            exported, CompressionData(images=pictures()),
            AdaSAPConfig(
                n_steps=n, batch_size=12, sharpness="none", learning_rate=0.05, contexts=LISTS
            ),
        )[0]
        for n in (5, 90)
    )  # fmt: skip
    for context in ("neutral", LISTS[0]):
        after = similarity(exported, long, context)
        assert after > max(0.5, similarity(exported, brief, context) + 0.05)


def test_a_bundle_that_generates_nothing_keeps_its_shared_specializer(
    exported: Bundle, tmp_path: Path
) -> None:
    plain = dataclasses.replace(
        rewritten_bundle(
            exported, {}, manifest=dataclasses.replace(exported.manifest, generated=()), change="Neutral."
        ),
        files={name: data for name, data in exported.files.items() if name != "hypernetwork.onnx"},
    )
    smaller, report = compress(plain, CompressionData(images=pictures()), QUICK)
    assert smaller.files["specializer.onnx"] == plain.files["specializer.onnx"]
    assert smaller.manifest.shares == plain.manifest.shares is not None
    assert report.settings["contexts"] == []
    assert Model(smaller).specialize(NEW).decision_function(list(pictures(2))).shape == (2, 3)


def test_generated_weights_of_convolutions_are_refused(exported: Bundle) -> None:
    model = plain_encoder(exported)
    name = next(node.input[1] for node in model.graph.node if node.op_type == "Conv")
    item = dataclasses.replace(exported.manifest.generated[0], name=name)
    with pytest.raises(InputError, match="no scale or shift of channels"):
        ContextEncoder(model, (item,), np.zeros((0, item.size), np.float32))
