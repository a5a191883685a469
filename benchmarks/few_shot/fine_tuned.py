"""The method that trains the encoder, beside those that do not: same shots, same pictures, also corrupted.

Every fit is kept in the cache, so that an interrupted run goes on where it stopped.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from benchmarks.command import say
from benchmarks.few_shot.embeddings import Embedded, corruptions, embed, embed_corrupted, open_parts, stored
from benchmarks.few_shot.measure import Task, draw_shots, fit_all
from benchmarks.few_shot.texts import descriptions_of

from hyperclip.adapt import EmbeddedPictures, adapt_classifier
from hyperclip.adapt.text_features import text_features
from hyperclip.bundle.atomic import write_file
from hyperclip.evaluate.corruptions import corrupt
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.head_features import default_features
from hyperclip.runtime.head_part import HeadPart
from hyperclip.runtime.labeled import LabeledImages
from hyperclip.runtime.preprocess import decode, spec_before_crop
from hyperclip.runtime.specialize import Model

__all__ = ["SHOTS", "TRAINED_SETS", "measure_fine_tuned"]

TRAINED_SETS = ("flowers", "waste")
SHOTS = (1, 4, 16)
METHODS = ("zero_shot", "linear_probe", "slr_avd")
N_TEST = 200  # pictures that a trained encoder has to look at again, six times with the corruptions
BATCH_SIZE = 16

Pixels = npt.NDArray[np.uint8]


def measure_fine_tuned(
    model: Model, data: Path, cache: Path, names: list[str], *, n_seeds: int
) -> dict[str, Any]:
    """Return accuracies and seconds of each set, number of shots and seed."""
    benches = {name: _Bench(model, data, cache, name) for name in names}
    found: dict[str, dict[tuple[int, int], dict[str, Any]]] = {name: {} for name in names}
    for seed in range(n_seeds):  # outermost, so that what is there early says something about every set
        for name, bench in benches.items():
            for n_shots in SHOTS:
                path = cache / model.fingerprint[:8] / "fine-tuned" / f"{name}-{n_shots}-{seed}.json"
                found[name][n_shots, seed] = _kept(path, bench, n_shots, seed)
    return {
        name: {
            "n_classes": bench.n_classes,
            "n_test": len(bench.rows),
            "shots": {
                str(n): _joined([found[name][n, seed] for seed in range(n_seeds)]) for n in SHOTS
            },
        }
        for name, bench in benches.items()
    }  # fmt: skip


def _kept(path: Path, bench: "_Bench", n_shots: int, seed: int) -> dict[str, Any]:
    """Return what an earlier run found, or find and keep it."""
    if not path.is_file():
        started = time.monotonic()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, json.dumps(bench.measure(n_shots, seed)).encode())
        say(f"{bench.name}, {n_shots} shots, seed {seed}: {time.monotonic() - started:.0f} s")
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value


class _Bench:
    """One set: its embeddings, and the pictures that a trained encoder looks at again."""

    def __init__(self, model: Model, data: Path, cache: Path, name: str) -> None:
        self.name, self.model = name, model
        self.pool_images, self.test_images = open_parts(data, name)
        self.n_classes = len(self.pool_images.class_names)
        self.start = cache / model.fingerprint[:8]
        self.descriptions = descriptions_of(data, model, self.pool_images.class_names)[1]
        self.rows = np.sort(np.random.default_rng(0).permutation(self.test_images.n_images)[:N_TEST])
        self._task: Task | None = None
        self._classifier: Classifier | None = None

    def measure(self, n_shots: int, seed: int) -> dict[str, Any]:
        """Return accuracy, corrupted accuracies and seconds of each method."""
        task, classifier = self._open()
        places = draw_shots(task.pool.target, n_shots, seed=seed)
        found = fit_all(task, places, methods=METHODS)
        pictures = EmbeddedPictures(
            embeddings=task.pool.embedding[places],
            target=task.pool.target[places],
            pixels=np.stack(list(_decoded(classifier, self.pool_images, places))),
        )
        started = time.process_time()
        adapted = adapt_classifier(classifier, pictures, method="slr_ft", texts=task.texts)
        seconds = time.process_time() - started
        adaptation = adapted.classifier.metadata.adaptation
        assert adaptation is not None
        share = dict(adaptation.parameters)["trained_share"]
        if share == 0:
            found["slr_ft"] = {**found["slr_avd"], "fit_seconds": seconds, "share": 0.0}
            return found
        target_N = task.test.target

        def accuracy(kind: str) -> float:
            pixels = np.load(self._pixels(kind), mmap_mode="r")
            parts = [
                adapted.classifier.run_pixels(np.asarray(pixels[i : i + BATCH_SIZE]))[0]
                for i in range(0, len(pixels), BATCH_SIZE)
            ]
            return float((np.concatenate(parts).argmax(axis=1) == target_N).mean())

        found["slr_ft"] = {
            "fit_seconds": seconds,
            "share": share,
            "acc1": accuracy("clean"),
            "corrupted": {kind: accuracy(kind) for kind in task.corrupted},
        }
        return found

    def _open(self) -> tuple[Task, Classifier]:
        """Embed what no earlier run has embedded, and keep the pictures of the test part."""
        if self._task is None or self._classifier is None:
            classifier = self.model.specialize(self.pool_images.class_names)
            start, name, test = self.start, self.name, self.test_images
            whole = stored(start / f"{name}-own-test.npz", lambda: embed(classifier, test))
            corrupted = embed_corrupted(classifier, test, start, name)
            self._task = Task(
                prior=HeadPart(classifier),
                features=default_features(classifier.metadata.head.kind),
                pool=stored(start / f"{name}-own-train.npz", lambda: embed(classifier, self.pool_images)),
                test=_taken(whole, self.rows),
                corrupted={kind: _taken(part, self.rows) for kind, part in corrupted.items()},
                texts=(texts := text_features(
                    self.model, self.model.texts(self.pool_images.class_names), self.descriptions
                )),
                control=texts,  # not asked for here
            )  # fmt: skip
            self._classifier = classifier
            self._keep_pixels(classifier)
        return self._task, self._classifier

    def _pixels(self, kind: str) -> Path:
        return self.start / "fine-tuned" / f"{self.name}-{kind}.npy"

    def _keep_pixels(self, classifier: Classifier) -> None:
        """Store the test pictures as the file is given them, clean and corrupted as in the embeddings."""
        self._pixels("clean").parent.mkdir(parents=True, exist_ok=True)
        every = np.arange(self.test_images.n_images)
        for kind, severity, rng in [("clean", 0, None), *corruptions()]:
            if self._pixels(kind).is_file():
                continue
            images = _decoded(classifier, self.test_images, every)
            if rng is not None:  # all of them, in order: the noise of a picture depends on those before
                images = (corrupt(image, kind, severity, rng=rng) for image in images)
            chosen = set(self.rows.tolist())
            pixels = np.stack([image for place, image in enumerate(images) if place in chosen])
            unfinished = self._pixels(kind).with_suffix(".part.npy")
            np.save(unfinished, pixels)
            unfinished.replace(self._pixels(kind))


def _decoded(
    classifier: Classifier, images: LabeledImages, places: npt.NDArray[np.int64]
) -> Iterator[Pixels]:
    """Yield pictures as a classifier is given them."""
    spec = spec_before_crop(classifier.metadata.images)
    items = list(images)
    return (decode(items[i].source, spec=spec, name=items[i].shown_path) for i in places)


def _taken(part: Embedded, rows: npt.NDArray[np.int64]) -> Embedded:
    return Embedded(*(array[rows] for array in part))


def _joined(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return seeds side by side."""
    joined: dict[str, Any] = {}
    for method, first in runs[0].items():
        joined[method] = {
            key: [run[method][key] for run in runs] for key in first if key not in ("corrupted",)
        }
        joined[method]["corrupted"] = {
            kind: [run[method]["corrupted"][kind] for run in runs] for kind in first["corrupted"]
        }
    return joined
