"""Draw the pictures of a model's page in ``docs/models``, and fill its tables.

    python -m benchmarks.zero_shot.card --model small

Confusions come from the newest stored result of `benchmarks.zero_shot.run`; the sheet of hard questions is
asked anew. No picture of a data set is shown: their terms forbid it, or nobody knows.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.command import say
from benchmarks.readme_tables import fill_readmes
from benchmarks.result_file import REPOSITORY, read_newest
from benchmarks.zero_shot.hard_questions import QUESTIONS, picture_path
from benchmarks.zero_shot.recall_tables import read_confusion
from benchmarks.zero_shot.run import MAIN_MODEL

import hyperclip
from hyperclip.errors import InputError
from hyperclip.evaluate.draw import Tile, contact_sheet, draw_confusion
from hyperclip.runtime.preprocess import load_image
from hyperclip.runtime.specialize import Model

__all__ = ["ask", "main", "results_of"]

DRAWN_SETS = ("caltech101", "cifar10")
PAGES = REPOSITORY / "docs" / "models"
N_SHOWN = 3


def results_of(name: str, results: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return the stored metrics of one model, or None where it was not measured."""
    metrics: Mapping[str, Any] = {} if results is None else results["metrics"]
    found: Mapping[str, Any] | None = metrics if name == MAIN_MODEL else metrics.get(name)
    return found if found and found.get("sets") else None


def ask(model: Model) -> list[Tile]:
    """Put the hard questions to a model; wrong answers come first."""
    tiles = []
    for question in QUESTIONS:
        classifier = model.specialize(question.names)
        path = picture_path(question)
        (row,) = classifier.predict_proba([path])
        ranked = [(question.names[index], float(row[index])) for index in (-row).argsort()[:N_SHOWN]]
        meanings = dict(zip(question.names, (m.text for m in classifier.metadata.meanings), strict=True))
        tiles.append(
            Tile(
                image=load_image(path), predictions=ranked, truth=question.names[0],
                meaning=meanings[ranked[0][0]],
            )
        )  # fmt: skip
    return sorted(tiles, key=lambda tile: bool(tile.is_right))


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zero_shot.card", description=__doc__)
    parser.add_argument("--model", default=MAIN_MODEL, help="name of a bundled model")
    parser.add_argument("--out", type=Path, default=PAGES, help="folder of the pictures")
    options = parser.parse_args(arguments)
    try:
        model = hyperclip.load(options.model)
    except InputError as error:
        say(f"nothing is drawn: {error}")
        return
    tiles = ask(model)
    n_right = sum(bool(tile.is_right) for tile in tiles)
    sheet = options.out / f"{options.model}-hard-questions.jpg"
    contact_sheet(
        tiles, sheet, title="Hard questions",
        subtitle=f"{n_right} of {len(tiles)} right; five names each, wrong answers first",
    )  # fmt: skip
    say(f"drawn: {sheet.name}, {n_right} of {len(tiles)} right")
    found = results_of(options.model, read_newest(REPOSITORY / "benchmarks" / "zero_shot" / "results"))
    for name in DRAWN_SETS:
        measured = found["sets"].get(name, {}) if found is not None else {}
        if "confusion" not in measured:
            reason = f"no confusions of {options.model} are stored; run benchmarks.zero_shot.run"
            say(f"{name} is left out: {reason}")
            continue
        path = options.out / f"{options.model}-{name}.png"
        draw_confusion(
            read_confusion(measured["confusion"]), list(measured["model"]["recall_by_class"]), path
        )
        say(f"drawn: {path.name}")
    for page in fill_readmes():
        say(f"filled: {page.relative_to(REPOSITORY)}")


if __name__ == "__main__":
    main()
