"""WordNet's concrete nouns, as the glossary's builder reads them."""

import dataclasses
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hyperclip.errors import InputError, MissingExtraError

__all__ = ["Synset", "read_nouns"]

NOUNS = "wordnet-nouns.parquet"
HIERARCHY = "hierarchy.json"
COLUMNS = ["wnid", "lemmas", "sense_rank", "gloss", "lexname"]
MAX_HIERARCHY_BYTES = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class Synset:
    """One sense with all its words.

    Parameters
    ----------
    wnid : str
        WordNet id such as ``n02330245``.
    lemmas : tuple of str
        Its words, the most used first, with spaces.
    ranks : tuple of int
        For each word how common this sense of it is, 1 the commonest.
    gloss : str
        WordNet's definition with examples; it never leaves the builder.
    kind : str
        WordNet's file name: ``animal``, ``artifact``, ``person``, ...
    """

    wnid: str
    lemmas: tuple[str, ...]
    ranks: tuple[int, ...]
    gloss: str
    kind: str

    @property
    def definition(self) -> str:
        """The gloss without its examples."""
        return re.split(r';\s*"', self.gloss)[0]

    def with_words(self, lemmas: Sequence[str], ranks: Sequence[int]) -> "Synset":
        """Return the same sense with other words."""
        return dataclasses.replace(self, lemmas=tuple(lemmas), ranks=tuple(ranks))


def read_nouns(folder: Path) -> tuple[list[Synset], dict[str, list[str]]]:
    """Read WordNet's nouns and what each is a kind of.

    Parameters
    ----------
    folder : Path
        Holds ``wordnet-nouns.parquet`` and ``hierarchy.json``.

    Returns
    -------
    list of Synset
        In the order of the file.
    dict of str to list of str
        WordNet id to the ids of its direct hypernyms.

    Raises
    ------
    InputError
        When a file is missing or is not what it should be.
    MissingExtraError
        When pyarrow is not installed.
    """
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
        rows = pyarrow.parquet.read_table(folder / NOUNS, columns=COLUMNS).to_pylist()
        hierarchy = folder / HIERARCHY
        if hierarchy.stat().st_size > MAX_HIERARCHY_BYTES:
            raise InputError(f"{hierarchy} is larger than {MAX_HIERARCHY_BYTES:,} bytes; check the file.")
        parents = json.loads(hierarchy.read_bytes())
    except (OSError, pyarrow.ArrowException, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"The WordNet files in {folder} cannot be read ({type(error).__name__}); expected {NOUNS} and "
            f"{HIERARCHY}; give the folder that holds both."
        ) from error
    synsets = [
        Synset(
            wnid=row["wnid"],
            lemmas=tuple(lemma.replace("_", " ") for lemma in row["lemmas"]),
            ranks=tuple(row["sense_rank"]),
            gloss=row["gloss"],
            kind=row["lexname"],
        )
        for row in rows
    ]
    return synsets, parents
