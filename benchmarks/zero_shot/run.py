"""Zero-shot accuracy of a model on whole test splits, beside chance and a baseline without training.

    python -m benchmarks.zero_shot.run
    python -m benchmarks.zero_shot.run --model NAME

The model is used as an installed user would use it: names in, classifier out, pictures in.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.command import data_folder, finish, make_parser, say
from benchmarks.result_file import REPOSITORY
from benchmarks.zero_shot.baseline import RIDGE, TAU, TextSide
from benchmarks.zero_shot.data_sets import SETS, open_set
from benchmarks.zero_shot.measure import MAIN_BASELINE, measure_set
from benchmarks.zero_shot.retrieval import measure_retrieval, read_flickr8k
from benchmarks.zero_shot.tables import draw_sizes, tables
from benchmarks.zero_shot.trunk import Trunk

import hyperclip
from hyperclip.errors import InputError

RETRIEVAL = "flickr8k"
MAIN_MODEL = "small"  # its figures stand on top; those of other models under their names


def main() -> None:
    """Command line of the benchmark."""
    parser = make_parser(__doc__)
    parser.add_argument("--model", default="small", help="name or folder of the model")
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder of the data sets")
    parser.add_argument(
        "--sets", nargs="+", choices=[*SETS, RETRIEVAL], default=[*SETS, RETRIEVAL], metavar="SET"
    )
    parser.add_argument("--no-sizes", action="store_true", help="leave out caltech101 at all sizes")
    parser.add_argument("--threads", type=int, help="threads of the sessions")
    options = parser.parse_args()

    try:
        model = hyperclip.load(options.model, n_threads=options.threads)
    except InputError as error:
        say(f"nothing is measured: {error}")
        return
    manifest = model.manifest
    say(f"model {manifest.name} {manifest.version}")
    trunk = Trunk(n_threads=options.threads)
    say("reading names with MiniLM")
    text = TextSide(options.data / "text-knowledge", options.data / "imagenet-one-each" / "classes.json")
    sets: dict[str, Any] = {}
    for name in options.sets:
        if name != RETRIEVAL:
            images = open_set(options.data, name, limit=options.limit)
            sets[name] = measure_set(
                model, images, image_size_px=manifest.images.size_px, text=text, trunk=trunk,
                on_progress=_reporter(name, 2 * len(images)),
            )  # fmt: skip
            _report(name, sets[name])
    sizes: dict[str, Any] = {}
    for size_px in () if options.no_sizes else manifest.images.sizes_px:
        images = open_set(options.data, "caltech101", limit=options.limit)
        sizes[str(size_px)] = measure_set(model, images, image_size_px=size_px, text=text, trunk=trunk)
        del sizes[str(size_px)]["meanings"]
        _report(f"caltech101 at {size_px} px", sizes[str(size_px)])
    retrieval: dict[str, Any] = {}
    if RETRIEVAL in options.sets:
        photos = read_flickr8k(options.data / "flickr8k" / "test.parquet", limit=options.limit)
        retrieval = measure_retrieval(model, photos, text=text, trunk=trunk)
        say("Flickr8k retrieval is done")
    metrics = {
        "model": {
            "name": manifest.name,
            "version": manifest.version,
            "fingerprint": model.fingerprint,
            "image_size_px": manifest.images.size_px,
        },
        "sets": sets,
        "sizes": sizes,
        "retrieval": retrieval,
    }
    part = "" if manifest.name == MAIN_MODEL else manifest.name
    if sizes and options.limit is None:
        picture = f"{part}-sizes.png" if part else "sizes.png"
        draw_sizes(sizes, REPOSITORY / "benchmarks" / "zero_shot" / picture)
    config = {"tau": TAU, "ridge": RIDGE, "main_baseline": MAIN_BASELINE, "bootstrap_seed": 0}
    finish(
        "zero_shot", {part: metrics} if part else metrics, options, tables=tables,
        n_threads=options.threads, part=part, config=config,
    )  # fmt: skip


def _reporter(name: str, total: int) -> Callable[[int], None]:
    """Return a function that reports progress every tenth."""
    done = 0

    def report(n_new: int) -> None:
        nonlocal done
        before, done = done, done + n_new
        if before * 10 // total != done * 10 // total:
            say(f"{name}: {done} of {total}")

    return report


def _report(name: str, found: dict[str, Any]) -> None:
    base = found["baseline"][MAIN_BASELINE]["acc1"]
    say(f"{name}: model {found['model']['acc1']:.3f}, baseline {base:.3f}, chance {found['chance']:.3f}")


if __name__ == "__main__":
    main()
