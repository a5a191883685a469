"""A training run as one TOML file, read into frozen dataclasses.

Unknown keys are refused with the nearest known one; ``--set section.key=value`` overrides; the
resolved recipe is written into the run folder, so a folder explains itself.
"""

import copy
import dataclasses
import datetime
import difflib
import json
import math
import tomllib
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from hyperclip.errors import InputError

__all__ = [
    "OptimizerConfig",
    "RunConfig",
    "apply_overrides",
    "did_you_mean",
    "from_mapping",
    "objective_section",
    "read_toml",
    "to_toml",
]

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What every run has."""

    objective: str
    """`text` (the text encoder from a sentence encoder) or `hyperclip` (images, tasks, hypernetwork)."""
    n_steps: int
    seed: int = 0
    precision: str = "float32"
    """`float32` or `bfloat16` (autocast)."""
    log_every: int = 10
    evaluate_every: int = 500
    checkpoint_minutes: float = 5.0
    ema_decay: float = 0.0
    """Decay of the moving average of the weights that is evaluated and exported; 0: none."""
    n_threads: int = 0
    """Threads of PyTorch; 0 leaves its default."""
    description: str = ""

    def __post_init__(self) -> None:
        for key in ("n_steps", "log_every", "evaluate_every"):
            if getattr(self, key) < 1:
                raise InputError(f"run.{key} is {getattr(self, key)}; expected at least 1; raise it.")
        for key in ("seed", "n_threads", "checkpoint_minutes"):
            if not getattr(self, key) >= 0:
                raise InputError(f"run.{key} is {getattr(self, key)}; expected 0 or more; raise it.")
        if self.precision not in ("float32", "bfloat16"):
            raise InputError(
                f"run.precision is {self.precision!r}; expected 'float32' or 'bfloat16'; choose one."
            )
        if not 0 <= self.ema_decay < 1:
            raise InputError(f"run.ema_decay is {self.ema_decay}; expected a number in [0, 1); try 0.999.")


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """AdamW with warm-up and cosine decay."""

    peak_lr: float = 1e-3
    final_lr_share: float = 0.01
    warmup_steps: int = 100
    weight_decay: float = 0.01
    beta2: float = 0.98
    max_grad_norm: float = 1.0
    lr_factors: dict[str, float] = field(default_factory=dict)
    """Factors on the learning rate of parts, by the start of their parameters' names; 0 freezes."""

    def __post_init__(self) -> None:
        for key, usual in (("peak_lr", 1e-3), ("max_grad_norm", 1.0)):
            if not 0 < getattr(self, key) < math.inf:
                raise InputError(
                    f"optimizer.{key} is {getattr(self, key)}; expected a positive number; try {usual}."
                )
        for key, usual in (("warmup_steps", 100), ("weight_decay", 0.01)):
            if not 0 <= getattr(self, key) < math.inf:
                raise InputError(f"optimizer.{key} is {getattr(self, key)}; expected 0 or more; try {usual}.")
        if not 0 <= self.final_lr_share <= 1:
            raise InputError(
                f"optimizer.final_lr_share is {self.final_lr_share}; expected a share of 1; try 0.01."
            )
        if not 0 <= self.beta2 < 1:
            raise InputError(f"optimizer.beta2 is {self.beta2}; expected a number in [0, 1); try 0.98.")
        for name, factor in self.lr_factors.items():
            if not 0 <= factor < math.inf:
                raise InputError(
                    f"optimizer.lr_factors of {name!r} is {factor}; expected 0 or more; 0 freezes."
                )


def objective_section(run: Path) -> dict[str, Any]:
    """The section of a run's resolved recipe that describes its objective.

    Raises
    ------
    InputError
        If the folder holds no readable recipe, or one without that section.
    """
    values = read_toml(run / "recipe.toml")
    name = values.get("run", {}).get("objective")
    section = values.get(name) if isinstance(name, str) else None
    if not isinstance(section, dict):
        raise InputError(
            f"{run / 'recipe.toml'} has no section for its objective {name!r}; expected a run's own recipe; "
            "choose the folder of a run."
        )
    return section


def read_toml(path: Path) -> dict[str, Any]:
    """Read a recipe file.

    Raises
    ------
    InputError
        If it is missing, larger than 1 MB, or not TOML.
    """
    try:
        if path.stat().st_size > 1_000_000:
            raise InputError(f"{path} has more than 1 MB; expected a recipe in TOML; check the path.")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"The recipe {path} cannot be read ({error.strerror}); check the path.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"The recipe {path} is not valid TOML ({error}); correct that place.") from error


def apply_overrides(values: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Apply ``section.key=value`` strings to a copy.

    Parameters
    ----------
    values : dict
        As `read_toml` gives them.
    overrides : sequence of str
        Keys and values are TOML (``optimizer.lr_factors."head."=0``); what is no TOML value is taken as
        a string. Missing sections are made.

    Raises
    ------
    InputError
        If one has another form, or goes through something that is no section.

    Examples
    --------
    >>> apply_overrides({"run": {"seed": 0}}, ["run.seed=1", "text.data=runs/targets"])
    {'run': {'seed': 1}, 'text': {'data': 'runs/targets'}}
    """
    result = copy.deepcopy(values)
    for override in overrides:
        path, separator, text = override.partition("=")
        keys = _keys_of(path) if separator else []
        if not keys:
            raise InputError(f"--set {override!r} is not understood; expected section.key=value; rewrite it.")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text.strip()
        place = result
        for key in keys[:-1]:
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                raise InputError(
                    f"--set {override!r} goes through {key!r}, which is a value; expected a section; "
                    "check the key, or change the recipe."
                )
        place[keys[-1]] = value
    return result


def _keys_of(path: str) -> list[str]:
    """Split a dotted key by TOML's rules; empty where it is none."""
    try:
        rest: Any = tomllib.loads(f"{path} = 0")
    except tomllib.TOMLDecodeError:
        return []
    keys: list[str] = []
    while isinstance(rest, dict):
        if len(rest) != 1:
            return []
        ((key, rest),) = rest.items()
        keys.append(key)
    return keys


def from_mapping(cls: type[_T], values: Mapping[str, Any], *, where: str) -> _T:
    """Build a frozen dataclass from a TOML table.

    Parameters
    ----------
    cls : type
        A dataclass of plain values, other dataclasses, tuples of either, and dicts of plain values.
    values : mapping
        The table; whole numbers serve where a float is expected.
    where : str
        What to call the table in messages.

    Raises
    ------
    InputError
        For an unknown key (with the nearest known one), a missing key, or a value of another kind.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{where} is {values!r}; expected a section; write it as [{where}].")
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            raise InputError(f"{where}.{key} is not a key of a recipe; {did_you_mean(key, fields)}")
    hints = get_type_hints(cls)
    arguments = {key: _convert(value, hints[key], where=f"{where}.{key}") for key, value in values.items()}
    missing = [
        name
        for name, f in fields.items()
        if name not in arguments
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise InputError(
            f"{where} lacks {', '.join(missing)}; expected a value for each; add it to the recipe."
        )
    return cls(**arguments)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: the nearest known one, or all of them."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return (
        f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(sorted(known))}; choose one."
    )


def _convert(value: Any, hint: Any, *, where: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        options = [a for a in args if a is not type(None)]
        return None if value is None else _convert(value, options[0], where=where)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise InputError(f"{where} is {value!r}; expected a section; write it as [{where}].")
        return from_mapping(hint, value, where=where)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise InputError(f"{where} is {value!r}; expected a list; put it in [ ].")
        return tuple(_convert(v, args[0], where=f"{where}[{i}]") for i, v in enumerate(value))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise InputError(f"{where} is {value!r}; expected a table; write it as [{where}].")
        return {str(k): _convert(v, args[1], where=f"{where}.{k}") for k, v in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(hint, type) or not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        expected = getattr(hint, "__name__", str(hint))
        raise InputError(f"{where} is {value!r}; expected {expected}; correct the recipe.")
    return value


def to_toml(values: Mapping[str, Any], *, prefix: str = "") -> str:
    """Write nested tables of plain values as TOML, the inverse of `read_toml`; None is left out."""
    lines: list[str] = []
    tables = {key: value for key, value in values.items() if isinstance(value, Mapping)}
    lists = {key: value for key, value in values.items() if _is_list_of_tables(value)}
    for key, value in values.items():
        if key not in tables and key not in lists and value is not None:
            lines.append(f"{_key(key)} = {_scalar(value)}")
    for key, value in tables.items():
        lines.append(f"\n[{prefix}{_key(key)}]\n{to_toml(value, prefix=f'{prefix}{_key(key)}.')}")
    for key, rows in lists.items():
        for row in rows:
            lines.append(f"\n[[{prefix}{_key(key)}]]\n{to_toml(row, prefix=f'{prefix}{_key(key)}.')}")
    return "\n".join(lines)


def _is_list_of_tables(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(v, Mapping) for v in value)


def _key(key: str) -> str:
    return key if key.replace("_", "a").replace("-", "a").isalnum() and key.isascii() else _scalar(key)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_scalar(v) for v in value) + "]"
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(k)} = {_scalar(v)}" for k, v in value.items() if v is not None)
        return f"{{ {inner} }}"
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, str):  # as JSON writes it, but TOML knows no surrogates and wants DEL escaped
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
