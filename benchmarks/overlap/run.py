"""Lists whose names overlap: is the list read as a whole? Tiny-ImageNet val, mean recall of five names.

    python -m benchmarks.overlap.run
    python -m benchmarks.overlap.run --model NAME

Every list gets a classifier file of its own, as a user would make it.
"""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from benchmarks.command import data_folder, finish, make_parser, say
from benchmarks.overlap.lists import pictures_of, read_lists
from benchmarks.overlap.measure import measure_list, run_pixels, summarize
from benchmarks.overlap.tables import MAIN_MODEL, tables
from benchmarks.zero_shot.baseline import TextSide
from benchmarks.zero_shot.trunk import Trunk, trunk_size
from PIL import Image

import hyperclip
from hyperclip.errors import InputError

N_EACH = 20
PICTURE_SEED = 0
FAMILIES = ("kind", "complement", "senses")


def main() -> None:
    """Command line of the benchmark."""
    parser = make_parser(__doc__)
    parser.add_argument("--model", default=MAIN_MODEL, help="name or folder of the model")
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder of the data sets")
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES), metavar="FAMILY")
    parser.add_argument("--pictures", type=int, default=N_EACH, help="pictures a name (default: %(default)s)")
    parser.add_argument("--size", type=int, help="side in px (default: the model's)")
    parser.add_argument("--threads", type=int, help="threads of the sessions")
    options = parser.parse_args()
    try:
        model = hyperclip.load(options.model, n_threads=options.threads)
    except InputError as error:
        say(f"nothing is measured: {error}")
        return
    manifest = model.manifest
    size_px = manifest.images.size_px if options.size is None else options.size
    say(f"model {manifest.name} {manifest.version} at {size_px} px")

    class_of, encoded, labels = _read_val(options.data / "tiny-imagenet")
    lists = {family: found[: options.limit] for family, found in read_lists().items()}
    drawn = {
        family: [
            pictures_of(
                one, class_of, labels, n_each=options.pictures,
                rng=np.random.default_rng((PICTURE_SEED, FAMILIES.index(family), index)),
            )
            for index, one in enumerate(lists[family])
        ]
        for family in options.families
    }  # fmt: skip
    needed = np.unique(np.concatenate([rows for found in drawn.values() for rows, _ in found]))
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(encoded[row])).convert("RGB")) for row in needed])
    say(f"{len(needed)} pictures; the untouched trunk looks at them")
    concept_logits = Trunk(n_threads=options.threads).logits(
        (encoded[row] for row in needed),
        size_px=trunk_size(size_px),
        on_progress=_reporter("trunk", len(needed)),
    )
    neutral = model.specialize(["cat", "dog"], context="neutral", image_size_px=size_px)
    _, neutral_embedding = run_pixels(neutral, pixels, on_progress=_reporter("neutral", len(needed)))
    text = TextSide(
        options.data / "text-knowledge", options.data / "imagenet-one-each" / "classes.json",
        encode=_remembered(),
    )  # fmt: skip

    families: dict[str, Any] = {}
    for family, found in drawn.items():
        recalls = []
        for one, (rows, target) in zip(lists[family], found, strict=True):
            place = np.searchsorted(needed, rows)
            recalls.append(
                measure_list(
                    one, target, model=model, pixels=pixels[place], image_size_px=size_px,
                    neutral_ND=neutral_embedding[place], concept_logits_NK=concept_logits[place], text=text,
                )
            )  # fmt: skip
            if len(recalls) % 25 == 0:
                own, base = (np.mean([r[m].mean() for r in recalls]) for m in ("own_file", "mixture_0"))
                say(f"{family}: {len(recalls)} of {len(found)} lists, model {own:.3f}, mixture {base:.3f}")
        families[family] = summarize(recalls)
    metrics = {
        "model": {
            "name": manifest.name,
            "version": manifest.version,
            "fingerprint": model.fingerprint,
            "image_size_px": size_px,
        },
        "families": families,
    }
    part = "" if manifest.name == MAIN_MODEL else manifest.name
    config = {"picture_seed": PICTURE_SEED, "bootstrap_seed": 0}
    finish(
        "overlap", {part: metrics} if part else metrics, options, tables=tables,
        n_threads=options.threads, part=part, config=config,
    )  # fmt: skip


def _read_val(folder: Path) -> tuple[dict[str, int], list[bytes], npt.NDArray[np.int64]]:
    """Return the label of each WordNet id, the encoded pictures and their labels."""
    import json

    import pyarrow.parquet as pq

    rows = json.loads((folder / "classes.json").read_text(encoding="utf-8"))
    table = pq.read_table(folder / "val.parquet", columns=["image", "label"])
    encoded = [row["bytes"] for row in table["image"].to_pylist()]
    return (
        {row["wnid"]: index for index, row in enumerate(rows)},
        encoded,
        np.asarray(table["label"].to_numpy(), np.int64),
    )


def _remembered() -> Callable[[Sequence[str]], npt.NDArray[np.float32]]:
    """Return MiniLM with a memory: the lists share most of their names."""
    from hyperclip.models.sentence_encoder import SentenceEncoder

    encoder = SentenceEncoder()
    known: dict[str, npt.NDArray[np.float32]] = {}

    def encode(texts: Sequence[str]) -> npt.NDArray[np.float32]:
        new = sorted(set(texts) - set(known))
        if new:
            known.update(zip(new, encoder.encode(new), strict=True))
        return np.stack([known[text] for text in texts])

    return encode


def _reporter(name: str, total: int) -> Callable[[int], None]:
    """Return a function that reports progress every tenth."""
    done = 0

    def report(n_new: int) -> None:
        nonlocal done
        before, done = done, done + n_new
        if before * 10 // total != done * 10 // total:
            say(f"{name}: {done} of {total}")

    return report


if __name__ == "__main__":
    main()
