"""Lists of names of any length: WordNet's words for things that a camera can see."""

from pathlib import Path

import numpy as np

__all__ = ["sample_names"]

KINDS = ("animal", "artifact", "food", "object", "plant")


def sample_names(wordnet_nouns: Path, n_names: int, *, seed: int = 0) -> list[str]:
    """Draw different names of which the common sense is a visible thing.

    Parameters
    ----------
    wordnet_nouns : Path
        ``wordnet-nouns.parquet`` with lemmas, sense_rank and lexname.
    n_names : int
    seed : int
    """
    import pyarrow.parquet as pq

    columns = ["lemmas", "sense_rank", "lexname"]
    rows = pq.read_table(wordnet_nouns, columns=columns).to_pylist()
    lemmas = {
        lemma.replace("_", " ").casefold()
        for row in rows
        if row["lexname"] in KINDS
        for lemma, rank in zip(row["lemmas"], row["sense_rank"], strict=True)
        if rank == 1
    }
    names = sorted(lemmas)
    if len(names) < n_names:
        raise ValueError(f"There are {len(names)} names; expected {n_names}; ask for fewer.")
    return [names[index] for index in np.random.default_rng(seed).permutation(len(names))[:n_names]]
