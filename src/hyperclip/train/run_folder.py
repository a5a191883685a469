"""The folder of a run: where it may lie, and how it explains itself."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from hyperclip.bundle.atomic import write_file
from hyperclip.errors import InputError
from hyperclip.train.recipe import RunConfig, to_toml
from hyperclip.version import __version__

__all__ = ["describe_run", "resolved_recipe", "run_folder"]


def run_folder(recipe: Path, out: Path | None) -> Path:
    """The folder that a run is to have, checked before any work is done; nothing is made yet.

    Parameters
    ----------
    recipe : Path
        Names the folder in ``runs/`` where none is given.
    out : Path or None
        Used as given.

    Raises
    ------
    InputError
        If its parent is missing or it is no folder.
    """
    folder = Path("runs") / recipe.stem if out is None else out
    if out is not None and not folder.parent.is_dir():
        raise InputError(
            f"There is no folder {str(folder.parent)!r}; expected an existing one for the run "
            f"{folder.name!r}; create it first or choose another path."
        )
    if folder.exists() and not folder.is_dir():
        raise InputError(
            f"{str(folder)!r} is a file; expected a folder for the run, or a new name; choose another path."
        )
    return folder


def resolved_recipe(sections: Mapping[str, Any], objective_config: Any) -> str:
    """The recipe with every default written out, as TOML; sections are dataclasses, ``run`` among them."""
    tables = {name: dataclasses.asdict(section) for name, section in sections.items()}
    tables[sections["run"].objective] = dataclasses.asdict(objective_config)
    return to_toml(tables).strip() + "\n"


def describe_run(
    folder: Path, run: RunConfig, *, recipe: str, n_parameters: int, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Write ``recipe.toml`` and ``README.md``.

    Parameters
    ----------
    folder : Path
    run : RunConfig
    recipe : str
        From `resolved_recipe`.
    n_parameters : int
        Of the model.
    rows : sequence of mapping
        What was measured so far; the latest value of each figure is shown.
    """
    latest: dict[str, tuple[int, float]] = {}
    for row in rows:
        latest |= {key: (row["step"], value) for key, value in row.items() if key != "step"}
    table = "".join(f"| {key} | {value:.4g} | {step:,} |\n" for key, (step, value) in sorted(latest.items()))
    text = (
        f"# Run `{folder.name}`\n\n{run.description or 'No description was given.'}\n\n"
        f"Objective `{run.objective}`, {run.n_steps:,} steps, seed {run.seed}, {run.precision}, "
        f"{n_parameters:,} parameters. hyperclip {__version__}, PyTorch {torch.__version__}.\n\n"
        "- `recipe.toml`: the recipe as it was resolved; `hyperclip train recipe.toml -o THIS-FOLDER` goes "
        "on (paths in it count from the folder where the training was started)\n"
        "- `metrics.jsonl`, `curves.png`, `tensorboard/`: what was measured on the way\n"
        "- `checkpoint.pt`: weights, optimizer and step (safe to load with `weights_only=True`)\n"
        "- `weights.safetensors`: what the run gave, once it is finished\n"
    )
    if latest:
        text += f"\n## Latest figures\n\n| figure | value | step |\n|---|---|---|\n{table}"
    write_file(folder / "recipe.toml", recipe.encode())
    write_file(folder / "README.md", text.encode())
