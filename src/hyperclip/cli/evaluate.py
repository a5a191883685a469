"""``hyperclip evaluate``: a model or classifier and labeled pictures in, accuracy out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperclip.cli.exits import FAILED
from hyperclip.cli.output import Progress, print_json, print_table, printable, say, show
from hyperclip.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from hyperclip.evaluate.accuracy import Evaluation
    from hyperclip.runtime.classifier import Classifier
    from hyperclip.runtime.labeled import LabeledImages

__all__ = ["evaluate"]

N_WORST = 5  # classes that are shown when there is no --json
MAX_LISTED = 20


def evaluate(
    model_or_file: Annotated[
        str,
        typer.Argument(
            metavar="MODEL_OR_FILE",
            help="A classifier file; or a model's name or folder, to be specialized to the data's names.",
            show_default=False,
        ),
    ],
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="A folder with one folder a class, a CSV table, or Parquet with a classes.json beside it.",
            show_default=False,
        ),
    ],
    image_size: Annotated[
        int | None,
        typer.Option(metavar="PX", help="Side of the square that the classifier sees; only with a model."),
    ] = None,
    glossary: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="Look meanings up in this model's glossary; only with a model without one."
        ),
    ] = None,
    confusion: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Also draw which classes are taken for which, as a PNG."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of a table.")
    ] = False,
) -> None:
    """Measure how often the answers are right on labeled pictures.

    Accuracies are fractions of 1. Data set and classifier meet by the names of the classes.
    """
    from hyperclip.evaluate.accuracy import evaluate_classifier
    from hyperclip.runtime.sources import open_labeled

    if confusion is not None:
        from hyperclip.runtime.picture_output import check_picture_path

        check_picture_path(confusion)  # before the work, not after it
    labeled = open_labeled(data)
    if labeled.merged_names:
        say(f"Equal names were made one class: {_listed(labeled.merged_names)}.")
    classifier = _classifier(model_or_file, labeled, image_size, glossary)
    progress = Progress(len(labeled))
    try:
        evaluation = evaluate_classifier(classifier, labeled, on_progress=progress.advance)
    finally:
        progress.close()
    for bad in evaluation.bad:
        say(bad.reason)
    drawn = confusion if confusion is not None and _draw(evaluation, confusion) else None
    if as_json:
        print_json(_values(evaluation, labeled, classifier, data=data, drawn=drawn))
    else:
        _print(evaluation)
        if drawn is not None:
            show(f"\nDrew {drawn}.")
    if evaluation.bad:
        say(f"{len(evaluation.bad)} of {len(evaluation.bad) + evaluation.n} pictures could not be read.")
        raise typer.Exit(FAILED)


def _classifier(
    model_or_file: str, labeled: "LabeledImages", image_size: int | None, glossary: str | None
) -> "Classifier":
    """Return the classifier file that was named, or specialize the model that was."""
    from hyperclip.zoo import names

    path = Path(model_or_file)
    if model_or_file in names() or not (path.suffix == ".onnx" or path.is_file()):
        from hyperclip.runtime.specialize import load

        model = load(model_or_file)
        if glossary is not None:
            model.borrow_glossary(glossary)
        return model.specialize(labeled.class_names, image_size_px=image_size)
    if glossary is not None:
        raise InputError(
            "--glossary was given with a classifier file; expected a model, as a file has read its meanings "
            "already; specialize again with --glossary."
        )
    from hyperclip.evaluate.accuracy import match_names
    from hyperclip.runtime.classifier import Classifier

    classifier = Classifier.load(path)
    size_px = classifier.metadata.images.size_px
    if image_size not in (None, size_px):
        raise InputError(
            f"--image-size is {image_size}, but the classifier was made for {size_px} px; expected that; "
            "specialize again with another size."
        )
    used = set(match_names(labeled.class_names, classifier.metadata.class_names))
    spare = [name for index, name in enumerate(classifier.metadata.class_names) if index not in used]
    if spare:
        say(f"{len(spare)} classes have no pictures and serve as distractors: {_listed(spare)}.")
    return classifier


def _draw(evaluation: "Evaluation", path: Path) -> bool:
    """Draw the confusion picture; without matplotlib say so and go on."""
    from hyperclip.evaluate.draw import draw_confusion

    try:
        draw_confusion(evaluation.confusion, evaluation.class_names, path)
    except MissingExtraError as error:
        say(f"{path} was left out: {error}")
        return False
    return True


def _values(
    evaluation: "Evaluation",
    labeled: "LabeledImages",
    classifier: "Classifier",
    *,
    data: Path,
    drawn: Path | None,
) -> dict[str, object]:
    """Return what ``--json`` prints."""
    recalls = evaluation.recall_by_class.tolist()
    counts = evaluation.n_by_class.tolist()
    model = classifier.metadata.model
    return {
        "acc1": evaluation.acc1,
        "acc5": evaluation.acc5,
        "mean_per_class_recall": evaluation.mean_per_class_recall,
        "n": evaluation.n,
        "confidence_interval": list(evaluation.confidence_interval),
        "n_classes": len(evaluation.class_names),
        "classes": [
            {"name": name, "n": n, "recall": recall if n else None}
            for name, n, recall in zip(evaluation.class_names, counts, recalls, strict=True)
        ],
        "merged": list(labeled.merged_names),
        "unreadable": [str(bad.path) for bad in evaluation.bad],
        "confusion": None if drawn is None else str(drawn),
        "data": str(data),
        "image_size_px": classifier.metadata.images.size_px,
        "model": {"name": model.name, "version": model.version, "fingerprint": model.fingerprint},
    }


def _print(evaluation: "Evaluation") -> None:
    """Print the figures and the classes that are recognized worst."""
    low, high = evaluation.confidence_interval
    show(f"{evaluation.n:,} pictures, {len(evaluation.class_names):,} classes")
    show(f"top-1 accuracy         {evaluation.acc1:.3f}  (95 % interval {low:.3f} to {high:.3f})")
    show(f"top-5 accuracy         {evaluation.acc5:.3f}")
    show(f"mean per-class recall  {evaluation.mean_per_class_recall:.3f}")
    recall, counts, confusion = evaluation.recall_by_class, evaluation.n_by_class, evaluation.confusion
    seen = [index for index in range(len(counts)) if counts[index] and recall[index] < 1]
    worst = sorted(seen, key=lambda index: recall[index])[:N_WORST]
    if not worst:
        return
    rows = []
    for index in worst:
        confusion[index, index] = 0
        rows.append(
            (
                evaluation.class_names[index],
                f"{recall[index]:.2f} of {counts[index]}",
                evaluation.class_names[int(confusion[index].argmax())],
            )
        )
    show()
    print_table(["recognized worst", "recall", "mostly taken for"], rows)


def _listed(names: "list[str] | tuple[str, ...]") -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(printable(name) for name in names[:MAX_LISTED]) + more
