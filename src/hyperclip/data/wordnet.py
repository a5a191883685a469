"""Read a `Hierarchy` from class lists and WordNet files as they lie on disk."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from hyperclip.data.hierarchy import Hierarchy
from hyperclip.errors import InputError, MissingExtraError

__all__ = ["read_classes", "read_hierarchy"]

MAX_FILE_BYTES = 256 * 2**20
STRANGER_KINDS = ("animal", "artifact", "food", "object", "plant")  # what a camera can see


def read_hierarchy(
    classes: str | Path,
    *,
    text_knowledge: str | Path,
    max_synonym_rank: int = 2,
    stranger_kinds: Collection[str] = STRANGER_KINDS,
) -> Hierarchy:
    """Read the leaves from a class list, and what is above and beside them from WordNet.

    Parameters
    ----------
    classes : str or Path
        JSON list of objects with ``wnid``, ``name`` and ``synonyms``, in the order of the labels.
    text_knowledge : str or Path
        Folder with ``hierarchy.json`` (wnid to parents) and ``wordnet-nouns.parquet`` (``wnid``,
        ``lemmas``, ``sense_rank``, ``lexname``).
    max_synonym_rank : int
        A node keeps its first name, and those others of which it is a common sense: 2 stands for the
        commonest two (nobody calls an electric ray "torpedo"). Classes that WordNet lacks keep all.
    stranger_kinds : collection of str
        Lexnames of names without pictures. They must also be the commonest sense of their first lemma.

    Returns
    -------
    Hierarchy
        Leaves, inner nodes and strangers.

    Raises
    ------
    InputError
        If a file is missing, too large, or not of the form above.
    MissingExtraError
        If pyarrow is not installed.
    """
    folder = Path(text_knowledge)
    rows = _read_nouns(folder / "wordnet-nouns.parquet")
    names: dict[str, list[str]] = {}
    strangers = []
    for row in rows:
        lemmas, ranks = row["lemmas"], row["sense_rank"]
        names[row["wnid"]] = [
            lemma
            for position, (lemma, rank) in enumerate(zip(lemmas, ranks, strict=True))
            if position == 0 or rank <= max_synonym_rank
        ]
        if row["lexname"] in stranger_kinds and ranks and ranks[0] == 1:
            strangers.append(row["wnid"])
    parents = _read_json(folder / "hierarchy.json")
    if not isinstance(parents, dict) or not all(isinstance(value, list) for value in parents.values()):
        raise InputError(
            f"{folder / 'hierarchy.json'} is no object of lists; expected wnid -> parents; check the file."
        )
    leaves = []
    for entry in read_classes(classes):
        own = [entry["name"], *entry.get("synonyms", [])]
        common = set(names.get(entry["wnid"], own))
        leaves.append((entry["wnid"], list(dict.fromkeys([own[0], *(n for n in own if n in common)]))))
    return Hierarchy.build(leaves, parents=parents, names=names, strangers=strangers)


def read_classes(path: str | Path) -> list[dict[str, Any]]:
    """Read a class list with WordNet ids.

    Parameters
    ----------
    path : str or Path
        JSON list of objects with texts ``wnid`` and ``name``, and perhaps a list ``synonyms``.

    Returns
    -------
    list of dict
        The objects with all their fields, in the order of the file.

    Raises
    ------
    InputError
        If the file cannot be read or has another form.
    """
    entries = _read_json(Path(path))
    for index, entry in enumerate(entries if isinstance(entries, list) else [entries]):
        synonyms = entry.get("synonyms", []) if isinstance(entry, dict) else None
        if (
            not isinstance(synonyms, list)
            or not all(isinstance(entry.get(key), str) and entry[key] for key in ("wnid", "name"))
            or not all(isinstance(name, str) and name for name in synonyms)
        ):
            raise InputError(
                f"Entry {index} of {path} is no class with WordNet id; expected an object with texts "
                "'wnid' and 'name' and a list 'synonyms'; add what is missing."
            )
    return list(entries)


def _read_json(path: Path) -> Any:
    """Parse a JSON file of bounded size."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(
                f"{path} is larger than {MAX_FILE_BYTES} bytes; expected a list of names; check the file."
            )
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} cannot be read as JSON ({error}); expected UTF-8 JSON; check the file."
        ) from error


def _read_nouns(path: Path) -> list[dict[str, Any]]:
    """Read the columns that matter of the table of nouns."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        if error.name != "pyarrow":
            raise
        raise MissingExtraError(
            "Reading WordNet needs pyarrow, which is not installed; run `pip install 'hyperclip[parquet]'`."
        ) from error
    try:
        table = pyarrow.parquet.read_table(path, columns=["wnid", "lemmas", "sense_rank", "lexname"])
        rows: list[dict[str, Any]] = table.to_pylist()
    except (OSError, KeyError, pyarrow.ArrowException) as error:
        raise InputError(
            f"{path} cannot be read ({str(error).splitlines()[0]}); expected Parquet with wnid, lemmas, "
            "sense_rank and lexname; check the file."
        ) from error
    return rows
