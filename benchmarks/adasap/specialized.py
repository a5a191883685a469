"""A classifier file of `small` with a quarter or half of its channels gone: what SGD, SAM and AdaSAP keep.

    python -m benchmarks.adasap.specialized --cache CACHE --work FOLDER

CACHE is what `hyperclip.data.prepare` makes of Tiny-ImageNet's training pictures at 64 px. FOLDER holds
the files and answers of finished arms, so that an interrupted run goes on with the next one. One thread.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from benchmarks.adasap.pictures import Pictures, corrupted, read_pictures
from benchmarks.adasap.tables import tables
from benchmarks.command import data_folder, finish, make_parser, say
from benchmarks.intervals import paired_difference

from hyperclip import load
from hyperclip.compress.adasap import AdaSAPConfig, compress
from hyperclip.compress.contract import CompressionData
from hyperclip.compress.measure import latency_ratio
from hyperclip.evaluate.corruptions import FIVE_CORRUPTIONS
from hyperclip.runtime.classifier import Classifier

SEVERITY, N_CLASSES, SIZE_PX = 3, 50, 96
BATCH_SIZE, PEAK_LR = 32, 0.02
ARMS: dict[str, dict[str, Any]] = {
    "sgd": {"sharpness": "none"},
    "adasap": {"sharpness": "adasap", "radius": 0.02, "radius_min": 0.005},
    "sam": {"sharpness": "sam", "radius": 0.05},
}
"""Importance is magnitude in all."""


def main() -> None:
    """Command line of this part."""
    parser = make_parser(__doc__)
    parser.add_argument("--cache", type=Path, required=True, help="decoded training pictures")
    parser.add_argument("--work", type=Path, required=True, help="folder of finished arms")
    parser.add_argument("--gradients", type=int, default=400, help="of a batch; SAM makes half the steps")
    parser.add_argument("--train", type=int, default=3000, help="pictures to train on")
    parser.add_argument("--report", type=int, default=1000, help="pictures to report on")
    parser.add_argument("--channels", type=float, nargs="+", default=[0.5, 0.25], help="shares to remove")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)

    splits, names = read_pictures(options.cache, data_folder(), n_classes=N_CLASSES)
    order = np.random.default_rng(0).permutation(len(splits["train"]))[: options.train]
    train = CompressionData(
        images=tuple(splits["train"].images[order]), target=splits["train"].target[order], class_names=names
    )
    report = splits["report"].first(options.limit or options.report)
    judged = {"clean": report} | {kind: corrupted(report, kind, SEVERITY) for kind in FIVE_CORRUPTIONS}
    model = load("small", n_threads=1)
    dense = model.specialize(list(names), image_size_px=SIZE_PX)
    answers = {"dense": _answers(dense, judged, options.work / f"dense-{model.fingerprint[:12]}.npz")}
    found: dict[str, Any] = {"dense": _figures(answers["dense"], dense)}
    say(f"dense: {found['dense']['accuracy']}")
    for share in options.channels:
        for name in options.arms:
            key = f"{name}-{share:g}"
            # A folder may go on, but never with arms of another model or another length.
            stem = f"{key}-{PEAK_LR}-{options.gradients}-{options.train}-{model.fingerprint[:12]}"
            smaller = _pruned(dense, train, name, share, options.gradients, options.work / f"{stem}.onnx")
            answers[key] = _answers(smaller, judged, options.work / f"{stem}.npz")
            latency = latency_ratio(Classifier(dense.to_bytes(), n_threads=1), smaller)
            found[key] = _figures(answers[key], smaller) | {
                "arm": name,
                "channels": share,
                "latency_ratio": latency.ratio,
                "latency_ratio_quartiles": [latency.low, latency.high],
            }
            say(f"{key}: {found[key]['accuracy']}")
    for key, one in found.items():
        base = f"sgd-{one['channels']:g}" if key != "dense" else ""
        if base in answers and key != base:
            one["beside_sgd"] = {
                title: paired_difference(*(_rows(answers[each], kinds) for each in (key, base)))._asdict()
                for title, kinds in (("clean", ("clean",)), ("corrupted", FIVE_CORRUPTIONS))
            }
    plain = {k: v for k, v in vars(options).items() if k not in ("cache", "work")}
    finish(
        "adasap", {"specialized": {"arms": found, "severity": SEVERITY}}, argparse.Namespace(**plain),
        tables=tables, n_threads=1, part="specialized",
        config={
            "class_names": list(names), "n_train": len(order), "n_report": len(report), "size_px": SIZE_PX,
            "batch_size": BATCH_SIZE, "peak_lr": PEAK_LR, "seed": 0,
            "model": f"{model.manifest.name} {model.manifest.version}", "fingerprint": model.fingerprint,
        },
    )  # fmt: skip


def _pruned(
    dense: Classifier, train: CompressionData, arm: str, share: float, n_gradients: int, path: Path
) -> Classifier:
    """Compress, or read what an earlier run wrote."""
    if not path.is_file():
        settings = ARMS[arm]
        config = AdaSAPConfig(
            channels=share, batch_size=BATCH_SIZE, learning_rate=PEAK_LR,
            n_steps=n_gradients if settings["sharpness"] == "none" else n_gradients // 2, **settings,
        )  # fmt: skip

        def tell(n_done: int, n_all: int, unit: str) -> None:
            if n_done % 50 == 0:
                say(f"{path.stem}: {n_done} of {n_all} {unit}")

        smaller, _ = compress(dense, train, config, on_progress=tell)
        assert isinstance(smaller, Classifier)
        smaller.save(path)
    return Classifier(path.read_bytes(), n_threads=1)


def _answers(
    classifier: Classifier, judged: dict[str, Pictures], path: Path
) -> dict[str, npt.NDArray[np.bool_]]:
    """Whether each picture of each kind is classified rightly."""
    if path.is_file():
        with np.load(path, allow_pickle=False) as stored:
            kept = {kind: stored[kind] for kind in stored.files}
        if all(kind in kept and len(kept[kind]) == len(judged[kind]) for kind in judged):
            return kept
    found = {}
    for kind, pictures in judged.items():
        logits = classifier.decision_function(list(pictures.images))
        found[kind] = logits.argmax(axis=1) == pictures.target
    np.savez(path, **found)
    return found


def _rows(answers: dict[str, npt.NDArray[np.bool_]], kinds: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """Share of the kinds under which each picture is classified rightly."""
    mean: npt.NDArray[np.float64] = np.mean([answers[kind] for kind in kinds], axis=0)
    return mean


def _figures(answers: dict[str, npt.NDArray[np.bool_]], classifier: Classifier) -> dict[str, Any]:
    """Accuracy and bytes of a file."""
    return {
        "accuracy": {kind: float(rows.mean()) for kind, rows in answers.items()},
        "corrupted": float(_rows(answers, FIVE_CORRUPTIONS).mean()),
        "size_bytes": len(classifier.to_bytes()),
    }


if __name__ == "__main__":
    main()
