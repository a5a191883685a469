"""A bundle with half of its channels gone: zero-shot accuracy under two lists of names it was not taught.

    python -m benchmarks.adasap.bundle --cache CACHE --work FOLDER
    python -m benchmarks.adasap.bundle --cache CACHE --work FOLDER --model small --size 96 --steps 400

CACHE is what `hyperclip.data.prepare` makes of Tiny-ImageNet's training pictures at 64 px; their labels are
not used. FOLDER holds finished bundles, so that an interrupted run goes on with the next one. One thread.
"""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.adasap.pictures import Pictures, read_pictures
from benchmarks.adasap.tables import tables
from benchmarks.command import data_folder, finish, make_parser, say

from hyperclip.bundle.read import Bundle, read_bundle
from hyperclip.compress.adasap import AdaSAPConfig, compress
from hyperclip.compress.contract import CompressionData
from hyperclip.compress.measure import latency_ratio
from hyperclip.compress.rewrite import save_bundle
from hyperclip.data.cache import ImageCache
from hyperclip.runtime.preprocess import load_image
from hyperclip.runtime.sources import open_labeled
from hyperclip.runtime.specialize import Model
from hyperclip.zoo import find_bundle

N_TRAIN, N_REPORT, N_CLASSES = 4000, 1000, 50
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "untrained": ("half gone by magnitude, norms measured anew", {"n_steps": 5, "learning_rate": 1e-9}),
    "magnitude": ("half gone by magnitude, retrained", {}),
    "taylor": ("half gone by Taylor, retrained", {"importance": "taylor"}),
    "taylor-adasap": (
        "half gone by Taylor, retrained with AdaSAP",
        {"importance": "taylor", "sharpness": "adasap"},
    ),
}


def main() -> None:
    """Command line of this part."""
    parser = make_parser(__doc__)
    parser.add_argument("--cache", type=Path, required=True, help="decoded training pictures")
    parser.add_argument("--work", type=Path, required=True, help="folder of finished bundles")
    parser.add_argument("--model", default="micro")
    parser.add_argument("--size", type=int, help="side of the pictures; the model's own unless given")
    parser.add_argument("--steps", type=int, default=1500, help="gradients; AdaSAP makes half the steps")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)

    bundle = read_bundle(find_bundle(options.model))
    cache = ImageCache.open(options.cache)
    places = np.sort(np.random.default_rng(0).permutation(len(cache.labels))[:N_TRAIN])
    train = CompressionData(images=tuple(np.asarray(cache.images[places])), image_size_px=options.size)
    judged = _lists(options.cache, options.limit or N_REPORT)
    found = [_row("dense", bundle, bundle, judged, options.size)]
    for key in options.rows:
        title, settings = ROWS[key]
        stem = f"{options.model}-{key}-{options.steps}-{bundle.fingerprint[:12]}"
        smaller = _pruned(bundle, train, settings, options.steps, options.work / stem)
        found.append(_row(title, smaller, bundle, judged, options.size))
        say(f"{title}: {found[-1]['accuracy']}")
    name = f"{bundle.manifest.name} {bundle.manifest.version}"
    metrics = {"model": name, "lists": list(judged), "rows": found}
    plain = {k: v for k, v in vars(options).items() if k not in ("cache", "work")}
    part = "bundle" if options.model == "micro" else f"bundle-{options.model}"
    finish(
        "adasap", {part.replace("-", "_"): metrics}, argparse.Namespace(**plain), tables=tables, n_threads=1,
        part=part,
        config={"n_train": N_TRAIN, "n_report": N_REPORT, "seed": 0, "fingerprint": bundle.fingerprint},
    )  # fmt: skip


def _lists(cache: Path, n: int) -> dict[str, tuple[Pictures, tuple[str, ...]]]:
    """The two lists of names with pictures to judge by."""
    splits, names = read_pictures(cache, data_folder(), n_classes=N_CLASSES)
    labeled = open_labeled(data_folder() / "cifar10" / "test.parquet")
    items = list(labeled)
    order = np.random.default_rng(0).permutation(len(items))[:n]
    images = [np.asarray(load_image(items[place].source)) for place in order]
    cifar = Pictures(np.stack(images), np.array([items[place].class_index for place in order]))
    return {
        f"Tiny-ImageNet, {N_CLASSES} names": (splits["report"].first(n), names),
        "CIFAR-10": (cifar, tuple(labeled.class_names)),
    }


def _pruned(
    bundle: Bundle, train: CompressionData, settings: dict[str, Any], n_steps: int, path: Path
) -> Bundle:
    """Compress, or read what an earlier run wrote."""
    if not path.is_dir():
        config = AdaSAPConfig(**{"n_steps": n_steps, "sharpness": "none"} | settings)
        if config.sharpness != "none":
            config = dataclasses.replace(config, n_steps=n_steps // 2)

        def tell(n_done: int, n_all: int, unit: str) -> None:
            if n_done % 100 == 0:
                say(f"{path.name}: {n_done} of {n_all} {unit}")

        smaller, _ = compress(bundle, train, config, on_progress=tell)
        assert isinstance(smaller, Bundle)
        save_bundle(smaller, path)
    return read_bundle(path)


def _row(
    title: str,
    bundle: Bundle,
    dense: Bundle,
    judged: dict[str, tuple[Pictures, tuple[str, ...]]],
    size_px: int | None,
) -> dict[str, Any]:
    """Accuracy under each list, bytes, and time beside the dense model."""
    accuracy = {}
    classifiers = []
    for name, (pictures, class_names) in judged.items():
        classifier = Model(bundle, n_threads=1).specialize(list(class_names), image_size_px=size_px)
        logits = classifier.decision_function(list(pictures.images))
        accuracy[name] = float((logits.argmax(axis=1) == pictures.target).mean())
        classifiers.append(classifier)
    row: dict[str, Any] = {
        "title": title,
        "accuracy": accuracy,
        "encoder_bytes": len(bundle.files["encoder.onnx"]),
        "n_generated": bundle.manifest.n_generated,
    }
    if bundle is not dense:
        names = list(judged[next(iter(judged))][1])
        latency = latency_ratio(
            Model(dense, n_threads=1).specialize(names, image_size_px=size_px), classifiers[0]
        )
        row |= {"latency_ratio": latency.ratio, "latency_ratio_quartiles": [latency.low, latency.high]}
    return row


if __name__ == "__main__":
    main()
