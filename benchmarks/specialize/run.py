"""How long it takes to make a classifier from names, and how quick the commands are.

    python -m benchmarks.specialize.run

Each number of names runs in a process of its own. Run it on an idle machine.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.command import data_folder, finish, make_parser, say
from benchmarks.latency.rounds import spread
from benchmarks.result_file import REPOSITORY
from benchmarks.specialize.command_times import hyperclip_command, time_command
from benchmarks.specialize.names import sample_names
from benchmarks.specialize.tables import tables

import hyperclip

N_THREADS = 2
PHOTO_PX = (1024, 768)
SEED = 0


def main() -> None:
    """Command line of the benchmark."""
    parser = make_parser(__doc__)
    parser.add_argument("--model", default="small", help="name or folder of the model")
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder of the data sets")
    parser.add_argument("--names", nargs="+", type=int, default=[10, 100, 1000, 5000], metavar="N")
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    counts = [n if options.limit is None else min(n, options.limit) for n in options.names]
    n_repeats = options.repeats if options.limit is None else 2

    names = sample_names(options.data / "text-knowledge" / "wordnet-nouns.parquet", max(counts), seed=SEED)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        names_file = Path(folder) / "names.txt"
        names_file.write_text("\n".join(names), encoding="utf-8")
        for n_names in dict.fromkeys(counts):
            # The process is started anew three times for the loading time, and repeats inside.
            runs = [
                _worker(options.model, names_file, n_names, n_repeats if number == 0 else 1)
                for number in range(3 if options.limit is None else 1)
            ]
            found[str(n_names)] = _summary(runs)
            say(f"{n_names} names: {found[str(n_names)]['specialize_s']:.3f} s")
        commands = _time_commands(options.model, names[:10], Path(folder), n_repeats=n_repeats)
    model = hyperclip.load(options.model)
    metrics = {
        "model": {
            "name": model.manifest.name,
            "version": model.manifest.version,
            "fingerprint": model.fingerprint,
        },
        "names": found,
        "commands": commands,
    }
    config = {"n_threads_of_model": N_THREADS, "seed": SEED, "n_repeats": n_repeats}
    finish("specialize", metrics, options, tables=tables, n_threads=N_THREADS, config=config)


def _worker(model: str, names_file: Path, n_names: int, n_repeats: int) -> dict[str, Any]:
    """Run one process of `benchmarks.specialize.worker`."""
    arguments = [model, str(names_file), str(n_names), str(N_THREADS), str(n_repeats)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.specialize.worker", *arguments],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"The worker failed: {done.stderr.strip()[-500:]}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Join the processes of one number of names: the first of them repeated the work."""
    seconds = runs[0]["specialize_s"][1:] or runs[0]["specialize_s"]
    return {
        "specialize_s": statistics.median(seconds),
        "specialize_s_spread": spread(seconds),
        "n_repeats": len(seconds),
        **{
            key: statistics.median([run[key] for run in runs])
            for key in ("first_s", "load_s", "loaded_mb", "peak_mb", "file_bytes")
        },
    }


def _time_commands(model: str, names: list[str], folder: Path, *, n_repeats: int) -> dict[str, Any]:
    """Time the commands as a person runs them."""
    from PIL import Image

    rng = np.random.default_rng(SEED)
    small = Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    photo = folder / "photo.jpg"
    small.resize(PHOTO_PX, Image.Resampling.BICUBIC).save(photo, quality=90)
    classifier = folder / "names.onnx"
    hyperclip.load(model).specialize(names).save(classifier)
    program = hyperclip_command()
    other = folder / "again.onnx"
    commands = {
        "help": ["--help"],
        "predict": ["predict", str(classifier), str(photo), "--json"],
        "specialize": ["specialize", *names, "--model", model, "-o", str(other)],
    }
    found = {}
    for name, arguments in commands.items():
        found[name] = time_command([*program, *arguments], n_repeats=n_repeats)
        say(f"hyperclip {name}: {found[name]['wall_s']:.2f} s, {found[name]['cpu_s']:.2f} s of CPU")
    return found


if __name__ == "__main__":
    main()
