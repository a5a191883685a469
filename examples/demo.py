"""Classify six photographs by names alone (`make demo`): nothing is trained, nothing is downloaded."""

import importlib.util
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

import hyperclip
from hyperclip.evaluate.draw import Tile, contact_sheet
from hyperclip.runtime.preprocess import load_image

PHOTOS = {  # what it shows: a photograph that comes with a well-known package
    "cat": ("skimage", "data/chelsea.png"),
    "cup of coffee": ("skimage", "data/coffee.png"),
    "rocket": ("skimage", "data/rocket.jpg"),
    "astronaut": ("skimage", "data/astronaut.png"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
    "temple": ("sklearn", "datasets/images/china.jpg"),
}
DISTRACTORS = ["dog", "cup of tea", "airplane", "diver", "tree", "castle"]  # a near neighbor of each
SHEET = Path(__file__).resolve().parents[1] / "demo-output" / "contact-sheet.png"
STEPS = ("loading the model", "from 12 names to a classifier", "classifying 6 photographs", "drawing")


def main() -> None:
    """Specialize, predict, draw, print."""
    paths = [Path(importlib.util.find_spec(name).origin).parent / file for name, file in PHOTOS.values()]
    SHEET.parent.mkdir(exist_ok=True)
    times = [time.perf_counter()]
    model = hyperclip.load("small")
    times.append(time.perf_counter())
    classifier = model.specialize([*PHOTOS, *DISTRACTORS])
    times.append(time.perf_counter())
    probabilities = classifier.predict_proba(paths)
    times.append(time.perf_counter())
    class_names = classifier.metadata.class_names
    meanings = dict(zip(class_names, (meaning.text for meaning in classifier.metadata.meanings), strict=True))
    names = Table("name", "meaning read into it", title="Names in")
    for name, meaning in meanings.items():
        names.add_row(name, meaning or "(as it stands)")
    answers, tiles = Table("photograph", "shows", "answer", "probability", "next", title="Answers out"), []
    for truth, path, row in zip(PHOTOS, paths, probabilities, strict=True):
        ranked = [(class_names[index], float(row[index])) for index in (-row).argsort()[:4]]
        (best, share), (second, share2) = ranked[:2]
        color = "green" if best == truth else "red"
        answers.add_row(path.name, truth, f"[{color}]{best}", f"{share:.1%}", f"{second} {share2:.1%}")
        tiles.append(Tile(image=load_image(path), predictions=ranked, truth=truth, meaning=meanings[best]))
    score = f"{sum(bool(tile.is_right) for tile in tiles)} of {len(tiles)} right"
    contact_sheet(tiles, SHEET, title="Twelve names in, one classifier out", subtitle=score)
    times.append(time.perf_counter())
    Console().print(names, answers)
    for step, start, end in zip(STEPS, times, times[1:], strict=False):
        print(f"{step}: {1000 * (end - start):,.0f} ms")
    print(f"Drawn: {SHEET}", score, sep="\n")


if __name__ == "__main__":
    main()
