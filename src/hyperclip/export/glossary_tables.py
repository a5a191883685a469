"""WordNet's synsets as the tables of a glossary, all but the meaning vectors."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from hyperclip.export.offensive import is_rude
from hyperclip.export.wordnet_nouns import Synset
from hyperclip.runtime.glossary_format import (
    BASIC,
    EMPTY,
    FOOD,
    PERSON,
    PLANT,
    UNSHOWN,
    VAGUE,
    GlossaryTables,
    pack_vectors,
)
from hyperclip.runtime.word_forms import letters

__all__ = ["make_tables", "restrict_parents"]

# What everybody would call a thing that they cannot name exactly; of several senses of a word the one
# with most below it.
BASIC_WORDS = (
    "aircraft",
    "amphibian", "animal", "appliance", "arachnid", "athlete", "beverage", "bird",
    "body of water",
    "body part", "book", "bread", "building", "cake", "cell", "cheese", "chemical", "clothing", "container",
    "crustacean", "device", "dish", "dog", "drug", "edible fruit", "entertainer", "equipment", "fabric",
    "fern",
    "fish", "flower", "food", "footwear", "fungus", "furniture", "game equipment", "garment",
    "geological formation", "grass", "hand tool", "headdress", "implement", "insect", "jewelry", "lizard",
    "machine", "mammal", "material", "meat", "metal", "microorganism", "mineral", "mollusk",
    "musical instrument", "paper", "person", "plant", "plaything", "publication", "reptile", "rock", "room",
    "sauce", "scientist", "shark", "shrub", "snake", "sports equipment", "structure", "substance", "tissue",
    "tool", "tree", "vegetable", "vehicle", "vine", "watercraft", "weapon",
)  # fmt: skip
# First words of synsets that tell nobody anything, where they have many below them.
VAGUE_WORDS = frozenset((
    "activator", "agent", "area", "article", "boundary", "bottom", "carinate", "commodity", "connection",
    "consumer goods", "conveyance", "covering", "creation", "durables", "end", "extremity", "fluid",
    "instrument", "line", "liquid", "location", "member", "natural object", "obstruction", "opening",
    "organism", "output", "part", "percoid fish", "piece", "point", "portion", "process", "product",
    "production", "region", "representation", "restraint", "side", "solid", "space", "spiny-finned fish",
    "support", "surface", "thing", "top", "unit", "way", "work",
))  # fmt: skip
VAGUE_FROM = 15  # synsets below
MUCH_BELOW = 400  # so many synsets below make any synset vague that is not basic
# Entity, physical entity, object, whole, artifact, living thing, organism, causal agent, matter, thing,
# instrumentality.
EMPTY_IDS = frozenset((
    "n00001740", "n00001930", "n00002684", "n00003553", "n00021939", "n00004258", "n00004475", "n00007347",
    "n00020827", "n00002452", "n03575240",
))  # fmt: skip


def make_tables(
    synsets: Sequence[Synset], parents: Mapping[str, Sequence[str]], vectors: np.ndarray
) -> GlossaryTables:
    """Return the tables of a glossary.

    Parameters
    ----------
    synsets : sequence of Synset
        In ascending order of their ids, none offensive.
    parents : mapping of str to sequence of str
        Direct hypernyms among `synsets`; see `restrict_parents`.
    vectors : ndarray of shape (n_synsets, dim), int8, from -8 to 7
        Meaning vectors.

    Returns
    -------
    GlossaryTables
    """
    rows = {synset.wnid: row for row, synset in enumerate(synsets)}
    n_below = _count_below(rows, parents)
    basic = _find_basic(synsets, n_below)
    words = [_order_words(synset, basic.get(synset.wnid)) for synset in synsets]
    english = _english_words(synsets)
    lemmas = sorted({lemma for own in words for lemma, _ in own}, key=lambda lemma: (letters(lemma), lemma))
    ids = {lemma: number for number, lemma in enumerate(lemmas)}
    own_parents = [[rows[parent] for parent in parents.get(synset.wnid, ())] for synset in synsets]
    return GlossaryTables(
        lemmas=tuple(lemmas),
        wnids=np.array([int(synset.wnid[1:]) for synset in synsets], np.uint32),
        flags=np.array([_flags(synset, n_below, basic) for synset in synsets], np.uint8),
        lemma_counts=np.array([len(own) for own in words], np.uint8),
        lemma_ids=np.array([ids[lemma] for own in words for lemma, _ in own], np.uint32),
        ranks=np.array(
            [
                min(rank, UNSHOWN - 1) + UNSHOWN * (is_rude(lemma) or _is_latin(lemma, synset.kind, english))
                for synset, own in zip(synsets, words, strict=True)
                for lemma, rank in own
            ],
            np.uint8,
        ),
        parent_counts=np.array([len(own) for own in own_parents], np.uint8),
        parents=np.array([row for own in own_parents for row in own], np.uint32),
        packed_vectors=pack_vectors(vectors),
        dim=vectors.shape[1],
    )


def restrict_parents(synsets: Iterable[Synset], parents: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return each synset's nearest hypernyms among `synsets`: those of a missing one stand in for it."""
    known = {synset.wnid for synset in synsets}

    def nearest(wnid: str) -> list[str]:
        found: dict[str, None] = {}
        for parent in parents.get(wnid, ()):
            found.update(dict.fromkeys([parent] if parent in known else nearest(parent)))
        return list(found)

    return {wnid: nearest(wnid) for wnid in sorted(known)}


def _count_below(rows: Iterable[str], parents: Mapping[str, Sequence[str]]) -> Counter[str]:
    """Count the synsets below each synset."""
    above: dict[str, frozenset[str]] = {}

    def ancestors(wnid: str) -> frozenset[str]:
        if wnid not in above:
            direct = parents.get(wnid, ())
            above[wnid] = frozenset(direct).union(*(ancestors(parent) for parent in direct))
        return above[wnid]

    return Counter(ancestor for wnid in rows for ancestor in ancestors(wnid))


def _find_basic(synsets: Sequence[Synset], n_below: Mapping[str, int]) -> dict[str, str]:
    """Return the ids of what `BASIC_WORDS` mean, with the word."""
    wanted = set(BASIC_WORDS)
    best: dict[str, tuple[int, str]] = {}
    for synset in synsets:
        for lemma in wanted.intersection(synset.lemmas):
            best[lemma] = max(best.get(lemma, (0, "")), (n_below.get(synset.wnid, 0), synset.wnid))
    return {wnid: lemma for lemma, (_, wnid) in sorted(best.items())}


def _order_words(synset: Synset, label: str | None) -> list[tuple[str, int]]:
    """Return a synset's words with their ranks, the most used first; a basic synset's label leads."""
    words = list(zip(synset.lemmas, synset.ranks, strict=True))
    return sorted(words, key=lambda word: word[0] != label) if label else words


def _flags(synset: Synset, n_below: Mapping[str, int], basic: Mapping[str, str]) -> int:
    below = n_below.get(synset.wnid, 0)
    is_basic = synset.wnid in basic
    is_vague = below > MUCH_BELOW or (synset.lemmas[0] in VAGUE_WORDS and below >= VAGUE_FROM)
    flags = (
        PERSON * (synset.kind == "person") + PLANT * (synset.kind == "plant") + FOOD * (synset.kind == "food")
    )
    flags += BASIC * is_basic + VAGUE * ((is_vague and not is_basic) or synset.wnid in EMPTY_IDS)
    return flags + EMPTY * (synset.wnid in EMPTY_IDS)


def _english_words(synsets: Sequence[Synset]) -> frozenset[str]:
    """Return all single words, and the last words of compounds that start in lower case."""
    lemmas = {lemma for synset in synsets for lemma in synset.lemmas}
    single = {lemma for lemma in lemmas if " " not in lemma}
    return frozenset(single | {lemma.split()[-1] for lemma in lemmas if " " in lemma and lemma[0].islower()})


def _is_latin(lemma: str, kind: str, english: frozenset[str]) -> bool:
    """Tell whether a word of an animal or plant is its scientific name: "Canis familiaris"."""
    if kind not in ("animal", "plant"):
        return False
    is_binomial = re.fullmatch(r"[A-Z][a-z]*\.?( x| genus)?([ -][a-z-]+){1,3}", lemma) is not None
    return is_binomial and re.split("[ -]", lemma)[-1] not in english
