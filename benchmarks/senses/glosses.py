"""The simple rule with whole glosses: what the glossary's small vectors and kinds must not lose to."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hyperclip.export.wordnet_nouns import read_nouns

__all__ = ["GlossRule"]

RANK_WEIGHT = 0.1
PERSON_COST = 0.1


class GlossRule:
    """Mean over the other names of the best cosine of "word: gloss" sentence vectors, minus penalties.

    Parameters
    ----------
    text_knowledge : Path
        Folder of WordNet's files.
    vectors : Path
        ``.npy`` of shape (n_synsets, dim): sentence vectors in the order of WordNet's file.
    """

    def __init__(self, text_knowledge: Path, vectors: Path) -> None:
        synsets, _ = read_nouns(text_knowledge)
        self._wnids = [synset.wnid for synset in synsets]
        self._is_person = np.array([synset.kind == "person" for synset in synsets])
        loaded = np.load(vectors, allow_pickle=False).astype(np.float32)
        self._vectors = loaded / np.linalg.norm(loaded, axis=1, keepdims=True)
        self._senses: dict[str, list[tuple[int, int]]] = {}
        for row, synset in enumerate(synsets):
            for lemma, rank in zip(synset.lemmas, synset.ranks, strict=True):
                self._senses.setdefault(lemma.casefold(), []).append((rank, row))

    def __call__(self, names: Sequence[str]) -> list[str | None]:
        """Return the WordNet id of each name's sense; None where the name is not known."""
        senses = [sorted(self._senses.get(name.casefold(), [])) for name in names]
        known = [i for i, own in enumerate(senses) if own]
        rows = np.array([row for i in known for _, row in senses[i]], np.int64)
        starts = np.cumsum([0, *(len(senses[i]) for i in known)])[:-1]
        chosen: list[str | None] = [None] * len(names)
        for place, i in enumerate(known):
            own = np.array([row for _, row in senses[i]])
            best = np.maximum.reduceat(self._vectors[own] @ self._vectors[rows].T, starts, axis=1)
            best[:, place] = 0
            score = best.sum(axis=1) / max(len(known) - 1, 1)
            score -= (
                RANK_WEIGHT * np.log([rank for rank, _ in senses[i]]) + PERSON_COST * self._is_person[own]
            )
            chosen[i] = self._wnids[own[int(np.argmax(score))]]
        return chosen
