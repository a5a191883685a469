"""``hyperclip predict``: a classifier file and pictures in, the most probable classes out."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperclip.cli.exits import FAILED
from hyperclip.cli.output import print_json, printable, say, show
from hyperclip.errors import InputError

if TYPE_CHECKING:
    from hyperclip.runtime.classifier import Classifier
    from hyperclip.runtime.predict import Prediction

__all__ = ["predict"]

MAX_ON_SHEET = 60  # more pictures on one sheet are too small to look at
TILE_SIDE_PX = 640  # at least so many pixels of a picture are kept for the sheet


def predict(
    classifier: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A classifier that `hyperclip specialize` wrote.", show_default=False
        ),
    ],
    photos: Annotated[
        list[Path],
        typer.Argument(metavar="PHOTOS...", help="Pictures, or folders of them.", show_default=False),
    ],
    top: Annotated[
        int, typer.Option(min=1, metavar="N", help="How many classes to show for each picture.")
    ] = 3,
    sheet: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Also draw the pictures with their answers, as a PNG.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a picture.")] = False,
) -> None:
    """Tell what pictures show.

    A picture that cannot be read is named on stderr, the others go on, and the exit code is 1.
    """
    from hyperclip.runtime.classifier import Classifier
    from hyperclip.runtime.predict import Prediction, predict_files

    if sheet is not None:
        from hyperclip.runtime.picture_output import check_picture_path

        check_picture_path(sheet)  # before the work, not after it
    loaded = Classifier.load(classifier)
    n_bad = n_good = 0
    drawn: list[Prediction] = []

    def files() -> Iterator[Path]:
        """Yield the pictures that the arguments stand for; a bad argument is reported and passed over."""
        from hyperclip.runtime.sources import list_images

        nonlocal n_bad
        for path in photos:
            try:
                yield from list_images(path)
            except InputError as error:
                say(str(error))
                n_bad += 1

    for result in predict_files(loaded, files(), top=top):
        if not isinstance(result, Prediction):
            say(result.reason)
            n_bad += 1
            continue
        n_good += 1
        _print(result, as_json=as_json)
        if sheet is not None and len(drawn) < MAX_ON_SHEET:
            drawn.append(result)
    if sheet is not None and drawn:
        _draw(drawn, loaded, sheet, n_left_out=n_good - len(drawn))
        say(f"Drew {sheet}.")
    if n_bad:
        if n_bad + n_good > 1:
            say(f"{n_bad} of {n_bad + n_good} could not be read; they are named above.")
        raise typer.Exit(FAILED)


def _print(result: "Prediction", *, as_json: bool) -> None:
    """Print the answer for one picture."""
    pairs = list(zip(result.class_names, result.probabilities, strict=True))
    if as_json:
        predictions = [{"name": name, "probability": probability} for name, probability in pairs]
        print_json({"path": str(result.path), "predictions": predictions})
    else:
        answers = ", ".join(f"{name} {probability:.1%}" for name, probability in pairs)
        show(f"{printable(str(result.path))}  {answers}")


def _draw(results: Sequence["Prediction"], classifier: "Classifier", path: Path, *, n_left_out: int) -> None:
    """Draw the pictures with their answers."""
    from hyperclip.evaluate.draw import Tile, contact_sheet
    from hyperclip.runtime.preprocess import load_image

    metadata = classifier.metadata
    meaning_of = {
        name: meaning.text for name, meaning in zip(metadata.class_names, metadata.meanings, strict=True)
    }
    tiles = [
        Tile(
            image=load_image(result.path, min_side_px=TILE_SIDE_PX),
            predictions=list(zip(result.class_names, result.probabilities, strict=True)),
            meaning=meaning_of[result.class_names[0]],
            caption=printable(result.path.name),
        )
        for result in results
    ]
    n_classes, n_pictures = len(metadata.class_names), len(results) + n_left_out
    contact_sheet(
        tiles,
        path,
        title=f"{n_pictures:,} picture{'' if n_pictures == 1 else 's'}, {n_classes:,} class"
        + ("" if n_classes == 1 else "es"),
        footer=f"{n_left_out:,} more not shown" if n_left_out else None,
    )
