"""The image encoder of `small`, pruned inside a classifier file; zero-shot accuracy on caltech101."""

import gzip
import itertools
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.wanda.arms import Arm

import hyperclip
from hyperclip.compress.contract import CompressionData, compress
from hyperclip.evaluate.metrics import wilson_interval
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.preprocess import decode
from hyperclip.runtime.sources import open_labeled

__all__ = ["ImageSide"]

SIZE_PX = 128
N_CALIBRATION = 64
BATCH_SIZE = 16


class ImageSide:
    """A dense classifier, the pictures to judge by, and those to calibrate on.

    Parameters
    ----------
    data : Path
        Folder of the data sets.
    limit : int or None
        Only so many test pictures.
    n_calibration : int
        Pictures that each arm looks at.
    """

    def __init__(self, data: Path, *, limit: int | None, n_calibration: int = N_CALIBRATION) -> None:
        self._n_calibration = n_calibration
        labeled = open_labeled(data / "caltech101" / "test.parquet")
        step = 1 if limit is None else max(1, len(labeled) // limit)
        items = list(itertools.islice(labeled, 0, None, step))
        self._dense = hyperclip.load("small", n_threads=1).specialize(
            labeled.class_names, image_size_px=SIZE_PX
        )
        spec = self._dense.metadata.images
        self._pixels = np.stack([decode(item.source, spec=spec, name=item.shown_path) for item in items])
        self._target = np.array([item.class_index for item in items])
        self._calibration = [
            item.source for item in open_labeled(data / "imagenet-one-each" / "train.parquet")
        ]
        self._answers = self._logits(self._dense).argmax(axis=1)

    def _logits(self, classifier: Classifier) -> "np.ndarray[Any, Any]":
        starts = range(0, len(self._pixels), BATCH_SIZE)
        return np.concatenate([classifier.run_pixels(self._pixels[i : i + BATCH_SIZE])[0] for i in starts])

    def dense(self) -> dict[str, Any]:
        """Return the figures of the dense classifier."""
        return self._figures(self._dense)

    def _figures(self, classifier: Classifier) -> dict[str, Any]:
        answers = self._logits(classifier).argmax(axis=1)
        n_right = int((answers == self._target).sum())
        data = classifier.to_bytes()
        return {
            "acc1": n_right / len(answers),
            "confidence_interval": wilson_interval(n_right, len(answers)),
            "agreement": float((answers == self._answers).mean()),
            "n": len(answers),
            "size_bytes": len(data),
            "gzip_bytes": len(gzip.compress(data, 6, mtime=0)),
        }

    def measure(self, arm: Arm) -> dict[str, Any]:
        """Prune and judge."""
        order = np.random.default_rng(arm.seed).permutation(len(self._calibration))[: self._n_calibration]
        images = tuple(self._calibration[i] for i in order)
        pruned, report = compress(self._dense, CompressionData(images=images), arm.config())
        assert isinstance(pruned, Classifier)
        n_all = sum(int(np.prod(layer.shape_after)) for layer in report.layers)
        n_left = sum(layer.n_nonzero_after for layer in report.layers)
        return {**self._figures(pruned), "zeros": 1 - n_left / n_all}
