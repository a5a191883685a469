"""What a classifier file costs: specialized beside plain, and beside the towers of other models.

    python -m benchmarks.latency.run

One thread, batches of one unless said, random pictures. Run it on an idle machine.
"""

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from benchmarks.command import finish, make_parser, say
from benchmarks.latency.rounds import ratio, take_turns
from benchmarks.latency.tables import SHOWN, tables
from benchmarks.result_file import REPOSITORY, read_newest

import hyperclip
from hyperclip.runtime.session import Session
from hyperclip.runtime.specialize import Model

NAMES = (
    "cat", "dog", "cup of coffee", "cup of tea", "rocket", "airplane", "astronaut", "diver", "flower",
    "temple",
)  # fmt: skip
BATCH_SIZE = 16
PHOTO_SHAPE = (480, 640, 3)


def main() -> None:
    """Command line of the benchmark."""
    parser = make_parser(__doc__)
    parser.add_argument("--model", default="small", help="name or folder of the model")
    parser.add_argument("--sizes", nargs="+", type=int, default=[128, 160, 224], metavar="PX")
    parser.add_argument("--rounds", type=int, default=15, help="pairs; at least 9")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long each candidate runs in a round")
    parser.add_argument("--no-towers", action="store_true", help="leave out the other models")
    options = parser.parse_args()
    n_rounds = options.rounds if options.limit is None else min(options.rounds, options.limit)

    model = hyperclip.load(options.model, n_threads=1)
    rng = np.random.default_rng(0)
    pairs: dict[str, Any] = {}
    sizes: dict[str, Any] = {}
    for size_px in options.sizes:
        files = {
            "specialized": model.specialize(NAMES, image_size_px=size_px).to_bytes(),
            "plain": model.specialize(NAMES, image_size_px=size_px, context="neutral").to_bytes(),
        }
        picture = rng.integers(0, 256, (1, size_px, size_px, 3), dtype=np.uint8)
        runs = {name: _runner(data, "logits", picture) for name, data in files.items()}
        times = take_turns(runs, n_rounds=n_rounds, seconds_a_turn=options.seconds)
        pairs[str(size_px)] = {
            **{name: {**found.summary(), "size_bytes": len(files[name])} for name, found in times.items()},
            "ratio_wall": ratio(times["specialized"].wall_ms, times["plain"].wall_ms),
            "ratio_cpu": ratio(times["specialized"].cpu_ms, times["plain"].cpu_ms),
        }
        say(f"{size_px} px: specialized / plain {pairs[str(size_px)]['ratio_wall']['median']:.3f}")
        sizes[str(size_px)] = _beside_others(
            model, size_px, rng, n_rounds=n_rounds, seconds=options.seconds, has_towers=not options.no_towers
        )
    metrics = {
        "model": {
            "name": model.manifest.name,
            "version": model.manifest.version,
            "fingerprint": model.fingerprint,
        },
        "pairs": pairs,
        "sizes": sizes,
        **_caltech101(model.fingerprint),
    }
    config = {"names": NAMES, "n_rounds": n_rounds, "batch_size": BATCH_SIZE, "seed": 0}
    finish("latency", metrics, options, tables=tables, n_threads=1, config=config)


def _beside_others(
    model: Model, size_px: int, rng: np.random.Generator, *, n_rounds: int, seconds: float, has_towers: bool
) -> dict[str, Any]:
    """Time the classifier file and the towers in the same rounds."""
    data = model.specialize(NAMES, image_size_px=size_px).to_bytes()
    batch = rng.integers(0, 256, (BATCH_SIZE, size_px, size_px, 3), dtype=np.uint8)
    photo = rng.integers(0, 256, (1, *PHOTO_SHAPE), dtype=np.uint8)
    bytes_of = {"model": data, "model_photo": data}
    singles = {"model": _runner(data, "logits", batch[:1]), "model_photo": _runner(data, "logits", photo)}
    batches = {"model": _runner(data, "logits", batch)}
    if has_towers:
        from benchmarks.latency.towers import TOWERS, export_tower

        images = (batch.transpose(0, 3, 1, 2) / 127.5 - 1).astype(np.float32)
        for name in TOWERS:
            tower = export_tower(name, size_px=size_px)
            bytes_of[name] = tower
            singles[name] = _runner(tower, "embedding", images[:1])
            batches[name] = _runner(tower, "embedding", images)
    timed = take_turns(singles, n_rounds=n_rounds, seconds_a_turn=seconds)
    in_batches = take_turns(batches, n_rounds=max(1, n_rounds // 3), seconds_a_turn=seconds)
    found = {}
    for name, times in timed.items():
        of_batch = in_batches.get(name)
        a_batch_ms = statistics.median(of_batch.wall_ms) if of_batch else None
        found[name] = {
            "size_bytes": len(bytes_of[name]),
            **times.summary(),
            "images_per_s": BATCH_SIZE * 1000 / a_batch_ms
            if a_batch_ms
            else 1000 / times.summary()["wall_ms"],
        }
        size = f"{len(bytes_of[name]) / 1e6:.1f} MB"
        say(f"{SHOWN[name]}, {size_px} px: {found[name]['wall_ms']:.2f} ms, {size}")
    return found


def _runner(data: bytes, output: str, images: npt.NDArray[np.generic]) -> Callable[[], object]:
    """Return a function that runs a model once on one thread."""
    session = Session(data, where="the timed model", n_threads=1)
    return lambda: session.run([output], {"images": images})


def _caltech101(fingerprint: str) -> dict[str, Any]:
    """Return the accuracies at each size from the newest result of `benchmarks.zero_shot`."""
    results = read_newest(REPOSITORY / "benchmarks" / "zero_shot" / "results")
    if results is None:
        return {"caltech101": {}, "caltech101_from": None}
    if results["metrics"]["model"]["fingerprint"] != fingerprint:
        say("the newest accuracies are those of another model; they are left out")
        return {"caltech101": {}, "caltech101_from": None}
    accuracies = {
        size_px: {key: found["model"][key] for key in ("acc1", "acc1_interval")}
        for size_px, found in results["metrics"]["sizes"].items()
    }
    return {"caltech101": accuracies, "caltech101_from": results["file_names"][-1]}


if __name__ == "__main__":
    main()
