"""Lists of names with the sense that each ambiguous one must have beside the others."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hyperclip.runtime.glossary import Glossary

__all__ = ["NameList", "everyday_lists", "read_lists"]

SEED = 0
N_OTHERS = 4
N_NEAREST = 20  # the others are drawn from so many nearest


@dataclass(frozen=True, kw_only=True)
class NameList:
    """Names of one task, and for some of them the WordNet ids that are right."""

    names: tuple[str, ...]
    expected: Mapping[str, frozenset[str]]


def read_lists(path: Path) -> list[NameList]:
    """Read a JSON file of ``{"names": [...], "expect": {name: [wnid, ...]}}``."""
    return [
        NameList(
            names=tuple(entry["names"]),
            expected={name: frozenset(wnids) for name, wnids in entry["expect"].items()},
        )
        for entry in json.loads(path.read_text())
    ]


def everyday_lists(text_knowledge: Path, glossary: Glossary) -> dict[str, list[NameList]]:
    """Return lists of everyday names (LVIS), whose senses the data set's authors chose.

    Parameters
    ----------
    text_knowledge : Path
        Holds ``teacher-clip-b32-names.parquet`` and ``hierarchy.json``.
    glossary : Glossary
        Tells which names are ambiguous; only these are asked for.

    Returns
    -------
    dict of str to list of NameList
        ``lvis_random``: each ambiguous name with four drawn at random; ``lvis_near``: with four of the
        twenty that share most hypernyms; ``lvis_all``: all names in one list.
    """
    names = _lvis_names(text_knowledge)
    above = _ancestors(
        json.loads((text_knowledge / "hierarchy.json").read_text()), [wnid for _, wnid in names]
    )
    rng = np.random.default_rng(SEED)
    made: dict[str, list[NameList]] = {"lvis_random": [], "lvis_near": []}
    expected_in_all: dict[str, frozenset[str]] = {}
    for name, wnid in names:
        senses = [meaning.wnid for meaning in glossary.senses(name)]
        if len(senses) < 2 or wnid not in senses:
            continue
        strangers = [other for other, its in names if other != name and its != wnid]
        kin = [
            (len(above[wnid] & above[its]) / (len(above[wnid]) + len(above[its])), other)
            for other, its in names
            if other != name and its not in above[wnid] and wnid not in above[its]
        ]
        nearest = [other for _, other in sorted(kin, key=lambda pair: -pair[0])[:N_NEAREST]]
        expected = {name: frozenset([wnid])}
        for kind, pool in (("lvis_random", strangers), ("lvis_near", nearest)):
            drawn = [pool[i] for i in rng.choice(len(pool), N_OTHERS, replace=False)]
            made[kind].append(NameList(names=(name, *drawn), expected=expected))
        expected_in_all.update(expected)
    made["lvis_all"] = [NameList(names=tuple(name for name, _ in names), expected=expected_in_all)]
    return made


def _lvis_names(text_knowledge: Path) -> list[tuple[str, str]]:
    """Return the names of LVIS that are spelled once, with their WordNet ids."""
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(
        text_knowledge / "teacher-clip-b32-names.parquet", columns=["name", "vocabulary", "wnid"]
    )
    rows: Sequence[dict[str, Any]] = table.to_pylist()
    ids: dict[str, set[str]] = {}
    for row in rows:
        if row["vocabulary"] == "lvis" and row["wnid"]:
            ids.setdefault(row["name"].replace("_", " "), set()).add(row["wnid"])
    return [(name, *wnids) for name, wnids in sorted(ids.items()) if len(wnids) == 1]


def _ancestors(parents: Mapping[str, Sequence[str]], wnids: Sequence[str]) -> dict[str, frozenset[str]]:
    """Return each id's hypernyms and itself."""
    found: dict[str, frozenset[str]] = {}

    def collect(wnid: str) -> frozenset[str]:
        if wnid not in found:
            found[wnid] = frozenset([wnid]).union(*(collect(parent) for parent in parents.get(wnid, ())))
        return found[wnid]

    for wnid in wnids:
        collect(wnid)
    return found
