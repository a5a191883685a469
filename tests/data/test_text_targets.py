"""Targets of the text encoder, from a WordNet of eight nouns and a sentence encoder of random vectors."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("torch", reason="the sentence encoder needs PyTorch: pip install 'hyperclip[train]'")
pytest.importorskip("pyarrow", reason="WordNet's files need pyarrow")

import pyarrow
import pyarrow.parquet

from hyperclip.data import text_targets
from hyperclip.data.target_space import KernelRidge, parent_sums, unit
from hyperclip.data.text_targets import TextTargets, build_text_targets
from hyperclip.errors import InputError

pytestmark = pytest.mark.torch

DIM, SENTENCE_DIM, CLIP_DIM = 6, 16, 10
NOUNS = {  # id: lemmas, sense ranks, gloss, parents
    "n1": (["mouse"], [1], "a small rodent", ["n5"]),
    "n2": (["mouse", "computer_mouse"], [4, 1], "a device that moves a cursor", ["n6"]),
    "n3": (["cat"], [1], "a feline that purrs", ["n5"]),
    "n4": (["keyboard"], [2], "a device with keys", ["n6"]),
    "n5": (["animal"], [1], "a living thing that moves", ["n7"]),
    "n6": (["device"], [1], "a thing made for a purpose", ["n7"]),
    "n7": (["entity"], [1], "whatever is", []),
    "n8": (["teapot"], [1], "a pot for tea", ["n6"]),
}
CAPTIONS = [f"a photo of number {i}" for i in range(30)]


def fake_vectors(texts: list[str]) -> npt.NDArray[np.float32]:
    """A random unit vector for each text, the same whenever it is asked."""
    rows = [np.random.default_rng(list(text.encode())).normal(size=SENTENCE_DIM) for text in texts]
    return np.asarray(unit(np.stack(rows)), np.float32)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Put random vectors in the sentence encoder's place; returns how many texts it was given."""
    from hyperclip.models import sentence_encoder

    asked: list[int] = []

    class Fake:
        def encode(self, texts: list[str]) -> npt.NDArray[np.float32]:
            asked.append(len(texts))
            return fake_vectors(texts)

    monkeypatch.setattr(sentence_encoder, "SentenceEncoder", Fake)
    return asked


@pytest.fixture
def knowledge(tmp_path: Path) -> Path:
    """The files that the targets are made from."""
    folder = tmp_path / "knowledge"
    folder.mkdir()

    def write(name: str, table: Any) -> None:
        pyarrow.parquet.write_table(table, folder / name)

    write("wordnet-nouns.parquet", pyarrow.table({
        "wnid": list(NOUNS), "lemmas": [row[0] for row in NOUNS.values()],
        "sense_rank": [row[1] for row in NOUNS.values()], "gloss": [row[2] for row in NOUNS.values()],
    }))  # fmt: skip
    (folder / "hierarchy.json").write_text(json.dumps({wnid: row[3] for wnid, row in NOUNS.items()}))
    write("captions.parquet", pyarrow.table({
        "caption": [*CAPTIONS, "of the test split", "of another set"],
        "source": ["flickr8k"] * (len(CAPTIONS) + 1) + ["coco"],
        "split": ["train"] * len(CAPTIONS) + ["test", "train"],
    }))  # fmt: skip
    write("descriptions.parquet", pyarrow.table({
        "class_name": ["cat", "cat"], "description": ["it purrs", "licence unknown"],
        "source": ["descriptors", "other"],
    }))  # fmt: skip
    rng = np.random.default_rng(5)
    names = {"mouse": "n1", "cat": "n3", "device": "n6", "sofa": "n99"}
    clip = pyarrow.table({
        "name": list(names), "wnid": list(names.values()),
        "vec": [rng.integers(-127, 128, CLIP_DIM, dtype=np.int8).tobytes() for _ in names],
    })  # fmt: skip
    scale = {b"scale": json.dumps(rng.uniform(0.01, 0.02, CLIP_DIM).tolist()).encode()}
    write("teacher-clip-b32-names.parquet", clip.replace_schema_metadata(scale))
    return folder


@pytest.fixture
def meanings(tmp_path: Path) -> Path:
    """The glossary's meaning texts, as its builder writes them."""
    path = tmp_path / "meanings.jsonl"
    entries = []
    for wnid, (lemmas, _, _, parents) in NOUNS.items():
        kind = NOUNS[parents[0]][0][0] if parents else "thing"
        names = [lemma.replace("_", " ") for lemma in lemmas]
        entries.append({"wnid": wnid, "texts": {name: f"{name}: a kind of {kind}" for name in names}})
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


Build = Callable[..., TextTargets]


@pytest.fixture
def build(knowledge: Path, meanings: Path, tmp_path: Path, encoded: list[int]) -> Build:
    def build_and_open(**options: Any) -> TextTargets:
        build_text_targets(knowledge, meanings, tmp_path / "out", **{"dim": DIM, "vocab_size": 90, **options})
        return TextTargets.open(tmp_path / "out")

    return build_and_open


def vector_of(targets: TextTargets, kind: str, text: str) -> npt.NDArray[np.float32]:
    (row,) = [row for row in targets.rows_of(kind) if targets.texts[row] == text]
    return targets.vectors[row].astype(np.float32)


def test_every_text_gets_a_unit_target(build: Build) -> None:
    targets = build()

    assert targets.vectors.shape == (len(targets.texts), DIM)
    assert targets.vectors.dtype == np.float16
    np.testing.assert_allclose(np.linalg.norm(targets.vectors.astype(np.float32), axis=1), 1, atol=2e-3)
    of_kind = {kind: [targets.texts[row] for row in targets.rows_of(kind)] for kind in text_targets.KINDS}
    assert set(of_kind["names"]) == {name.replace("_", " ") for row in NOUNS.values() for name in row[0]}
    assert "computer mouse: a kind of device" in of_kind["meanings"]
    assert "mouse: a small rodent" in of_kind["sentences"]


def test_only_texts_that_training_may_see_are_taken(build: Build) -> None:
    texts = set(build().texts)

    assert set(CAPTIONS) <= texts
    assert "cat: it purrs" in texts
    assert not texts & {"of the test split", "of another set", "cat: licence unknown"}


def test_a_meaning_and_its_definition_share_a_target(build: Build) -> None:
    targets = build()

    np.testing.assert_array_equal(
        vector_of(targets, "meanings", "cat: a kind of animal"),
        vector_of(targets, "sentences", "cat: a feline that purrs"),
    )


def test_a_bare_name_is_mostly_its_commonest_sense(build: Build) -> None:
    targets = build()
    rodent = vector_of(targets, "meanings", "mouse: a kind of animal")  # sense 1
    device = vector_of(targets, "meanings", "mouse: a kind of device")  # sense 4

    name = vector_of(targets, "names", "mouse")

    np.testing.assert_allclose(name, unit(rodent + device / 16), atol=2e-3)
    np.testing.assert_allclose(
        vector_of(targets, "names", "cat"), vector_of(targets, "meanings", "cat: a kind of animal"), atol=1e-3
    )


def test_what_a_thing_is_a_kind_of_draws_its_target_near(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closeness(targets: TextTargets) -> float:
        child = vector_of(targets, "meanings", "cat: a kind of animal")
        return float(child @ vector_of(targets, "meanings", "animal: a kind of entity"))

    with_parents = closeness(build())
    monkeypatch.setattr(text_targets, "parent_sums", lambda parents, wnids, vectors: np.zeros_like(vectors))

    assert with_parents > closeness(build()) + 0.05


def test_the_same_input_gives_the_same_texts_and_targets(build: Build, tmp_path: Path) -> None:
    names = ("texts.jsonl", "vectors.npy")
    build(vectors=tmp_path / "a")
    first = [(tmp_path / "out" / name).read_bytes() for name in names]

    build(vectors=tmp_path / "b")

    assert [(tmp_path / "out" / name).read_bytes() for name in names] == first


def test_the_sentence_encoder_reads_each_list_of_texts_once(
    build: Build, knowledge: Path, encoded: list[int], tmp_path: Path
) -> None:
    build(vectors=tmp_path / "vectors")
    assert sorted(encoded) == [4, 8, 8, len(CAPTIONS) + 1]
    build(vectors=tmp_path / "vectors")
    assert len(encoded) == 4

    path = knowledge / "captions.parquet"
    table = pyarrow.parquet.read_table(path).to_pydict()
    table["caption"][0] = "another caption"  # as many texts as before, but not the same
    pyarrow.parquet.write_table(pyarrow.table(table), path)
    targets = build(vectors=tmp_path / "vectors")

    assert len(encoded) == 5
    assert "another caption" in targets.texts


def test_an_interrupted_build_never_mixes_old_texts_with_new_vectors(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build()
    write_file = text_targets.write_file

    def interrupted(path: Path, data: bytes) -> None:
        if path.name == "tokenizer.json":
            raise KeyboardInterrupt
        write_file(path, data)

    monkeypatch.setattr(text_targets, "write_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build()

    with pytest.raises(InputError, match="does not hold text targets"):
        TextTargets.open(tmp_path / "out")


def test_more_dimensions_than_texts_are_refused(build: Build) -> None:
    with pytest.raises(InputError, match="expected at least 100 of either"):
        build(dim=100)


def test_meanings_of_another_wordnet_are_refused(build: Build, meanings: Path) -> None:
    meanings.write_text(json.dumps({"wnid": "n77", "texts": {"a": "b"}}) + "\n")

    with pytest.raises(InputError, match="tells the meaning of 'n77'"):
        build()


def test_the_tokenizer_cuts_and_pads(build: Build) -> None:
    targets = build()

    token_ids, mask = targets.tokenizer(5)(["cat", "mouse " * 20])

    assert token_ids.shape == mask.shape == (2, 5)
    assert token_ids.max() < targets.n_tokens <= 90
    assert mask[1].tolist() == [1] * 5
    assert (token_ids[0][mask[0] == 0] == 0).all()
    assert token_ids[0, 0] == token_ids[1, 0]  # the start token


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("texts.jsonl", b"{"),
        ("texts.jsonl", b'{"kind": "rumors", "text": "a", "row": 0}\n'),
        ("texts.jsonl", b'{"kind": "names", "text": "a", "row": 9999}\n'),
        ("texts.jsonl", b'{"kind": "names", "text": "a"}\n'),
        ("texts.jsonl", b"[1]\n"),
        ("vectors.npy", b"\x93NUMPY"),
        ("tokenizer.json", b"\xff"),
    ],
)
def test_a_damaged_folder_is_one_sentence(build: Build, tmp_path: Path, name: str, content: bytes) -> None:
    build()
    (tmp_path / "out" / name).write_bytes(content)

    with pytest.raises(InputError, match="does not hold text targets") as caught:
        TextTargets.open(tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_the_map_gives_back_what_it_learnt_and_treats_rows_alone() -> None:
    rng = np.random.default_rng(0)
    inputs = np.asarray(unit(rng.normal(size=(20, 8))), np.float32)
    targets = np.asarray(unit(rng.normal(size=(20, 5))), np.float32)

    learnt = KernelRidge(inputs, targets, ridge=1e-4)
    mapped = learnt(inputs)

    centered = unit(targets - targets.mean(axis=0))
    assert (mapped * centered).sum(axis=1).min() > 0.999
    np.testing.assert_allclose(learnt(inputs, chunk=3), mapped, atol=1e-5)
    assert learnt(inputs[:0]).shape == (0, 5)


def test_parents_fade_with_the_distance() -> None:
    vectors = np.eye(4, dtype=np.float32)

    sums = parent_sums({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": ["x"]}, ["a", "b", "c", "d"], vectors)

    np.testing.assert_allclose(sums[0], [0, 0.2, 0.2, 0.16], atol=1e-6)
    np.testing.assert_allclose(sums[1], [0, 0, 0, 0.4], atol=1e-6)
    assert not sums[3].any()
