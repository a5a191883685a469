"""Write into the documentation what the code says of itself: ``python docs/generate.py``.

A page holds ``<!-- generated: NAME -->`` and ``<!-- end of generated -->`` on lines of their own; what
lies between is replaced. A test keeps both in step.
"""

import ast
import dataclasses
import inspect
import itertools
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

DOCS = Path(__file__).resolve().parent
BLOCK = re.compile(
    r"(?P<start><!-- generated: (?P<name>\S+) -->\n).*?(?P<end><!-- end of generated -->)", re.DOTALL
)
HELP_WIDTH = 88


def filled(text: str) -> str:
    """Return a page with its generated parts made anew."""
    return BLOCK.sub(lambda match: f"{match['start']}{make(match['name'])}\n{match['end']}", text)


def make(name: str) -> str:
    """Return a generated part: ``help/COMMAND``, ``recipe/SECTION`` or ``limits/OF_WHAT``."""
    kind, _, detail = name.partition("/")
    return MAKERS[kind](detail)


def make_help(command: str) -> str:
    """Return what ``hyperclip COMMAND --help`` prints; of the program itself where it is ``hyperclip``."""
    import typer.main

    from hyperclip.cli.main import build_app

    program: Any = typer.main.get_command(build_app())
    is_program = command == "hyperclip"
    found = program if is_program else program.commands[command]
    name = command if is_program else f"hyperclip {command}"
    context = found.context_class(found, info_name=name, terminal_width=HELP_WIDTH)
    return f"```text\n{found.get_help(context).rstrip()}\n```"


def command_names() -> list[str]:
    """Return the names of all commands, in the order of the program's help."""
    import typer.main

    from hyperclip.cli.main import build_app

    program: Any = typer.main.get_command(build_app())
    return list(program.commands)


def make_recipe(section: str) -> str:
    """Return the keys of a section of a recipe and of the sections below it, from its dataclass."""
    cls = recipe_sections()[section]
    return "\n\n".join(_tables(cls, "" if section == "about" else section))


def recipe_sections() -> dict[str, type]:
    """Return the dataclass behind each section; ``about`` is the file that ``hyperclip export`` reads."""
    from hyperclip.export.bundle import About
    from hyperclip.train.channel_choice import PruningConfig
    from hyperclip.train.hyperclip_objective import ObjectiveConfig
    from hyperclip.train.recipe import OptimizerConfig, RunConfig
    from hyperclip.train.sam import SharpnessConfig
    from hyperclip.train.text_objective import TextConfig

    return {
        "run": RunConfig,
        "optimizer": OptimizerConfig,
        "sharpness": SharpnessConfig,
        "pruning": PruningConfig,
        "text": TextConfig,
        "hyperclip": ObjectiveConfig,
        "about": About,
    }


def _tables(cls: type, path: str, *, is_list: bool = False) -> list[str]:
    """Return one table for a dataclass, then those of the dataclasses in it."""
    hints, notes = get_type_hints(cls), _notes(cls)
    rows, below = [], []
    for field in dataclasses.fields(cls):
        inner, is_inner_list = _inner(hints[field.name])
        if inner is not None:
            below += _tables(inner, f"{path}.{field.name}".lstrip("."), is_list=is_inner_list)
        else:
            cells = (f"`{field.name}`", _kind(hints[field.name]), _default(field), notes.get(field.name, ""))
            rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    heading = [f"**`[[{path}]]`**" if is_list else f"**`[{path}]`**"] if "." in path and rows else []
    table = (
        ["\n".join(["| key | kind | default | meaning |", "| --- | --- | --- | --- |", *rows])]
        if rows
        else []
    )
    return [*heading, *table, *below]


def _inner(hint: Any) -> tuple[type | None, bool]:
    """Return the dataclass that a field holds, if it holds one, and whether it holds a list of them."""
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(option for option in get_args(hint) if option is not type(None))
    is_list = get_origin(hint) is tuple
    hint = get_args(hint)[0] if is_list else hint
    return (hint, is_list) if dataclasses.is_dataclass(hint) and isinstance(hint, type) else (None, False)


def _notes(cls: type) -> dict[str, str]:
    """Return the texts below the fields of a dataclass, which Python itself forgets."""
    (body,) = (node.body for node in ast.parse(inspect.getsource(cls)).body if isinstance(node, ast.ClassDef))
    notes = {}
    for field, text in itertools.pairwise(body):
        is_text = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_text:
            notes[field.target.id] = " ".join(str(text.value.value).split())
    return notes


def _kind(hint: Any) -> str:
    """Return what a value may be, in the words of TOML."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_kind(option) for option in args if option is not type(None))
    if origin is tuple:
        return f"list of {_kind(args[0])}"
    if origin is dict:
        return f"table of {_kind(args[1])}"
    return {str: "text", int: "whole number", float: "number", bool: "true or false"}[hint]


def _default(field: "dataclasses.Field[Any]") -> str:
    """Return the default as TOML would have it."""
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    elif field.default is not dataclasses.MISSING:
        value = field.default
    else:
        return "**needed**"
    return "none" if value is None else f"`{_toml(value)}`"


def _toml(value: object) -> str:
    """Return a plain value as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        inside = ", ".join(f"{key} = {_toml(item)}" for key, item in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def make_limits(what: str) -> str:
    """Return a table of limits, from the constants that enforce them."""
    rows = {"files": _file_limits, "names": _name_limits}[what]()
    return "| what | limit |\n| --- | --- |\n" + "\n".join(f"| {name} | {limit} |" for name, limit in rows)


def _file_limits() -> list[tuple[str, str]]:
    """Return the limits of files from outside."""
    from hyperclip.bundle import manifest, read
    from hyperclip.runtime import glossary_format, metadata, model_file

    return [
        ("size of `model.json`", _size(manifest.MAX_MANIFEST_BYTES)),
        ("size of a classifier file", _size(model_file.MAX_MODEL_BYTES)),
        ("size of `encoder.onnx`, `specializer.onnx` or `tokenizer.json`", _size(read.MAX_SHOP_FILE_BYTES)),
        ("size of `glossary.bin`", _size(glossary_format.FILE_MAX_BYTES)),
        ("size of any other file of a bundle", _size(manifest.MAX_FILE_BYTES)),
        ("size of one metadata value", _size(metadata.MAX_VALUE_BYTES)),
        ("operators of an ONNX file", f"{model_file.MAX_NODES:,}"),
        ("axes of a stored tensor", str(model_file.MAX_RANK)),
        ("values of a tensor, per picture", f"{model_file.MAX_ELEMENTS:,}"),
        ("operator set", f"{model_file.OPSETS[0]} to {model_file.OPSETS[-1]}"),
        ("IR version", f"{model_file.IR_VERSIONS[0]} to {model_file.IR_VERSIONS[-1]}"),
    ]


def _name_limits() -> list[tuple[str, str]]:
    """Return the limits of names, texts and pictures."""
    from hyperclip.runtime import names, picture_file, texts

    return [
        ("class names of a classifier", f"{names.MAX_CLASSES:,}"),
        ("characters of a name, phrasing, template or meaning", f"{names.MAX_TEXT_CHARS:,}"),
        ("other phrasings of a class", str(names.MAX_PHRASINGS)),
        ("templates", f"{texts.MAX_TEMPLATES:,}"),
        ("size of a names file", _size(names.MAX_NAMES_FILE_BYTES)),
        ("pixels of a picture", f"{picture_file.MAX_PIXELS:,}"),
    ]


def _size(n_bytes: int) -> str:
    """Return a size in whole units."""
    return f"{n_bytes // 2**30} GiB" if n_bytes >= 2**30 else f"{n_bytes // 2**20} MiB"


MAKERS: dict[str, Callable[[str], str]] = {"help": make_help, "recipe": make_recipe, "limits": make_limits}


def pages() -> list[Path]:
    """Return all pages of the documentation."""
    return sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)


def main() -> None:
    """Refresh every page and name those that changed."""
    sys.path.insert(0, str(DOCS.parent / "src"))
    for path in pages():
        text = path.read_text(encoding="utf-8")
        new = filled(text)
        if new != text:
            path.write_text(new, encoding="utf-8")
            print(path.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
