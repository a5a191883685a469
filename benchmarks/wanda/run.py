"""Wanda beside magnitude without retraining, each with the same repair.

    python -m benchmarks.wanda.run image
    python -m benchmarks.wanda.run calibration
    python -m benchmarks.wanda.run text
    python -m benchmarks.wanda.run minilm
    python -m benchmarks.wanda.run causal

Everything is calibrated on training pictures and captions and judged on test splits.
"""

from pathlib import Path
from typing import Any

from benchmarks.command import data_folder, finish, make_parser, say
from benchmarks.result_file import REPOSITORY, read_newest
from benchmarks.wanda.arms import LEVELS, METHODS, Arm, arms, measured
from benchmarks.wanda.tables import draw, tables

N_PHOTOS = 500
N_PICTURES = (8, 32, 128, 512)
PICTURE = "docs/concepts/zeros-levels.png"


def main() -> None:
    """Command line of the benchmark."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "part", choices=["image", "calibration", "text", "minilm", "causal"], help="what is pruned"
    )
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder of the data sets")
    parser.add_argument("--cache", type=Path, help="existing folder to go on from after an interruption")
    options = parser.parse_args()
    cache = None if options.limit is not None else options.cache
    n_photos = N_PHOTOS if options.limit is None else options.limit
    metrics: dict[str, Any]
    if options.part == "image":
        from benchmarks.wanda.image_side import N_CALIBRATION, SIZE_PX, ImageSide

        image = ImageSide(options.data, limit=options.limit)
        config: dict[str, Any] = {"image_size_px": SIZE_PX, "n_calibration": N_CALIBRATION}
        todo = arms("moments", side_repair="none", side_levels=("50 %", "60 %"))
        todo += [Arm("wanda", "50 %", "mean"), Arm("magnitude", "50 %", "mean")]
        metrics = {"dense": image.dense(), "arms": _run(todo, image, options, cache)}
    elif options.part == "calibration":
        from benchmarks.wanda.image_side import ImageSide

        config = {"n_calibration": N_PICTURES}
        todo = [Arm("wanda", "50 %", "moments", seed=seed) for seed in range(3)]
        metrics = {
            str(n): _run(
                todo, ImageSide(options.data, limit=options.limit, n_calibration=n), options, cache, n
            )
            for n in N_PICTURES
        }
    elif options.part == "causal":
        from benchmarks.wanda.causal_side import N_CALIBRATION as N_TEXTS
        from benchmarks.wanda.causal_side import CausalModel
        from benchmarks.wanda.text_side import Captions

        causal = CausalModel(Captions(options.data, n_photos=2).train)
        config = {"n_calibration": N_TEXTS}
        todo = [Arm(method, level, "none") for level in LEVELS for method in METHODS]
        metrics = {"arms": _run(todo, causal, options, cache)}
    else:
        from benchmarks.wanda.text_side import Captions, SentenceEncoder, TextSide

        kind = TextSide if options.part == "text" else SentenceEncoder
        encoder = kind(Captions(options.data, n_photos=n_photos))
        config = {"n_calibration": kind.N_CALIBRATION}
        main_repair, side_repair = ("moments", "none") if options.part == "text" else ("none", "moments")
        todo = arms(main_repair, side_repair=side_repair)
        if options.part == "minilm":  # one seed of the repair
            todo = [arm for arm in todo if arm.repair == "none" or arm.seed == 0]
        metrics = {"dense": encoder.dense(), "arms": _run(todo, encoder, options, cache)}
    finish(
        "wanda", {options.part: metrics}, options, tables=tables, n_threads=1, part=options.part,
        config=config,
    )  # fmt: skip
    results = read_newest(REPOSITORY / "benchmarks" / "wanda" / "results")
    if options.limit is None and options.out is None and results is not None:
        draw(results, REPOSITORY / PICTURE)
        say(f"drew {PICTURE}")


def _run(
    todo: list[Arm], side: Any, options: Any, cache: Path | None, n: int | None = None
) -> list[dict[str, Any]]:
    """Measure the arms, or the first two in a quick try; `n` tells series of one part apart."""
    what = options.part if n is None else f"{options.part}-{n}"
    return measured(todo if options.limit is None else todo[:2], side.measure, what=what, cache=cache)


if __name__ == "__main__":
    main()
