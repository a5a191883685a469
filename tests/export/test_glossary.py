"""The glossary's builder, on a WordNet of a dozen synsets."""

import json
from pathlib import Path

import numpy as np
import pytest

from hyperclip.errors import InputError
from hyperclip.export import more_words
from hyperclip.export.glossary import build_glossary, main, shorten_vectors, write_meaning_texts
from hyperclip.export.wordnet_nouns import Synset
from hyperclip.runtime.glossary import Glossary

pyarrow = pytest.importorskip("pyarrow")

# wnid, words, ranks, gloss, kind, parents
SYNSETS = [
    ("n00001740", ["entity"], [1], "that which exists", "Tops", []),
    ("n00007846", ["person"], [1], "a human being", "Tops", ["n00001740"]),
    ("n00015388", ["animal"], [1], "a living thing that moves", "Tops", ["n00001740"]),
    ("n01861778", ["mammal"], [1], "an animal with hair", "animal", ["n00015388"]),
    (
        "n02084071",
        ["dog", "Canis familiaris"],
        [2, 1],
        'a pet that barks; "the dog barked"',
        "animal",
        ["n01861778"],
    ),
    ("n02330245", ["mouse"], [1], "a small rodent", "animal", ["n01861778"]),
    ("n03183080", ["device"], [1], "a thing made for a purpose", "artifact", ["n00001740"]),
    ("n03793489", ["mouse", "computer_mouse"], [2, 1], "moves the cursor", "artifact", ["n03183080"]),
    ("n03614007", ["keyboard"], [1], "a set of keys", "artifact", ["n03183080"]),
    ("n10114209", ["dog"], [1], "(slang) an offensive term for somebody", "person", ["n00007846"]),
    ("n10114210", ["tyke"], [1], "a small somebody", "person", ["n10114209"]),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder like that of the real WordNet files."""
    import pyarrow.parquet

    columns = {
        "wnid": [wnid for wnid, *_ in SYNSETS],
        "lemmas": [words for _, words, *_ in SYNSETS],
        "sense_rank": [ranks for _, _, ranks, *_ in SYNSETS],
        "gloss": [gloss for _, _, _, gloss, *_ in SYNSETS],
        "lexname": [kind for *_, kind, _ in SYNSETS],
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "wordnet-nouns.parquet")
    (tmp_path / "hierarchy.json").write_text(json.dumps({wnid: parents for wnid, *_, parents in SYNSETS}))
    (tmp_path / "LICENSE-wordnet.txt").write_text("as is")
    return tmp_path


@pytest.fixture
def vectors(folder: Path) -> Path:
    """Sentence vectors in which animals and devices lie apart."""
    made = np.random.default_rng(0).normal(0, 0.1, (len(SYNSETS), 80))
    made[2:6, 0] += 1
    made[6:9, 1] += 1
    np.save(folder / "vectors.npy", made.astype(np.float16))
    return folder / "vectors.npy"


def test_a_glossary_comes_with_its_licence_and_without_sentences(folder: Path, vectors: Path) -> None:
    files = build_glossary(folder, vectors=vectors)
    assert files["LICENSE-wordnet.txt"] == b"as is"
    glossary = Glossary.read(files["glossary.bin"])
    beside_dog, _ = glossary.choose(["mouse", "dog"])
    beside_keyboard, _ = glossary.choose(["mouse", "keyboard"])
    assert beside_dog is not None
    assert beside_dog.text == "a kind of mammal"
    assert beside_keyboard is not None
    assert beside_keyboard.text == "computer mouse, a kind of device"


def test_the_same_input_gives_the_same_bytes(folder: Path, vectors: Path) -> None:
    assert build_glossary(folder, vectors=vectors) == build_glossary(folder, vectors=vectors)


def test_offensive_senses_are_gone_and_the_others_move_up(folder: Path, vectors: Path) -> None:
    glossary = Glossary.read(build_glossary(folder, vectors=vectors)["glossary.bin"])
    assert [(meaning.wnid, meaning.rank) for meaning in glossary.senses("dog")] == [("n02084071", 1)]
    assert glossary.explain("dog", "n10114209") is None
    tyke = glossary.explain("tyke", "n10114210")
    assert tyke is not None
    assert tyke.kind_of == ("person",)  # what was in between is gone


def test_meaning_texts_come_in_the_order_of_the_file(folder: Path, vectors: Path) -> None:
    glossary = Glossary.read(build_glossary(folder, vectors=vectors)["glossary.bin"])
    write_meaning_texts(folder / "texts.jsonl", text_knowledge=folder, glossary=glossary)
    lines = [json.loads(line) for line in (folder / "texts.jsonl").read_text().splitlines()]
    assert [line["wnid"] for line in lines] == [wnid for wnid, *_ in SYNSETS]
    assert lines[7]["texts"]["mouse"] == "mouse: computer mouse, a kind of device"
    assert lines[9]["texts"] == {}


def test_short_vectors_keep_who_is_near_whom() -> None:
    rng = np.random.default_rng(4)
    centers = rng.normal(size=(6, 100))
    vectors = np.repeat(centers, 20, axis=0) + 0.2 * rng.normal(size=(120, 100))
    short = shorten_vectors(vectors, dim=32).astype(float)
    assert np.abs(short).max() <= 7
    unit = short / np.linalg.norm(short, axis=1, keepdims=True)
    nearest = np.argsort(-(unit @ unit.T), axis=1)[:, 1:20] // 20
    assert (nearest == (np.arange(120) // 20)[:, None]).mean() > 0.99


def test_missing_files_and_foreign_vectors_are_named(folder: Path, vectors: Path) -> None:
    np.save(vectors, np.zeros((3, 80), np.float16))
    with pytest.raises(InputError, match="3, 80"):
        build_glossary(folder, vectors=vectors)
    (folder / "hierarchy.json").write_text("{")
    with pytest.raises(InputError, match=r"hierarchy\.json"):
        build_glossary(folder, vectors=vectors)
    (folder / "LICENSE-wordnet.txt").unlink()
    with pytest.raises(InputError, match="licence"):
        build_glossary(folder, vectors=vectors)


def test_the_command_writes_both_files(
    folder: Path, vectors: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder / "out"
    assert main([str(folder), "-o", str(out), "--vectors", str(vectors)]) == 1
    assert "create it first" in capsys.readouterr().err
    out.mkdir()
    assert main([str(folder), "-o", str(out), "--vectors", str(vectors)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["LICENSE-wordnet.txt", "glossary.bin"]


def test_further_words_find_their_sense(folder: Path, vectors: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(more_words, "MORE_WORDS", {"pointing thing": "n03793489"})
    glossary = Glossary.read(build_glossary(folder, vectors=vectors)["glossary.bin"])
    assert [meaning.wnid for meaning in glossary.senses("pointing thing")] == ["n03793489"]


def test_what_a_model_was_shown_is_meant_where_the_others_say_little(folder: Path, vectors: Path) -> None:
    classes = folder / "classes.json"
    classes.write_text(json.dumps([{"wnid": "n03793489", "name": "mouse"}]))
    plain = Glossary.read(build_glossary(folder, vectors=vectors)["glossary.bin"])
    shown = Glossary.read(build_glossary(folder, vectors=vectors, learnt=classes)["glossary.bin"])
    beside_nothing = [glossary.choose(["mouse"])[0] for glossary in (plain, shown)]
    assert [meaning and meaning.wnid for meaning in beside_nothing] == ["n02330245", "n03793489"]
    beside_dog, _ = shown.choose(["mouse", "dog"])
    assert beside_dog is not None
    assert beside_dog.wnid == "n02330245"
    classes.write_text("[1]")
    with pytest.raises(InputError, match="Entry 0"):
        build_glossary(folder, vectors=vectors, learnt=classes)


def test_targets_become_class_vectors(
    folder: Path, vectors: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    targets, out = folder / "targets", folder / "out"
    targets.mkdir()
    out.mkdir()
    texts = [f"{words[0].replace('_', ' ')}: {gloss}" for _, words, _, gloss, *_ in SYNSETS]
    rows = [{"kind": "sentences", "text": text, "row": row} for row, text in enumerate(texts)]
    (targets / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (targets / "tokenizer.json").write_text("{}")
    taught = np.random.default_rng(0).normal(size=(len(texts), 8)).astype(np.float16)
    np.save(targets / "vectors.npy", taught)

    command = [str(folder), "-o", str(out), "--vectors", str(vectors), "--targets", str(targets)]
    assert main([*command, "--class-dim", "8"]) == 0

    assert "mean cosine to the targets: 0.9" in capsys.readouterr().err
    glossary = Glossary.read((out / "glossary.bin").read_bytes())
    found = glossary.vector("n02330245")
    assert found is not None
    assert found @ taught[5].astype(float) / np.linalg.norm(taught[5].astype(float)) > 0.9
    assert main([*command, "--class-dim", "9"]) == 1


def test_the_commonest_sense_of_a_word_can_be_corrected(monkeypatch: pytest.MonkeyPatch) -> None:
    synsets = [
        Synset(wnid="n1", lemmas=("seahorse", "walrus"), ranks=(1, 1), gloss="", kind="animal"),
        Synset(wnid="n2", lemmas=("pipe", "seahorse"), ranks=(4, 2), gloss="", kind="animal"),
        Synset(wnid="n3", lemmas=("seahorse",), ranks=(3,), gloss="", kind="animal"),
    ]
    monkeypatch.setattr(more_words, "COMMONEST", {"seahorse": "n2"})

    walrus, fish, third = more_words.correct_ranks(synsets)

    assert (walrus.lemmas, walrus.ranks) == (("walrus", "seahorse"), (1, 2))
    assert (fish.lemmas, fish.ranks) == (("pipe", "seahorse"), (4, 1))
    assert third == synsets[2]
