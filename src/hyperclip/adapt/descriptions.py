"""What distinguishes classes to the eye, in words: from a file, a language model or the glossary."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hyperclip.bundle.checksum import read_capped
from hyperclip.bundle.strict import parse_json, quote
from hyperclip.errors import BundleError, InputError
from hyperclip.runtime.adaptation import MAX_REASON_CHARS, MAX_TEXTS
from hyperclip.runtime.names import same_name_key
from hyperclip.runtime.specialize import Model

__all__ = [
    "PROMPT",
    "clean_descriptions",
    "describe_with",
    "descriptions_from_glossary",
    "find_descriptions",
    "names_a_class",
    "read_descriptions",
]

logger = logging.getLogger(__name__)

MAX_FILE_BYTES = 16 * 2**20
BUNDLED = {"everyday": Path(__file__).parent / "everyday.json"}
MAX_PER_CLASS = 100
PROMPT = (
    "List what one sees in a photograph of a lemur that helps to recognize it.\n"
    "- four legs\n- a long tail with rings\n- large round eyes\n- gray or brown fur\n- a narrow snout\n\n"
    "List what one sees in a photograph of a television that helps to recognize it.\n"
    "- a flat dark screen\n- a thin frame\n- a stand or a wall mount\n- a small logo below the screen\n\n"
    "List what one sees in a photograph of a {} that helps to recognize it.\n"
)
_WORD = re.compile(r"\w+")
_BULLET = re.compile(r"^\s*(?:[-*•–]|\d+[.)])\s*")


def find_descriptions(name_or_file: str | Path) -> Path:
    """Return the file of descriptions that is meant: one that exists, or a bundled one by its name.

    Parameters
    ----------
    name_or_file : str or Path
        A path; or ``"everyday"``, thirty everyday things with what one sees of them, where no file is
        called that.

    Raises
    ------
    InputError
        If there is neither such a file nor such a name.
    """
    path = Path(name_or_file)
    try:
        is_there = path.is_file()
    except (OSError, ValueError):  # too long, or a NUL inside
        is_there = False
    if is_there:
        return path
    if str(name_or_file) in BUNDLED:
        return BUNDLED[str(name_or_file)]
    raise InputError(
        f"There are no descriptions {quote(str(name_or_file), 300)}; expected a JSON file, or the name of "
        f"those that are bundled ({', '.join(BUNDLED)}); correct the path or the name."
    )


def read_descriptions(path: Path, class_names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Read a JSON file ``{class: [phrase, ...]}``.

    Parameters
    ----------
    path : Path
        At most 16 MiB. Classes that are not asked for are passed over.
    class_names : sequence of str

    Returns
    -------
    dict
        Class name to phrases, cleaned as `clean_descriptions` does.

    Raises
    ------
    InputError
        If the file is not such a file, or describes none of the classes.
    """
    try:
        value = parse_json(
            read_capped(path, max_bytes=MAX_FILE_BYTES),
            where=quote(str(path), 300),
            max_bytes=MAX_FILE_BYTES,
        )
    except BundleError as error:
        raise InputError(str(error)) from error
    is_fine = isinstance(value, dict) and all(
        isinstance(phrases, list) and all(isinstance(phrase, str) for phrase in phrases)
        for phrases in value.values()
    )
    if not is_fine:
        raise InputError(
            f"{quote(str(path), 300)} holds something else than descriptions; expected JSON such as "
            '{"cat": ["pointed ears", "whiskers"]}; write it so.'
        )
    by_key = {same_name_key(name): phrases for name, phrases in value.items()}
    found = {name: by_key[same_name_key(name)] for name in class_names if same_name_key(name) in by_key}
    if not found:
        raise InputError(
            f"{quote(str(path), 300)} describes none of the {len(class_names)} classes; expected their "
            f"names as keys, such as {quote(class_names[0])}; correct the names."
        )
    lacking = [name for name in class_names if name not in found]
    if lacking:
        logger.warning("%d classes have no descriptions, such as %s.", len(lacking), quote(lacking[0]))
    return clean_descriptions(found, class_names)


def describe_with(
    language_model: Callable[[str], str], class_names: Sequence[str], *, prompt: str = PROMPT
) -> dict[str, tuple[str, ...]]:
    """Ask any language model for descriptions, one call a class.

    Parameters
    ----------
    language_model : callable
        Takes a prompt and returns text; its lines are taken for phrases, bullets and numbers stripped.
    class_names : sequence of str
    prompt : str
        With ``{}`` where the class name goes.
    """
    answers = {name: language_model(prompt.replace("{}", name)) for name in class_names}
    for name, answer in answers.items():
        if not isinstance(answer, str):
            raise InputError(
                f"The language model gave a {type(answer).__name__} for {quote(name)}; expected text; return "
                "the answer as one string."
            )
    return clean_descriptions({name: answer.splitlines() for name, answer in answers.items()}, class_names)


def descriptions_from_glossary(model: Model, class_names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return what the glossary says: other words for each class, and what it is a kind of."""
    meanings = [None] * len(class_names) if model.glossary is None else model.glossary.choose(class_names)
    found = {
        name: (*meaning.synonyms, *meaning.kind_of)
        for name, meaning in zip(class_names, meanings, strict=True)
        if meaning is not None
    }
    return clean_descriptions(found, class_names)


def clean_descriptions(
    descriptions: Mapping[str, Sequence[str]], class_names: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Strip bullets and spaces; drop what is empty, too long, repeated or only a class's name.

    Text from a language model is text from outside: control characters go, and no class gets more than
    a hundred phrases.
    """
    names = {same_name_key(name) for name in class_names}
    cleaned: dict[str, tuple[str, ...]] = {}
    n_left = MAX_TEXTS - len(class_names)
    for name, phrases in descriptions.items():
        kept: dict[str, str] = {}
        for phrase in phrases:
            printable = "".join(character if character.isprintable() else " " for character in phrase)
            text = " ".join(_BULLET.sub("", printable).split()).rstrip(" .;,")
            key = same_name_key(text)
            if text and len(text) <= MAX_REASON_CHARS and key not in names:
                kept.setdefault(key, text)
        cleaned[name] = tuple(kept.values())[: min(MAX_PER_CLASS, max(n_left, 0))]
        n_left -= len(cleaned[name])
    return cleaned


def names_a_class(text: str, class_names: Sequence[str]) -> bool:
    """Tell whether a text holds the name of a class as a word: then it is no reason but the answer.

    Examples
    --------
    >>> names_a_class("a Siamese cat's face", ["cat", "dog"]), names_a_class("cattle", ["cat"])
    (True, False)
    """
    return any(_words(name) in _words(text) for name in class_names)


def _words(text: str) -> str:
    """Return the words of a text in small letters, a space around each."""
    return f" {' '.join(re.findall(_WORD, text.casefold()))} "
