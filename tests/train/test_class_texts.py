"""Class embeddings for training: the same bits for a text in whatever company, and the shop's weights."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install 'hyperclip[train]'")

import torch

from hyperclip.data.text_targets import TextTargets
from hyperclip.errors import InputError
from hyperclip.runtime.class_vectors import pack_class_vectors
from hyperclip.runtime.glossary import Glossary
from hyperclip.runtime.glossary_format import pack_glossary
from hyperclip.runtime.texts import MEANING_WEIGHT
from hyperclip.runtime.texts import ClassTexts as ShopTexts
from hyperclip.train.class_texts import ClassTexts, load_text_encoder
from tiny_glossary import make_tables

pytestmark = pytest.mark.torch


@pytest.fixture
def make_texts(text_run: Path, world: Path):
    def make() -> ClassTexts:
        encoder, tokenizer = load_text_encoder(text_run)
        return ClassTexts(encoder.eval(), tokenizer, world / "meanings.jsonl")

    return make


NAMES = ["cat", "fox", "jug", "animal", "unheard-of thing in a list", "pan", "dog", "cup"]
WNIDS = ["n1", "n3", "n5", "n11", None, "n6", "n2", "n4"]


def test_a_text_gets_the_same_bits_in_any_company(make_texts) -> None:
    together = make_texts().features(NAMES, WNIDS)

    one_by_one = make_texts()
    alone = torch.cat([one_by_one.features([n], [w]) for n, w in zip(NAMES, WNIDS, strict=True)])
    backwards = make_texts().features(NAMES[::-1], WNIDS[::-1]).flip(dims=(0,))
    many = make_texts().features(
        NAMES + [f"cat {i} {'x' * (i % 7)}" for i in range(90)], [*WNIDS, *[None] * 90]
    )

    for other in (alone, backwards, many[: len(NAMES)]):
        assert torch.equal(other, together)


def test_features_are_what_the_encoder_pools(make_texts, text_run: Path) -> None:
    encoder, tokenizer = load_text_encoder(text_run)
    texts = make_texts()

    features = texts.features(["cat", "unknown name"], ["n1", None])

    wanted = ["cat", "cat: a kind of animal", "unknown name", "unknown name"]
    token_ids, mask = tokenizer.encode(wanted)
    with torch.no_grad():
        pooled = encoder.eval().pool(torch.from_numpy(token_ids), torch.from_numpy(mask))
    torch.testing.assert_close(features.flatten(0, 1), pooled, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "wnid", "meaning"),
    [
        ("cat", "n1", "cat: a kind of animal"),
        ("CAT", "n1", "cat: a kind of animal"),
        ("house cat", "n1", "house cat: a kind of animal"),  # another name of the node takes its meaning
        ("cat", None, "cat"),
        ("cat", "n99", "cat"),
    ],
)
def test_the_second_text_of_a_class_is_its_meaning(make_texts, name: str, wnid: str, meaning: str) -> None:
    assert make_texts().texts_of(name, wnid) == (name, meaning)


def test_class_embeddings_weigh_name_and_meaning_as_the_shop_does(make_texts, text_run: Path) -> None:
    encoder, _ = load_text_encoder(text_run)
    texts = make_texts()
    features = texts.features(["cat", "dog"], ["n1", "n2"])

    found = texts.class_embeddings(features, encoder)

    with torch.no_grad():
        name, meaning = (encoder.project(features[:, i]) for i in (0, 1))
    wanted = torch.nn.functional.normalize(name + MEANING_WEIGHT * meaning, dim=-1)
    torch.testing.assert_close(found, wanted)
    np.testing.assert_allclose(texts.embed(["cat", "dog"], ["n1", "n2"]), wanted, atol=1e-6)
    found.sum().backward()
    assert encoder.proj.weight.grad is not None


def test_taught_embeddings_come_from_the_targets_where_there_are_some(make_texts, text_targets: Path) -> None:
    texts, targets = make_texts(), TextTargets.open(text_targets)

    taught = texts.target_embeddings(targets, ["cat", "no such name"], ["n1", None])

    rows = [targets.texts.index(text) for text in ("cat", "cat: a kind of animal")]
    name, meaning = targets.vectors[rows].astype(np.float32)
    total = name + MEANING_WEIGHT * meaning
    np.testing.assert_allclose(taught[0], total / np.linalg.norm(total), atol=1e-6)
    np.testing.assert_array_equal(taught[1], texts.embed(["no such name"], [None])[0])


@pytest.mark.parametrize("content", ["{", "[1]", '{"wnid": "n1"}', '{"wnid": "n1", "texts": 3}', "3"])
def test_damaged_meanings_are_one_sentence(text_run: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "meanings.jsonl").write_text(json.dumps({"wnid": "n1", "texts": {}}) + "\n" + content + "\n")
    encoder, tokenizer = load_text_encoder(text_run)

    with pytest.raises(InputError, match=r"meaning texts .* cannot be read") as caught:
        ClassTexts(encoder, tokenizer, tmp_path / "meanings.jsonl")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["text_encoder.json", "weights.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("content", [None, b"", b"{", b"{}"])
def test_an_unfinished_or_damaged_text_run_is_one_sentence(
    text_run: Path, tmp_path: Path, name: str, content: bytes | None
) -> None:
    run = Path(shutil.copytree(text_run, tmp_path / "run"))
    (run / name).unlink()
    if content is not None:
        (run / name).write_bytes(content)

    with pytest.raises(InputError, match="holds no finished text encoder") as caught:
        load_text_encoder(run)
    assert "\n" not in str(caught.value)


def test_with_a_glossary_training_sees_what_the_shop_sees(
    text_run: Path, world: Path, tmp_path: Path
) -> None:
    encoder, tokenizer = load_text_encoder(text_run)
    text_dim = encoder.config.text_dim
    tables = make_tables()
    n = len(tables.wnids)
    rng = np.random.default_rng(0)
    values = rng.integers(-8, 8, (n, 4)).astype(np.int8)
    basis = rng.normal(size=(4, text_dim)).astype(np.float16)
    tables = dataclasses.replace(tables, class_vectors=pack_class_vectors(values, basis))
    (tmp_path / "glossary.bin").write_bytes(pack_glossary(tables))
    texts = ClassTexts(encoder.eval(), tokenizer, world / "meanings.jsonl", tmp_path / "glossary.bin")

    found = texts.embed(["cat", "dog", "unheard-of"], ["n02121620", "n2", None])

    vector = Glossary.read((tmp_path / "glossary.bin").read_bytes()).vector("n02121620")
    token_ids, mask = tokenizer.encode(["cat"])
    with torch.no_grad():
        rows = encoder(torch.from_numpy(token_ids), torch.from_numpy(mask)).numpy()
    shop = ShopTexts(
        class_names=("cat",), meanings=(), phrasings=(), templates=("{}",), name_texts=(("cat",),),
        meaning_texts=(None,), meaning_vectors=(vector,),
    )  # fmt: skip
    np.testing.assert_allclose(found[0], shop.mean_by_class(rows)[0], atol=1e-5)
    plain = ClassTexts(encoder, tokenizer, world / "meanings.jsonl")
    np.testing.assert_allclose(found[1:], plain.embed(["dog", "unheard-of"], ["n2", None]), atol=1e-6)


def test_a_glossary_that_does_not_fit_is_refused(text_run: Path, world: Path, tmp_path: Path) -> None:
    encoder, tokenizer = load_text_encoder(text_run)
    path = tmp_path / "glossary.bin"
    for content, message in ((b"", "cannot be read"), (pack_glossary(make_tables()), "--targets")):
        path.write_bytes(content)
        with pytest.raises(InputError, match=message):
            ClassTexts(encoder, tokenizer, world / "meanings.jsonl", path)
