"""A training run as one TOML file, read into frozen dataclasses.

Unknown keys are refused with the nearest known one; ``--set section.key=value`` overrides; the
resolved recipe is written into the run folder, so a folder explains itself.
"""

import dataclasses
import difflib
import json
import tomllib
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from hyperclip.errors import InputError

__all__ = ["OptimizerConfig", "RunConfig", "apply_overrides", "from_mapping", "read_toml", "to_toml"]

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
        if self.n_steps < 1:
            raise InputError(f"run.n_steps is {self.n_steps}; expected at least 1; raise it.")
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
        if self.peak_lr <= 0:
            raise InputError(f"optimizer.peak_lr is {self.peak_lr}; expected a positive number; try 1e-3.")


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
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"The recipe {path} is not valid TOML ({error}); correct that place.") from error


def apply_overrides(values: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Apply ``section.key=value`` strings; values are TOML, or plain words taken as strings."""
    result: dict[str, Any] = json.loads(json.dumps(values))
    for override in overrides:
        path, separator, text = override.partition("=")
        keys = path.strip().split(".")
        if not separator or not all(keys):
            raise InputError(f"--set {override!r} is not understood; expected section.key=value; rewrite it.")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text.strip()
        place = result
        for key in keys[:-1]:
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                raise InputError(f"--set {override!r}: {key!r} is not a section; check the key.")
        place[keys[-1]] = value
    return result


def from_mapping(cls: type[_T], values: Mapping[str, Any], *, where: str) -> _T:
    """Build a frozen dataclass from a TOML table.

    Raises
    ------
    InputError
        For an unknown key (with the nearest known one), a missing key, or a value of another kind.
    """
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(sorted(fields))}."
            raise InputError(f"{where}.{key} is not a key of a recipe; {hint}")
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
    """Write nested tables of plain values as TOML (the inverse of `read_toml`)."""
    lines: list[str] = []
    tables = {k: v for k, v in values.items() if isinstance(v, Mapping)}
    lists = {
        k: v for k, v in values.items() if isinstance(v, (list, tuple)) and v and isinstance(v[0], Mapping)
    }
    for key, value in values.items():
        if key not in tables and key not in lists and value is not None:
            lines.append(f"{_key(key)} = {_scalar(value)}")
    for key, value in tables.items():
        lines.append(f"\n[{prefix}{_key(key)}]\n{to_toml(value, prefix=f'{prefix}{_key(key)}.')}")
    for key, rows in lists.items():
        for row in rows:
            lines.append(f"\n[[{prefix}{_key(key)}]]\n{to_toml(row, prefix=f'{prefix}{_key(key)}.')}")
    return "\n".join(lines)


def _key(key: str) -> str:
    return key if key.replace("_", "a").isalnum() and key.isascii() else json.dumps(key)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_scalar(v) for v in value) + "]"
    return json.dumps(value) if isinstance(value, str) else repr(value)
