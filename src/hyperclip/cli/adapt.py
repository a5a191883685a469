"""``hyperclip adapt``: a few pictures of each class in, a better classifier file of the same cost out."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyperclip.cli.output import Progress, duration, print_json, printable, say, show
from hyperclip.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from hyperclip.adapt import Adapted, EmbeddedPictures
    from hyperclip.runtime.classifier import Classifier
    from hyperclip.runtime.labeled import LabeledImages

__all__ = ["adapt"]

EXTRA = ("sklearn", "scipy", "joblib", "threadpoolctl")
READS_TEXTS = ("slr_avd", "slr_ft", "auto")
MAX_LISTED = 10


def adapt(
    model_or_file: Annotated[
        str,
        typer.Argument(
            metavar="MODEL_OR_CLASSIFIER",
            help="A classifier file; or a model's name or folder, to be specialized to the pictures' names.",
            show_default=False,
        ),
    ],
    data: Annotated[
        Path,
        typer.Argument(
            metavar="IMAGES",
            help="A folder with one folder a class, a CSV table, or Parquet with a classes.json beside it.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="PATH", help="Where to write the better classifier."),
    ],
    method: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="How to fit; a wrong name lists those that there are. "
            "slr_ft trains the encoder too, in minutes and with PyTorch.",
        ),
    ] = "auto",
    descriptions: Annotated[
        str | None,
        typer.Option(
            metavar="FILE_OR_NAME",
            help='What to look for, for slr_avd, slr_ft and auto: JSON such as {"cat": ["whiskers"]}; or '
            "everyday, 30 things that are described in the package. By default what the glossary says.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME_OR_FOLDER",
            help="The model that a classifier file was made from, if not bundled: it reads descriptions.",
        ),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(metavar="PX", help="Side of the square that the classifier sees; only with a model."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of a table.")
    ] = False,
) -> None:
    """Make a classifier better with a few pictures of each class (1 to 32 do).

    What is gained over names alone is measured on pictures that are held out in turn.
    """
    from hyperclip.runtime.sources import open_labeled

    if not output.parent.is_dir():  # before the work, not after it
        raise InputError(
            f"The folder '{output.parent}' does not exist; expected one to write into; create it first."
        )
    labeled = open_labeled(data, split="train")
    if labeled.merged_names:
        merged = ", ".join(map(printable, labeled.merged_names[:MAX_LISTED]))
        say(f"Equal names were made one class: {merged}.")
    classifier = _classifier(model_or_file, labeled, image_size, output)
    with needs_extra():
        from hyperclip.adapt import adapt_classifier, embed_pictures
        from hyperclip.adapt.methods import METHODS, TRAINING_METHODS
    known = (*METHODS, *TRAINING_METHODS)
    if method not in known:
        raise InputError(f"--method is {method!r}; expected one of {', '.join(known)}; choose one of them.")
    trains = method in TRAINING_METHODS
    if trains:
        from hyperclip.adapt.slr_ft import trainer

        trainer()  # says before the work whether PyTorch is there
    texts = _texts(classifier, method, descriptions, model or _model_of(model_or_file))
    started = time.perf_counter()
    progress = Progress(len(labeled))
    try:
        pictures = embed_pictures(classifier, labeled, keep_pixels=trains, on_progress=progress.advance)
    finally:
        progress.close()
    _say_left_out(pictures)
    embedded = time.perf_counter()
    with _training_progress() as on_steps:
        adapted = adapt_classifier(classifier, pictures, method=method, on_steps=on_steps, **texts)
    if adapted.note:
        say(adapted.note)
    adapted.classifier.save(output)
    seconds = {"embedding": embedded - started, "fitting": time.perf_counter() - embedded}
    if as_json:
        print_json(_values(adapted, pictures, output, seconds))
    else:
        _print(adapted, pictures, output, seconds)


@contextmanager
def _training_progress() -> Iterator[Callable[[int, int], None]]:
    """Tell about the steps of a method that trains; the others take none."""
    progress: Progress | None = None

    def on_steps(n_done: int, n_total: int) -> None:
        nonlocal progress
        progress = Progress(n_total, unit="steps") if progress is None else progress
        progress.advance(n_done - progress.n_done)

    try:
        yield on_steps
    finally:
        if progress is not None:
            progress.close()


@contextmanager
def needs_extra() -> Iterator[None]:
    """Say in one sentence that scikit-learn is missing, where an import inside fails for that."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRA:
            raise  # a broken install must not look like a missing extra
        raise MissingExtraError(
            "Adapting needs scikit-learn, which is not installed; expected the extra; run "
            "`pip install 'hyperclip[adapt]'`."
        ) from error


def _classifier(
    model_or_file: str, labeled: "LabeledImages", image_size: int | None, output: Path
) -> "Classifier":
    """Return the classifier file that was named, or specialize the model that was."""
    from hyperclip.zoo import names

    path = Path(model_or_file)
    if model_or_file in names() or not (path.suffix == ".onnx" or path.is_file()):
        from hyperclip.runtime.specialize import load

        return load(model_or_file).specialize(labeled.class_names, image_size_px=image_size)
    from hyperclip.runtime.classifier import Classifier

    classifier = Classifier.load(path)
    if output.exists() and output.samefile(path):
        raise InputError(
            f"'{output}' is the classifier that is adapted; expected another file; choose one with -o."
        )
    size_px = classifier.metadata.images.size_px
    if image_size not in (None, size_px):
        raise InputError(
            f"--image-size is {image_size}, but the classifier was made for {size_px} px; expected that; "
            "specialize again with another size."
        )
    return classifier


def _model_of(model_or_file: str) -> str | None:
    """Return the model that was named instead of a file."""
    from hyperclip.zoo import names

    path = Path(model_or_file)
    return (
        model_or_file if model_or_file in names() or not (path.suffix == ".onnx" or path.is_file()) else None
    )


def _texts(
    classifier: "Classifier", method: str, descriptions: str | None, model: str | None
) -> dict[str, Any]:
    """Return what a method that reads texts is given; nothing for the others."""
    if method not in READS_TEXTS:
        if descriptions is not None:
            raise InputError(
                f"--descriptions is given, but the method {method} reads none; expected "
                f"{' or '.join(READS_TEXTS)}; choose one of them with --method."
            )
        return {}
    from hyperclip.adapt.descriptions import (
        descriptions_from_glossary,
        find_descriptions,
        read_descriptions,
    )
    from hyperclip.adapt.text_features import class_texts_of, random_control, text_features
    from hyperclip.cli.explain import find_model

    names = classifier.metadata.class_names
    given = None if descriptions is None else read_descriptions(find_descriptions(descriptions), names)
    try:
        loaded = find_model(classifier.metadata.model, model)
    except InputError:
        if method == "auto" and given is None and model is None:
            say("The model that reads descriptions is not at hand (--model): slr_avd takes no part.")
            return {}
        raise
    if given is None:
        given = descriptions_from_glossary(loaded, names)
    features = text_features(loaded, class_texts_of(loaded, classifier.metadata), given)
    if not features.n_descriptions:
        say("No descriptions are known for these names: only the names themselves are read.")
        return {"texts": features}
    return {"texts": features, "control": lambda draw: random_control(loaded, features, seed=draw)}


def _say_left_out(pictures: "EmbeddedPictures") -> None:
    """Say which pictures were not used, and why."""
    for reason in pictures.unreadable[:MAX_LISTED]:
        say(f"Left out: {reason}")
    if len(pictures.unreadable) > MAX_LISTED:
        say(f"Left out: {len(pictures.unreadable) - MAX_LISTED} more pictures that could not be read.")
    if pictures.copies:
        listed = ", ".join(map(printable, pictures.copies[:MAX_LISTED]))
        say(f"{len(pictures.copies)} pictures repeat others of their class and count once: {listed}.")


def _values(
    adapted: "Adapted", pictures: "EmbeddedPictures", path: Path, seconds: dict[str, float]
) -> dict[str, object]:
    """Return what ``--json`` prints."""
    adaptation = adapted.classifier.metadata.adaptation
    assert adaptation is not None
    gain = adapted.gain
    return {
        "path": str(path),
        "method": adaptation.method,
        "parameters": dict(adaptation.parameters),
        "n_images": len(pictures.target),
        "classes": [
            {"name": name, "n_images": n}
            for name, n in zip(adapted.classifier.metadata.class_names, adaptation.n_images, strict=True)
        ],
        "gain": None
        if gain is None
        else {
            "n": gain.n,
            "zero_shot": gain.zero_shot,
            "adapted": gain.adapted,
            "gain": gain.mean,
            "confidence_interval": [gain.low, gain.high],
        },
        "note": adapted.note,
        "temperature": adapted.classifier.metadata.temperature,
        "unreadable": list(pictures.unreadable),
        "copies": list(pictures.copies),
        "seconds": {key: round(value, 3) for key, value in seconds.items()},
    }


def _print(adapted: "Adapted", pictures: "EmbeddedPictures", path: Path, seconds: dict[str, float]) -> None:
    """Print what was done and what it gained."""
    metadata = adapted.classifier.metadata
    adaptation, gain = metadata.adaptation, adapted.gain
    assert adaptation is not None
    counts = adaptation.n_images
    fewest, most = min(counts), max(counts)
    each = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    chosen = ", ".join(
        f"{key} {value:g}" for key, value in adaptation.parameters if not isinstance(value, str)
    )
    show(f"{len(pictures.target):,} pictures of {len(counts)} classes, {each} each")
    show(f"method            {adaptation.method}{f' ({chosen})' if chosen else ''}")
    if gain is None:
        show("gain              unknown: no class has two pictures, so that none could be held out")
    else:
        show(f"names alone       {gain.zero_shot:.3f} right")
        show(f"with pictures     {gain.adapted:.3f} right, on the same {gain.n:,} pictures, held out in turn")
        show(
            f"gain              {100 * gain.mean:+.1f} points (95 % interval {100 * gain.low:+.1f} to "
            f"{100 * gain.high:+.1f})"
        )
        if gain.low <= 0 <= gain.high:
            show("                  the interval holds 0: so few pictures cannot tell whether this helps")
    show(
        f"\nWrote {path}. Time: looking at pictures {duration(seconds['embedding'])}, fitting "
        f"{duration(seconds['fitting'])}."
    )
