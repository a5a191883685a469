"""Draw the lists: ``python -m benchmarks.overlap.draw_lists`` writes ``lists.json`` again, byte for byte.

Rules alone decide, from WordNet and the 200 classes of Tiny-ImageNet; no model and no picture.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from benchmarks.command import data_folder
from benchmarks.overlap.lists import LISTS, OverlapList, write_lists

from hyperclip.bundle.atomic import write_file
from hyperclip.runtime.names import same_name_key

__all__ = ["Node", "Noun", "complement_lists", "draw_all", "kind_lists", "sense_lists", "usable_nodes"]

SEED = 0
N_LISTS = {"kind": 300, "complement": 150, "senses": 150}
MIN_BELOW, MAX_BELOW = 3, 20  # classes below a usable hypernym
MIN_DEPTH = 6  # what is higher up ("artifact", "substance") is no name for what a picture shows
N_NEAREST = 20
N_RELATED = 4


class Noun(NamedTuple):
    """A synset: its words, how common this sense is of each (1 the commonest), and its depth."""

    words: tuple[str, ...]
    ranks: tuple[int, ...]
    depth: int


class Node(NamedTuple):
    """A hypernym that people use as a name, with the classes below it."""

    name: str
    below: tuple[str, ...]


def ancestors(wnid: str, parents: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """Return all that a synset is a kind of."""
    found: set[str] = set()
    waiting = list(parents.get(wnid, ()))
    while waiting:
        above = waiting.pop()
        if above not in found:
            found.add(above)
            waiting += parents.get(above, ())
    return frozenset(found)


def usable_nodes(
    names: Mapping[str, str], nouns: Mapping[str, Noun], above: Mapping[str, frozenset[str]]
) -> list[Node]:
    """Return hypernyms of 3 to 20 classes, called by their first word in its commonest sense.

    Parameters
    ----------
    names : mapping of str to str
        WordNet id to name, of the classes.
    nouns : mapping of str to Noun
    above : mapping of str to frozenset of str
        WordNet id of each class to those above it.
    """
    below: dict[str, list[str]] = {}
    for wnid in names:
        for node in above[wnid]:
            below.setdefault(node, []).append(wnid)
    taken = {same_name_key(name) for name in names.values()}
    found = []
    for node in sorted(below):
        noun = nouns.get(node)
        if (
            noun is not None
            and MIN_BELOW <= len(below[node]) <= MAX_BELOW
            and noun.depth >= MIN_DEPTH
            and noun.ranks[0] == 1
            and same_name_key(noun.words[0]) not in taken
        ):
            found.append(Node(noun.words[0], tuple(sorted(below[node]))))
    return found


def kind_lists(
    nodes: Sequence[Node], names: Mapping[str, str], *, n_lists: int, rng: np.random.Generator
) -> list[OverlapList]:
    """Draw a hypernym, one class below it and three strangers: it means the other classes below."""
    return _overlapping(nodes, names, n_lists=n_lists, n_below=1, n_strangers=3, prefix="", rng=rng)


def complement_lists(
    nodes: Sequence[Node], names: Mapping[str, str], *, n_lists: int, rng: np.random.Generator
) -> list[OverlapList]:
    """Draw "other" and a hypernym, two classes below it and two strangers."""
    large = [node for node in nodes if len(node.below) > MIN_BELOW]
    return _overlapping(large, names, n_lists=n_lists, n_below=2, n_strangers=2, prefix="other ", rng=rng)


def _overlapping(
    nodes: Sequence[Node],
    names: Mapping[str, str],
    *,
    n_lists: int,
    n_below: int,
    n_strangers: int,
    prefix: str,
    rng: np.random.Generator,
) -> list[OverlapList]:
    found: dict[frozenset[str], OverlapList] = {}
    while len(found) < n_lists:
        node = nodes[int(rng.integers(len(nodes)))]
        outside = [wnid for wnid in sorted(names) if wnid not in node.below]
        own = [node.below[i] for i in rng.choice(len(node.below), n_below, replace=False)]
        strangers = [outside[i] for i in rng.choice(len(outside), n_strangers, replace=False)]
        rest = tuple(wnid for wnid in node.below if wnid not in own)
        others = (*own, *strangers)
        one = OverlapList(
            (prefix + node.name, *(names[wnid] for wnid in others)), (rest, *((wnid,) for wnid in others))
        )
        found.setdefault(frozenset(one.names), one)
    return list(found.values())


def sense_lists(
    names: Mapping[str, str],
    nouns: Mapping[str, Noun],
    above: Mapping[str, frozenset[str]],
    *,
    n_lists: int,
    rng: np.random.Generator,
) -> list[OverlapList]:
    """Draw a class whose name more commonly means another thing, and four of its twenty nearest kin.

    Of the kin, those that share most hypernyms are the nearest.
    """
    commonest: dict[str, int] = {}
    for noun in nouns.values():
        for word, rank in zip(noun.words, noun.ranks, strict=True):
            key = same_name_key(word)
            commonest[key] = min(rank, commonest.get(key, rank))
    ambiguous = []
    for wnid, name in sorted(names.items()):
        key = same_name_key(name)
        own = nouns.get(wnid)
        if own is not None:
            ranks = [r for w, r in zip(own.words, own.ranks, strict=True) if same_name_key(w) == key]
            if ranks and min(ranks) > commonest[key]:
                ambiguous.append(wnid)
    found: dict[frozenset[str], OverlapList] = {}
    while len(found) < n_lists:
        wnid = ambiguous[int(rng.integers(len(ambiguous)))]
        kin = sorted(
            (other for other in names if other != wnid),
            key=lambda other: (
                -len(above[wnid] & above[other]) / (len(above[wnid]) + len(above[other])),
                other,
            ),
        )[:N_NEAREST]
        chosen = (wnid, *(kin[i] for i in rng.choice(len(kin), N_RELATED, replace=False)))
        one = OverlapList(tuple(names[w] for w in chosen), tuple((w,) for w in chosen))
        found.setdefault(frozenset(one.names), one)
    return list(found.values())


def draw_all(
    names: Mapping[str, str],
    nouns: Mapping[str, Noun],
    parents: Mapping[str, Sequence[str]],
    *,
    n_lists: Mapping[str, int] = N_LISTS,
    seed: int = SEED,
) -> dict[str, list[OverlapList]]:
    """Draw the lists of all families, each with a generator of its own."""
    above = {wnid: ancestors(wnid, parents) for wnid in names}
    nodes = usable_nodes(names, nouns, above)
    kind, complement, senses = (
        np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(3)
    )
    return {
        "kind": kind_lists(nodes, names, n_lists=n_lists["kind"], rng=kind),
        "complement": complement_lists(nodes, names, n_lists=n_lists["complement"], rng=complement),
        "senses": sense_lists(names, nouns, above, n_lists=n_lists["senses"], rng=senses),
    }


def read_nouns(path: Path) -> dict[str, Noun]:
    """Read WordNet's synsets from Parquet."""
    import pyarrow.parquet as pq

    rows = pq.read_table(path, columns=["wnid", "lemmas", "sense_rank", "depth"]).to_pylist()
    return {row["wnid"]: Noun(tuple(row["lemmas"]), tuple(row["sense_rank"]), row["depth"]) for row in rows}


def main(arguments: list[str] | None = None) -> None:
    """Command line: write the lists."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overlap.draw_lists", description=__doc__)
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder of the data sets")
    parser.add_argument("--out", type=Path, default=LISTS)
    options = parser.parse_args(arguments)
    knowledge = options.data / "text-knowledge"
    classes = json.loads((options.data / "tiny-imagenet" / "classes.json").read_text(encoding="utf-8"))
    families = draw_all(
        {row["wnid"]: row["name"] for row in classes},
        read_nouns(knowledge / "wordnet-nouns.parquet"),
        json.loads((knowledge / "hierarchy.json").read_text(encoding="utf-8")),
    )
    write_file(options.out, write_lists(families, {"seed": SEED, "min_depth": MIN_DEPTH}).encode())


if __name__ == "__main__":
    main()
