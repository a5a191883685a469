"""``hyperclip train``: a recipe in, a run folder out. Needs the workshop."""

from pathlib import Path
from typing import Annotated

import typer

from hyperclip.cli.output import show
from hyperclip.cli.training_display import TrainingDisplay
from hyperclip.errors import MissingExtraError

__all__ = ["train"]

# What `pip install 'hyperclip[train]'` adds and a training imports.
WORKSHOP = ("accelerate", "pyarrow", "safetensors", "timm", "torch", "torchvision", "transformers")


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.toml", help="What to train.", show_default=False)],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="SECTION.KEY=VALUE", help="Change a value of the recipe. May be repeated."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="The run folder; by default runs/ and the recipe's name."
        ),
    ] = None,
) -> None:
    """Train a model, or go on with a training that was interrupted.

    The run folder holds the resolved recipe, logs, curves and checkpoints.
    """
    try:
        from hyperclip.train import engine

        with TrainingDisplay() as display:
            folder = engine.fit(recipe, list(overrides or []), output, on_step=display)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in WORKSHOP:
            raise  # a broken install must not look like a missing extra
        raise MissingExtraError(
            f"Training needs PyTorch and more ({error.name} is not installed); expected the workshop; "
            "run `pip install 'hyperclip[train]'`."
        ) from error
    show(f"The run is in {folder}.")
