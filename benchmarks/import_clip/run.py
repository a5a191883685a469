"""Imported CLIPs beside their source: the same answers, and what each costs.

    python -m benchmarks.import_clip.run parity    # eleven architectures, a process each; resumes
    python -m benchmarks.import_clip.run beside    # one file beside open_clip's pipeline; machine idle
    python -m benchmarks.import_clip.run cold      # the same two in fresh processes; machine idle

Weights are random: they test the plumbing and the speed, not the answers.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.command import finish, make_parser, say
from benchmarks.import_clip.tables import tables
from benchmarks.latency.rounds import ratio, take_turns

ARCHITECTURES = (
    "ViT-B-32", "ViT-B-32-quickgelu", "RN50", "MobileCLIP-S1", "MobileCLIP2-S0", "coca_ViT-B-32",
    "ViT-B-16-SigLIP", "ViT-B-16-SigLIP2", "transformers CLIP", "transformers SigLIP", "transformers "
    "SigLIP 2",
)  # fmt: skip
BESIDE = ("ViT-B-32", "MobileCLIP2-S0")
N_COLD = 5


def main() -> None:
    """Command line of the benchmark."""
    parser = make_parser(__doc__)
    parser.add_argument("part", choices=("parity", "beside", "cold"))
    parser.add_argument("--runs", type=Path, default=Path("runs/import_clip"), help="where models are kept")
    parser.add_argument("--rounds", type=int, default=9, help="pairs of a speed measurement")
    options = parser.parse_args()
    found = {"parity": parity, "beside": beside, "cold": cold}[options.part](options)
    metrics: dict[str, Any] = {options.part: found}
    if options.part == "beside":
        from benchmarks.import_clip.one import costs

        names = ARCHITECTURES[: options.limit]
        metrics["costs"] = {name: costs(options.runs / name.replace(" ", "_")) for name in names}
    finish("import_clip", metrics, options, tables=tables, n_threads=None, part=options.part)


def parity(options: Any) -> dict[str, Any]:
    """Import every architecture and return what was found; what is there already is not done again."""
    names = ARCHITECTURES[: options.limit]
    found = {}
    for name in names:
        folder = options.runs / name.replace(" ", "_")
        if not (folder / "found.json").is_file():
            say(f"importing {name}")
            command = [sys.executable, "-m", "benchmarks.import_clip.one", name, str(folder)]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        found[name] = json.loads((folder / "found.json").read_text(encoding="utf-8"))
        say(f"{name}: logits differ by {found[name]['logits_share']:.1e} of their range")
    return found


def beside(options: Any) -> dict[str, Any]:
    """Time a classifier file and the source's pipeline in turns, and both from a cold start."""
    import torch
    from benchmarks.import_clip.names import NAMES
    from benchmarks.import_clip.pipeline import FilePipeline, SourcePipeline, write_photographs, write_weights

    found: dict[str, Any] = {}
    n_rounds = options.rounds if options.limit is None else options.limit
    with tempfile.TemporaryDirectory() as temporary:
        photographs = write_photographs(Path(temporary))
        for name in BESIDE:
            folder = options.runs / name
            weights = write_weights(name, folder / "weights.safetensors")
            from hyperclip import load

            file = Path(temporary) / f"{name}.onnx"
            load(folder / "model").specialize(NAMES).save(file)
            threads = {}
            for n_threads in (1, 2):
                torch.set_num_threads(n_threads)
                pipelines: dict[str, Any] = {
                    "file": FilePipeline(file, n_threads=n_threads), "source": SourcePipeline(name, weights),
                }  # fmt: skip
                runs: dict[str, Callable[[], object]] = {
                    key: _over(pipeline, photographs) for key, pipeline in pipelines.items()
                }
                times = take_turns(runs, n_rounds=n_rounds, seconds_a_turn=2.0)
                threads[str(n_threads)] = {
                    **{
                        f"{key}_images_per_s": len(photographs) * 1000 / statistics.median(one.wall_ms)
                        for key, one in times.items()
                    },
                    "ratio_wall": ratio(times["source"].wall_ms, times["file"].wall_ms),
                }
                say(f"{name}, {n_threads} threads: {threads[str(n_threads)]}")
            found[name] = {
                "threads": threads,
                "file_bytes": file.stat().st_size,
                "source_bytes": weights.stat().st_size,
            }
            weights.unlink()
    return found


def _over(pipeline: Any, photographs: list[Path]) -> Callable[[], object]:
    return lambda: [pipeline.predict(path) for path in photographs]


def cold(options: Any) -> dict[str, Any]:
    """Time processes from their start to the first answer, both kinds in turns; and their memory in MB."""
    from benchmarks.import_clip.names import NAMES
    from benchmarks.import_clip.pipeline import write_photographs, write_weights

    from hyperclip import load

    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        photograph = write_photographs(Path(temporary))[0]
        for name in BESIDE:
            folder = options.runs / name
            weights = write_weights(name, folder / "weights.safetensors")
            file = Path(temporary) / f"{name}.onnx"
            load(folder / "model").specialize(NAMES).save(file)
            found[name] = _in_turns(name, file, weights, photograph)
            weights.unlink()
            say(f"{name}: {found[name]}")
    return found


def _in_turns(name: str, file: Path, weights: Path, photograph: Path) -> dict[str, Any]:
    """Medians of several processes of each kind."""
    seconds: dict[str, list[float]] = {"file": [], "source": []}
    peak_mb: dict[str, list[float]] = {"file": [], "source": []}
    for _ in range(N_COLD):
        for kind, path in (("file", file), ("source", weights)):
            start = time.perf_counter()
            printed = _answer_once(kind, name, path, photograph)
            seconds[kind].append(time.perf_counter() - start)
            peak_mb[kind].append(float(printed.splitlines()[-1]))
    return {
        **{f"{kind}_s": statistics.median(values) for kind, values in seconds.items()},
        **{f"{kind}_peak_mb": statistics.median(values) for kind, values in peak_mb.items()},
        "ratio_s": ratio(seconds["source"], seconds["file"]),
    }


def _answer_once(kind: str, name: str, path: Path, photograph: Path) -> str:
    """What a fresh process prints that answers once."""
    program = [sys.executable, "-m", "benchmarks.import_clip.cold"]
    done = subprocess.run(
        [*program, kind, name, str(path), str(photograph)], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


if __name__ == "__main__":
    main()
