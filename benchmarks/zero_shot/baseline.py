"""The baseline without training: an untouched trunk, a sentence encoder, and a softmax between the two.

    p(c|x)   softmax over ImageNet's 1,000 concepts of the untouched EfficientNet-Lite0
    t(name)  unit mean of MiniLM("name") and MiniLM("name: gloss"); then, where said, kernel ridge
             regression to CLIP's text space, fitted on MiniLM("name") of the names whose vectors are known
    a(k,c)   softmax over c of cos(t(k), t(c)) / tau
    score    log sum_c p(c|x) a(k,c) / (sum_k' a(k',c))^beta

All parts are public and none has seen a picture of the sets that are measured.

Legend: B images, K concepts, C class names, E text dim, n known rows.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = ["TAU", "KernelRidge", "TextSide", "conse_scores", "mixture_scores", "softmax", "spread", "unit"]

TAU = 0.07
RIDGE = 0.1
TINY = 1e-12  # before the logarithm

Floats = npt.NDArray[np.float32]


def unit(rows: npt.NDArray[np.floating]) -> Floats:
    """Return rows of unit length."""
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.maximum(length, 1e-9), np.float32)


def softmax(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return the softmax over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: npt.NDArray[np.floating] = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def spread(names_CE: Floats, concepts_KE: Floats, *, tau: float = TAU) -> Floats:
    """Return how each name is spread over the concepts: shape (C, K), rows sum to 1."""
    return np.asarray(softmax(names_CE @ concepts_KE.T / tau), np.float32)


def mixture_scores(shares_BK: Floats, spread_CK: Floats, *, beta: float) -> Floats:
    """Return the score of each name for each picture, shape (B, C).

    Parameters
    ----------
    shares_BK : ndarray of shape (B, K), float32
        p(c|x); rows sum to 1.
    spread_CK : ndarray of shape (C, K), float32
        a(k, c).
    beta : float
        1 divides what a concept gives among the names that share it; 0 leaves it.
    """
    per_concept_K = spread_CK.sum(axis=0) + TINY
    return np.asarray(np.log(shares_BK @ (spread_CK / per_concept_K**beta).T + TINY), np.float32)


def conse_scores(shares_BK: Floats, concepts_KE: Floats, names_CE: Floats) -> Floats:
    """Return ConSE's cosine of the mean concept of a picture with each name, shape (B, C).

    References
    ----------
    Norouzi et al., "Zero-shot learning by convex combination of semantic embeddings", arXiv 1312.5650;
    here all concepts take part, not the ten most probable.
    """
    return unit(shares_BK @ concepts_KE) @ unit(names_CE).T


class KernelRidge:
    """Kernel ridge regression between unit vectors, kernel exp(2 (cos - 1)), both sides centered.

    Parameters
    ----------
    known_nE : ndarray of shape (n, E), unit length
    targets_nF : ndarray of shape (n, F)
    ridge : float
        Added to the diagonal of the centered kernel.
    """

    def __init__(self, known_nE: Floats, targets_nF: Floats, *, ridge: float = RIDGE) -> None:
        self._known = known_nE.astype(np.float64)
        kernel = self._kernel(self._known)
        self._column_mean, self._mean = kernel.mean(axis=0), kernel.mean()
        targets = targets_nF.astype(np.float64)
        self._weights = np.linalg.solve(
            self._centered(kernel) + ridge * np.eye(len(kernel)), targets - targets.mean(axis=0)
        )

    def __call__(self, rows_mE: Floats) -> Floats:
        """Return the centered predictions for rows, brought to unit length: shape (m, F)."""
        return unit(self._centered(self._kernel(rows_mE.astype(np.float64))) @ self._weights)

    def _kernel(self, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(np.exp(2 * (rows @ self._known.T - 1)))

    def _centered(self, kernel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Center in feature space on the mean of the known rows."""
        return np.asarray(kernel - self._column_mean - kernel.mean(axis=1, keepdims=True) + self._mean)


class TextSide:
    """Vectors of names by the full MiniLM, of a name alone, with its gloss, and in CLIP's geometry.

    Parameters
    ----------
    text_knowledge : Path
        Folder with ``wordnet-nouns.parquet`` and ``teacher-clip-b32-names.parquet``.
    concepts : Path
        ``classes.json`` of ImageNet's 1,000 classes in the order of the trunk's logits.
    encode : callable, optional
        Texts to unit vectors; MiniLM where left out.
    """

    def __init__(
        self,
        text_knowledge: Path,
        concepts: Path,
        *,
        encode: Callable[[Sequence[str]], Floats] | None = None,
    ) -> None:
        import pyarrow.parquet as pq

        if encode is None:
            from hyperclip.models.sentence_encoder import SentenceEncoder

            encode = SentenceEncoder().encode
        self.encode = encode
        nouns = pq.read_table(text_knowledge / "wordnet-nouns.parquet", columns=["wnid", "gloss"])
        self._gloss: dict[str, str] = dict(
            zip(nouns["wnid"].to_pylist(), nouns["gloss"].to_pylist(), strict=True)
        )
        rows = json.loads(concepts.read_text(encoding="utf-8"))
        for row in rows:  # WordNet's table lacks a few of them
            if row["gloss"]:
                self._gloss.setdefault(row["wnid"], row["gloss"])
        names, wnids = [row["name"] for row in rows], [row["wnid"] for row in rows]
        self.concept_names_KE = self.names(names)
        self.concepts_KE = self.vectors(names, wnids)
        self.to_clip = self._fit_clip(text_knowledge / "teacher-clip-b32-names.parquet")
        self.clip_concepts_KF = self.to_clip(self.concepts_KE)

    def names(self, names: Sequence[str]) -> Floats:
        """Return the vectors of names alone, shape (C, E)."""
        return self.encode(list(names))

    def vectors(self, names: Sequence[str], wnids: Sequence[str | None]) -> Floats:
        """Return t(name), shape (C, E): with the gloss of the sense where there is one."""
        alone = self.encode(list(names))
        texts = [
            f"{name}: {self._gloss[wnid]}" if wnid in self._gloss else name
            for name, wnid in zip(names, wnids, strict=True)
        ]
        return unit(alone + self.encode(texts))

    def _fit_clip(self, path: Path) -> KernelRidge:
        """Learn the map to CLIP's text space from the names whose vectors are known."""
        import pyarrow.parquet as pq

        table = pq.read_table(path)
        scale = np.array(json.loads(table.schema.metadata[b"scale"]), dtype=np.float32)
        rows = {row["name"]: row for row in table.to_pylist()}  # the vocabularies share some names
        names = sorted(rows)
        clip = np.stack([np.array(rows[name]["vec"], np.int8) * scale for name in names])
        return KernelRidge(self.names(names), unit(clip))
