"""The upper half: chunks, order and promises about shapes."""

import dataclasses

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import hyperclip.runtime.specializer as module
from hyperclip.errors import BundleError
from hyperclip.runtime.session import Session
from hyperclip.runtime.specializer import Specializer
from hyperclip.runtime.tokenizer import TextTokenizer
from tiny_bundle import DIM, TEXT_DIM, make_encoder, make_manifest, make_specializer, make_tokenizer

MANIFEST = make_manifest()
TOKENIZER = TextTokenizer(make_tokenizer(), MANIFEST.text)
MODEL = make_specializer(make_encoder())
TEXTS = ["cat", "dog", "a photo of a cat.", "x", "mouse: a small animal", "cat", "zebra crossing"]


def specializer(model: bytes = MODEL) -> Specializer:
    """Return the tiny upper half."""
    return Specializer(model, TOKENIZER, MANIFEST, n_threads=1)


def test_vectors_have_unit_length_and_equal_texts_share_one() -> None:
    rows = specializer().embed(TEXTS)
    assert rows.shape == (len(TEXTS), TEXT_DIM)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(rows[0], rows[5])


def test_the_order_of_texts_changes_no_bit() -> None:
    rows = specializer().embed(TEXTS)
    np.testing.assert_array_equal(specializer().embed(TEXTS[::-1]), rows[::-1])


def test_chunks_equal_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = specializer().embed(TEXTS)
    monkeypatch.setattr(module, "MAX_CHUNK_ROWS", 2)
    np.testing.assert_allclose(specializer().embed(TEXTS), whole, rtol=1e-5, atol=1e-6)
    monkeypatch.setattr(module, "MAX_CHUNK_ROWS", 512)
    monkeypatch.setattr(module, "MAX_CHUNK_TOKENS", 1)
    np.testing.assert_allclose(specializer().embed(TEXTS), whole, rtol=1e-5, atol=1e-6)


def test_halves_equal_the_whole_model() -> None:
    token_ids, mask = TOKENIZER.encode(TEXTS)
    class_index = np.array([0, 1, 0, 2, 2, 0, 1])
    head, bias, generated = Session(MODEL, where="w").run(
        ["head", "bias", "generated"], {"token_ids": token_ids, "mask": mask, "class_index": class_index}
    )
    rows = specializer().embed(TEXTS)
    means = np.stack([rows[class_index == index].mean(axis=0) for index in range(3)])
    result = specializer().generate(means)
    np.testing.assert_allclose(result.head, head, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(result.bias, bias, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(result.parameters, generated, rtol=1e-5, atol=1e-5)


def test_five_thousand_texts_go_through() -> None:
    assert specializer().embed([f"thing number {number}" for number in range(5000)]).shape == (5000, TEXT_DIM)


@pytest.mark.parametrize("lacking", ["bias", "class_index", "row_text"])
def test_a_model_without_its_parts_is_refused(lacking: str) -> None:
    model = onnx.ModelProto.FromString(MODEL)
    for value in [*model.graph.output, *model.graph.input]:
        value.name = "other" if value.name == lacking else value.name
    for node in model.graph.node:
        node.input[:] = ["other" if name == lacking else name for name in node.input]
        node.output[:] = ["other" if name == lacking else name for name in node.output]
    with pytest.raises(BundleError, match=f"lacks {lacking}"):
        specializer(model.SerializeToString())


def test_shapes_that_differ_from_the_manifest_are_refused() -> None:
    manifest = dataclasses.replace(MANIFEST, head=dataclasses.replace(MANIFEST.head, dim=DIM + 1))
    upper_half = Specializer(MODEL, TOKENIZER, manifest)
    with pytest.raises(BundleError, match="'head' of shape"):
        upper_half.generate(np.eye(3, TEXT_DIM, dtype=np.float32))
    manifest = dataclasses.replace(MANIFEST, head=dataclasses.replace(MANIFEST.head, text_dim=TEXT_DIM + 1))
    with pytest.raises(BundleError, match="'row_text' of shape"):
        Specializer(MODEL, TOKENIZER, manifest).embed(["cat"])


def test_values_that_are_not_finite_are_refused() -> None:
    model = onnx.ModelProto.FromString(MODEL)
    for tensor in model.graph.initializer:
        if tensor.name == "concepts":
            broken = np.full((TEXT_DIM, DIM), np.nan, np.float32)
            tensor.CopyFrom(numpy_helper.from_array(broken, "concepts"))
    with pytest.raises(BundleError, match="not finite"):
        specializer(model.SerializeToString()).generate(np.eye(3, TEXT_DIM, dtype=np.float32))
