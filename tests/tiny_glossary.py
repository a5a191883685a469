"""A hand-made glossary of some forty senses, so that tests need no WordNet."""

import zlib

import numpy as np

from hyperclip.runtime.glossary_format import (
    BASIC,
    EMPTY,
    FOOD,
    PERSON,
    PLANT,
    UNSHOWN,
    VAGUE,
    GlossaryTables,
    pack_glossary,
    pack_vectors,
)
from hyperclip.runtime.word_forms import letters

DIM = 8

# wnid, words with ranks (a minus: never shown), parents, flags, topic: 0 animals, 1 devices, 2 food,
# 3 people.
SENSES = [
    (1740, {"entity": 1}, [], VAGUE | EMPTY, None),
    (15388, {"animal": 1}, [1740], BASIC, 0),
    (1503061, {"bird": 1}, [15388], BASIC, 0),
    (1861778, {"mammal": 1}, [15388], BASIC, 0),
    (2000954, {"wading bird": 1}, [1503061], 0, 0),
    (2012849, {"crane": 5}, [2000954], 0, 0),
    (2012999, {"heron": 1}, [2000954], 0, 0),
    (2084071, {"dog": 1, "domestic dog": 1, "Canis familiaris": -1}, [1861778], 0, 0),
    (2099601, {"golden retriever": 1}, [2084071], 0, 0),
    (2121620, {"cat": 1, "true cat": 1}, [1861778], 0, 0),
    (2330245, {"mouse": 1}, [1861778], 0, 0),
    (2403454, {"cow": 1}, [1861778], 0, 0),
    (2411705, {"sheep": 1}, [1861778], 0, 0),
    (2114100, {"wolf": 1}, [1861778], 0, 0),
    (1855672, {"goose": 1}, [1503061], 0, 0),
    (3183080, {"device": 1}, [1740], BASIC, 1),
    (3269401, {"electronic device": 1}, [3183080], 0, 1),
    (3793489, {"mouse": 4, "computer mouse": 1}, [3269401], 0, 1),
    (3614007, {"keyboard": 1}, [3183080], 0, 1),
    (3782190, {"monitor": 4}, [3269401], 0, 1),
    (3699975, {"machine": 1}, [3183080], BASIC, 1),
    (3126707, {"crane": 4}, [3699975], 0, 1),
    (2916179, {"bulldozer": 1, "dozer": 1}, [3699975], 0, 1),
    (4288272, {"spring": 2}, [3183080], 0, 1),
    (4372370, {"switch": 1, "electric switch": 1}, [3183080], 0, 1),
    (3094503, {"container": 1}, [1740], BASIC, 1),
    (3147509, {"cup": 1}, [3094503], 0, 1),
    (3438257, {"glass": 2, "drinking glass": 1}, [3094503], 0, 1),
    (4272054, {"glasses": 1, "spectacles": 1}, [3183080], 0, 1),
    (4148054, {"scissors": 1, "pair of scissors": 1}, [3183080], 0, 1),
    (3590841, {"jack-o'-lantern": 1}, [3183080], 0, 1),
    (21265, {"food": 1}, [1740], BASIC | FOOD, 2),
    (7929519, {"coffee": 1, "java": 2}, [21265], FOOD, 2),
    (7739125, {"apple": 1}, [21265], FOOD, 2),
    (7753592, {"banana": 1}, [21265], FOOD, 2),
    (7697537, {"hot dog": 1, "red hot": 1}, [21265], FOOD, 2),
    (12352287, {"banana": 2, "banana tree": 1}, [1740], PLANT, 2),
    (7619409, {"creme brulee": 1}, [21265], FOOD, 2),
    (7846, {"person": 1, "individual": 1}, [1740], BASIC | PERSON, 3),
    (10287213, {"man": 1}, [7846], PERSON, 3),
    (10010101, {"Red": 1}, [7846], PERSON, 3),
    (10271216, {"crane": 1}, [7846], PERSON, 3),
    (10335563, {"mouse": 3}, [7846], PERSON, 3),
    (9853000, {"cook": 1}, [7846], PERSON, 3),
    (14624369, {"arsenic": 1, "As": 1}, [1740], 0, None),
]  # fmt: skip


def make_tables() -> GlossaryTables:
    """Return the tables of the tiny glossary; the vectors point along their topics, with a little noise."""
    senses = sorted(SENSES)
    rows = {wnid: row for row, (wnid, *_) in enumerate(senses)}
    lemmas = sorted(
        {word for _, words, *_ in senses for word in words}, key=lambda word: (letters(word), word)
    )
    rng = np.random.default_rng(3)
    vectors = rng.integers(-1, 2, (len(senses), DIM)).astype(np.int8)
    for row, (*_, topic) in enumerate(senses):
        if topic is not None:
            vectors[row, topic] = 7
    return GlossaryTables(
        lemmas=tuple(lemmas),
        wnids=np.array(sorted(rows), np.uint32),
        flags=np.array([flags for _, _, _, flags, _ in senses], np.uint8),
        lemma_counts=np.array([len(words) for _, words, *_ in senses], np.uint8),
        lemma_ids=np.array([lemmas.index(word) for _, words, *_ in senses for word in words], np.uint32),
        ranks=np.array(
            [abs(rank) + UNSHOWN * (rank < 0) for _, words, *_ in senses for rank in words.values()], np.uint8
        ),
        parent_counts=np.array([len(parents) for _, _, parents, *_ in senses], np.uint8),
        parents=np.array([rows[parent] for _, _, parents, *_ in senses for parent in parents], np.uint32),
        packed_vectors=pack_vectors(vectors),
        dim=DIM,
    )


def make_glossary() -> bytes:
    """Return the file of the tiny glossary."""
    return pack_glossary(make_tables())


def with_checksum(data: bytes) -> bytes:
    """Return a glossary file whose checksum fits again, as an attacker would write it."""
    return data[:8] + zlib.crc32(data[12:]).to_bytes(4, "little") + data[12:]
