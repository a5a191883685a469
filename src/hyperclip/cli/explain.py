"""``hyperclip explain``: which descriptions decide about a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperclip.cli.output import print_json, print_table, printable, say, show
from hyperclip.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from hyperclip.adapt.explain import ClassReasons, Contribution, Explanation
    from hyperclip.runtime.metadata import ModelInfo
    from hyperclip.runtime.specialize import Model

__all__ = ["explain", "find_model"]

N_TEXTS = 8
N_CLASSES = 12


def explain(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A classifier that `hyperclip adapt --method slr_avd` wrote.",
            show_default=False,
        ),
    ],
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A picture.", show_default=False)],
    picture: Annotated[
        Path | None,
        typer.Option("--picture", metavar="PATH", help="Also draw the picture and its reasons, as a PNG."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME_OR_FOLDER", help="The model that the file was made from, if it is not bundled."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of a table.")
    ] = False,
) -> None:
    """Show which descriptions decide about a picture, and whether the words matter at all."""
    if picture is not None:
        from hyperclip.runtime.picture_output import check_picture_path

        check_picture_path(picture)  # before the work, not after it
    from hyperclip.cli.adapt import needs_extra
    from hyperclip.runtime.classifier import Classifier

    with needs_extra():
        from hyperclip.adapt.explain import class_reasons, explain_picture, reasons_of
    classifier = Classifier.load(file)
    reasons_of(classifier)  # says first whether there are any
    loaded = find_model(classifier.metadata.model, model)
    found = explain_picture(classifier, loaded, image)
    by_class = class_reasons(classifier)
    drawn = picture if picture is not None and _draw(found, image, picture) else None
    if as_json:
        print_json(_values(found, by_class, image, drawn))
    else:
        _print(found, by_class)
        if drawn is not None:
            show(f"\nDrew {drawn}.")


def find_model(info: "ModelInfo", given: str | None) -> "Model":
    """Return the model that a classifier was made from: the one given, or the bundled one of its name."""
    from hyperclip.runtime.specialize import load
    from hyperclip.zoo import names

    if given is None and info.name not in names():
        raise InputError(
            f"The classifier was made from the model '{info.name}', which is not bundled; expected its "
            "folder, which reads the texts; name it with --model."
        )
    model = load(given or info.name)
    if model.fingerprint != info.fingerprint:
        raise InputError(
            f"The classifier was made from another version of '{info.name}' ({info.version}); expected that "
            "one, which reads the texts; name its folder with --model."
        )
    return model


def _draw(found: "Explanation", image: Path, path: Path) -> bool:
    """Draw the explanation; without matplotlib say so and go on."""
    from hyperclip.adapt.word_control import verdict
    from hyperclip.evaluate.draw_explanation import draw_explanation
    from hyperclip.runtime.preprocess import load_image

    shown = load_image(image)
    shown.thumbnail((900, 900))
    try:
        draw_explanation(
            shown,
            [(item.text, item.value, item.names_class) for item in found.against()],
            path,
            title=f"{found.class_names[0]} ({found.probabilities[0]:.0%})",
            subtitle=f"what speaks for {found.class_names[0]} against {found.class_names[1]}",
            note=verdict(found.words),
        )
    except MissingExtraError as error:
        say(f"{path} was left out: {error}")
        return False
    return True


def _item(item: "Contribution") -> dict[str, object]:
    """Return a text's part as JSON values."""
    return {
        "text": item.text,
        "kind": item.kind,
        "written_for": list(item.written_for),
        "names_class": item.names_class,
        "value": item.value,
    }


def _values(
    found: "Explanation", by_class: "tuple[ClassReasons, ...]", image: Path, drawn: Path | None
) -> dict[str, object]:
    """Return what ``--json`` prints."""
    from hyperclip.adapt.word_control import FALSE_ALARM_RATE, verdict, words_carry

    words = found.words
    return {
        "image": str(image),
        "label": found.class_names[0],
        "against": found.class_names[1],
        "decisive": [_item(item) for item in found.against()],
        "classes": [
            {
                "name": name,
                "probability": probability,
                "logit": logit,
                "rest": rest,
                "contributions": [_item(item) for item in parts],
            }
            for name, probability, logit, rest, parts in zip(
                found.class_names,
                found.probabilities,
                found.logits,
                found.rest,
                found.contributions,
                strict=True,
            )
        ],
        "reasons_by_class": [
            {"name": entry.class_name, "texts": [_item(item) for item in entry.texts]} for entry in by_class
        ],
        "control": None
        if words is None
        else {
            "n": words.n,
            "texts": words.texts,
            "random_phrases": list(words.random),
            "n_draws_as_good": words.n_as_good,
            "false_alarm_rate": FALSE_ALARM_RATE,
            "words_carry": words_carry(words),
        },
        "verdict": verdict(words),
        "picture": None if drawn is None else str(drawn),
    }


def _print(found: "Explanation", by_class: "tuple[ClassReasons, ...]") -> None:
    """Print the decision and its reasons."""
    from hyperclip.adapt.word_control import verdict

    first, second = map(printable, found.class_names[:2])
    show(f"{first} ({found.probabilities[0]:.0%}), next best {second} ({found.probabilities[1]:.0%})\n")
    rows = [
        (
            f"{item.value:+.2f}",
            printable(item.text),
            ", ".join(map(printable, item.written_for[:3])),
            "holds a name" if item.names_class else "",
        )
        for item in found.against()[:N_TEXTS]
    ]
    rest = found.rest[0] - found.rest[1]
    rows.append((f"{rest:+.2f}", "(names alone, and what each class gets always)", "", ""))
    print_table([f"for {first}, against {second}", "text", "written for", "note"], rows)
    show()
    print_table(
        ["class", "texts of the largest weight"],
        [
            (printable(entry.class_name), "; ".join(printable(item.text) for item in entry.texts) or "none")
            for entry in by_class[:N_CLASSES]
        ],
    )
    show(f"\n{verdict(found.words)}")
