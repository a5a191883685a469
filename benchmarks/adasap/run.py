"""Does sharpness-aware pruning keep more accuracy on clean and corrupted pictures, at equal gradients?

    python -m benchmarks.adasap.run --cache CACHE --work FOLDER

CACHE is what `hyperclip.data.prepare` makes of Tiny-ImageNet's training pictures at 64 px, FOLDER holds
checkpoints, from which an interrupted run goes on. One thread.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.adasap.arms import ARMS, PEAK_LR, train_arm
from benchmarks.adasap.dense import BATCH_SIZE, build_network, train_dense
from benchmarks.adasap.measure import correct, latency_ratios, sharpness, to_onnx
from benchmarks.adasap.pictures import Pictures, corrupted, read_pictures
from benchmarks.adasap.plot import draw
from benchmarks.adasap.tables import tables
from benchmarks.command import data_folder, finish, make_parser, say
from benchmarks.intervals import paired_difference

from hyperclip.evaluate.corruptions import FIVE_CORRUPTIONS

SEVERITY = 3


def main() -> None:
    """Command line of the benchmark."""
    parser = make_parser(__doc__)
    parser.add_argument("--cache", type=Path, required=True, help="decoded training pictures")
    parser.add_argument("--work", type=Path, required=True, help="folder of checkpoints")
    parser.add_argument("--classes", type=int, default=50)
    parser.add_argument("--dense-epochs", type=int, default=30)
    parser.add_argument(
        "--epochs", type=int, default=10, help="of an arm, in gradients: SAM makes half the steps"
    )
    parser.add_argument("--channels", type=float, default=0.5, help="share to remove")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument(
        "--arms", nargs="+", default=["sgd", "sgd_half", "sam", "adasap", "ellipsoid"], choices=list(ARMS)
    )
    parser.add_argument("--rounds", type=int, default=15, help="pairs of latency")
    options = parser.parse_args()
    torch.set_num_threads(1)

    splits, names = read_pictures(options.cache, data_folder(), n_classes=options.classes)
    report = splits["report"].first(options.limit)
    say(f"{len(splits['train'])} pictures to train on, {len(report)} to report")
    judged = {"clean": report} | {kind: corrupted(report, kind, SEVERITY) for kind in FIVE_CORRUPTIONS}
    n_batches = len(splits["train"]) // BATCH_SIZE
    dense = train_dense(
        splits["train"], options.classes, n_steps=n_batches * options.dense_epochs, seed=0,
        path=options.work / "dense-0.pt",
    ).eval()  # fmt: skip
    found: dict[str, Any] = {"dense": {"seeds": [_judge(dense, judged, splits["choose"])]}}
    files = {"dense": to_onnx(dense)}
    for seed in range(options.seeds):
        for name in options.arms:
            network = build_network(options.classes, seed=0)
            network.load_state_dict(torch.load(options.work / "dense-0.pt", weights_only=True))
            about = train_arm(
                ARMS[name], network, splits["train"], channels=options.channels,
                n_gradients=n_batches * options.epochs, seed=seed, path=options.work / f"{name}-{seed}.pt",
            )  # fmt: skip
            found.setdefault(name, {"seeds": []})["seeds"].append(
                {**about, **_judge(network, judged, splits["choose"])}
            )
            if seed == 0:
                files[name] = to_onnx(network)
            clean = found[name]["seeds"][-1]["accuracy"]
            say(f"{name}, seed {seed}: {', '.join(f'{k} {v:.3f}' for k, v in clean.items())}")
    latency = latency_ratios(files, "dense", n_rounds=options.rounds)
    for name, data in files.items():
        found[name] |= {"size_bytes": len(data), "latency": latency[name]}
    metrics = {
        "arms": found,
        "beside_sgd": _beside(found, "sgd"),
        "beside_sgd_half": _beside(found, "sgd_half"),
        "severity": SEVERITY,
    }
    for one in found.values():
        for seed_result in one["seeds"]:
            del seed_result["correct"]
    finish(
        "adasap", metrics, _plain(options), tables=tables, n_threads=1,
        config={
            "class_names": list(names), "n_train": len(splits["train"]), "n_report": len(report),
            "batch_size": BATCH_SIZE, "n_gradients": n_batches * options.epochs, "peak_lr": PEAK_LR,
        },
    )  # fmt: skip
    if options.limit is None and options.out is None:
        draw(metrics, Path(__file__).parent / "accuracy.png")


def _judge(network: torch.nn.Module, judged: dict[str, Pictures], choose: Pictures) -> dict[str, Any]:
    """Accuracy on each kind of pictures, sharpness and size; and, for intervals, each answer."""
    answers = {kind: correct(network, pictures) for kind, pictures in judged.items()}
    return {
        "accuracy": {kind: float(rows.mean()) for kind, rows in answers.items()},
        "corrupted": float(np.mean([answers[kind].mean() for kind in FIVE_CORRUPTIONS])),
        "sharpness": sharpness(network, choose),
        "n_parameters": sum(parameter.numel() for parameter in network.parameters()),
        "correct": answers,
    }


def _beside(found: dict[str, Any], base_name: str) -> dict[str, Any]:
    """Differences to an arm over the same pictures, with intervals."""
    if base_name not in found:
        return {}
    result: dict[str, Any] = {}
    for name, one in found.items():
        if name in ("dense", base_name):
            continue
        result[name] = {}
        for key, kinds in (("clean", ("clean",)), ("corrupted", FIVE_CORRUPTIONS)):
            own, base = (
                np.mean([[s["correct"][kind] for kind in kinds] for s in item["seeds"]], axis=(0, 1))
                for item in (one, found[base_name])
            )
            result[name][key] = paired_difference(own, base)._asdict()
    return result


def _plain(options: argparse.Namespace) -> argparse.Namespace:
    """The options without folders of this machine."""
    return argparse.Namespace(**{k: v for k, v in vars(options).items() if k not in ("cache", "work")})


if __name__ == "__main__":
    main()
