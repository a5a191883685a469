"""``hyperclip specialize``: class names in, a classifier file out."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperclip.cli.output import Progress, print_json, print_table, printable, readable_size, say, show
from hyperclip.errors import BundleError, InputError

if TYPE_CHECKING:
    from hyperclip.bundle.manifest import Manifest
    from hyperclip.runtime.metadata import ClassMeaning
    from hyperclip.runtime.names import ClassEntry

__all__ = ["default_file_name", "say_terms", "specialize", "split_descriptions"]

MAX_ROWS = 50  # of the table; a longer list is for `hyperclip inspect`
MAX_SLUG_CHARS = 24
N_NAMES_IN_FILE_NAME = 2


def specialize(
    class_names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAMES...", help="The classes to tell apart.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="Where to write it; by default a file named after the classes.",
        ),
    ] = None,
    names: Annotated[
        Path | None,
        typer.Option(
            "--names",
            metavar="FILE",
            help="A file with one class a line: name | other phrasing = own meaning. Instead of NAMES.",
        ),
    ] = None,
    template: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help='What to put around a name: "a photo of a {}." May be repeated.'),
    ] = None,
    describe: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=TEXT", help='What a name means: "mouse=a computer mouse". May be repeated.'
        ),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(metavar="PX", help="Side of the square that the classifier sees; smaller is faster."),
    ] = None,
    model: Annotated[str, typer.Option(metavar="NAME_OR_FOLDER", help="The model to specialize.")] = "small",
    glossary: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Look meanings up in this model's glossary, for a model without one (imported ones).",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of a table.")
    ] = False,
) -> None:
    """Make a classifier file from class names.

    The time given as milliseconds is that from names to finished classifier, the model already loaded.
    """
    entries = _entries(class_names or [], names)
    typed = [entry.name for entry in entries]
    descriptions = {entry.name: entry.description for entry in entries if entry.description is not None}
    descriptions.update(split_descriptions(describe or [], typed))
    path = output if output is not None else _free_path(typed)

    from hyperclip.runtime.specialize import load

    timed: dict[str, float] = {}
    with _timing(timed, "loading the model"):
        loaded = load(model)
        if glossary is not None:
            loaded.borrow_glossary(glossary)
    say_terms(loaded.manifest)
    progress: list[Progress] = []

    def tell(n_done: int, n_all: int) -> None:
        if not progress:
            progress.append(Progress(n_all, unit="texts"))
        progress[0].advance(n_done - progress[0].n_done)

    with _timing(timed, "specializing"):
        classifier = loaded.specialize(
            typed,
            templates=template or None,
            descriptions=descriptions,
            phrasings={entry.name: entry.phrasings for entry in entries if entry.phrasings},
            image_size_px=image_size,
            on_progress=tell,
        )
    for shown in progress:
        shown.close()
    with _timing(timed, "writing"):
        classifier.save(path)
    meanings = classifier.metadata.meanings
    steps = ", ".join(f"{step} {milliseconds:.0f} ms" for step, milliseconds in timed.items())
    if as_json:
        say(f"Time: {steps}.")
        print_json(
            {
                "path": str(path),
                "classes": [
                    {"name": name, "meaning": meaning.text, "wnid": meaning.wnid}
                    for name, meaning in zip(typed, meanings, strict=True)
                ],
                "milliseconds": round(timed["specializing"], 1),
            }
        )
        return
    _print_meanings(typed, meanings, path)
    n_classes = f"{len(typed)} {'class' if len(typed) == 1 else 'classes'}"
    size = readable_size(len(classifier.to_bytes()))
    show(f"\nWrote {path} ({n_classes}, {size}). Time: {steps}.")


def say_terms(manifest: "Manifest") -> None:
    """Say aloud on which terms a model may be used, where its source forbids commerce or is silent."""
    if manifest.commercial_use.startswith(("No", "Unknown")):
        say(
            f"The weights of {printable(manifest.name)} are under: {printable(manifest.licence)}. "
            f"Commercial use: "
            f"{printable(manifest.commercial_use)}"
        )


def _entries(class_names: list[str], names_file: Path | None) -> list["ClassEntry"]:
    """Return the classes from the command line or from the file."""
    if bool(class_names) == (names_file is not None):
        raise typer.BadParameter("Give the class names, or a file of them with --names.")
    from hyperclip.runtime.names import ClassEntry, check_class_names, read_names

    if names_file is not None:
        return read_names(names_file)
    return [ClassEntry(name=name) for name in check_class_names(class_names)]


def split_descriptions(describe: Sequence[str], class_names: Sequence[str]) -> dict[str, str]:
    """Return class name to meaning from texts ``NAME=TEXT``.

    Parameters
    ----------
    describe : sequence of str
        As typed. A name that itself holds ``=`` is found all the same.
    class_names : sequence of str
        The classes; a name may differ from them in case and surrounding space.

    Raises
    ------
    InputError
        If there is no ``=``, the name is no class, or a class is described twice.

    Examples
    --------
    >>> split_descriptions(["Mouse=a computer mouse"], ["mouse", "keyboard"])
    {'mouse': 'a computer mouse'}
    """
    from hyperclip.bundle.strict import quote
    from hyperclip.runtime.names import same_name_key

    typed = {same_name_key(name): name for name in class_names}
    result: dict[str, str] = {}
    for text in describe:
        places = [index for index, character in enumerate(text) if character == "="]
        found = [place for place in places if same_name_key(text[:place]) in typed]
        if not found or not text[found[-1] + 1 :].strip():
            raise InputError(
                f"--describe {quote(text)} names no class; expected NAME=TEXT with one of the class names; "
                'write it like --describe "mouse=a computer mouse".'
            )
        name = typed[same_name_key(text[: found[-1]])]
        if name in result:
            raise InputError(
                f"--describe gives {quote(name)} two meanings; expected one for each class; leave one out."
            )
        result[name] = text[found[-1] + 1 :]
    return result


def default_file_name(class_names: Sequence[str]) -> str:
    """Return a file name that tells which classes are inside.

    Examples
    --------
    >>> default_file_name(["cat", "cup of coffee", "rocket"])
    'cat-cup-of-coffee-3-classes.onnx'
    """
    slugs = [slug for slug in map(_slug, class_names[:N_NAMES_IN_FILE_NAME]) if slug]
    n_classes = len(class_names)
    return "-".join([*slugs, f"{n_classes}-{'class' if n_classes == 1 else 'classes'}.onnx"])


def _slug(name: str) -> str:
    """Return the letters and digits of a name, words joined by hyphens, not too long."""
    words = "".join(character if character.isalnum() else " " for character in name.casefold()).split()
    return "-".join(words)[:MAX_SLUG_CHARS].rstrip("-")


def _free_path(class_names: Sequence[str]) -> Path:
    """Return where to write without being told; only an earlier classifier may be replaced there."""
    path = Path(default_file_name(class_names))
    if path.exists():
        from hyperclip.runtime.classifier import Classifier

        try:
            Classifier.load(path)
        except BundleError as error:
            raise InputError(
                f"'{path}' exists and is no hyperclip classifier; expected a free name; choose one with -o."
            ) from error
        say(f"Replacing the classifier {path}.")
    return path


def _print_meanings(class_names: Sequence[str], meanings: Sequence["ClassMeaning"], path: Path) -> None:
    """Show what was read into each name and how to overrule it."""
    print_table(
        ["name", "meaning read", "to overrule it"],
        [
            (name, meaning.text or "(none known: read as it stands)", _how_to_overrule(name, meaning))
            for name, meaning in zip(class_names[:MAX_ROWS], meanings[:MAX_ROWS], strict=True)
        ],
    )
    if len(class_names) > MAX_ROWS:
        show(f"... and {len(class_names) - MAX_ROWS} more: hyperclip inspect {path}")


def _how_to_overrule(name: str, meaning: "ClassMeaning") -> str:
    """Return the option that sets another meaning."""
    return "(your words)" if meaning.source == "user" else f'--describe "{name}=..."'


@contextmanager
def _timing(timed: dict[str, float], step: str) -> Iterator[Mapping[str, float]]:
    """Note how many milliseconds a step takes."""
    start = time.perf_counter()
    yield timed
    timed[step] = (time.perf_counter() - start) * 1000
