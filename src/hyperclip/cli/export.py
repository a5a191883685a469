"""``hyperclip export``: a finished run in, a model folder out. Needs the workshop."""

from pathlib import Path
from typing import Annotated

import typer

from hyperclip.cli.output import show
from hyperclip.cli.train import WORKSHOP
from hyperclip.errors import MissingExtraError

__all__ = ["export"]


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.", show_default=False)],
    about: Annotated[
        Path,
        typer.Option(
            "--about",
            metavar="FILE.toml",
            help="Name, licence, data, picture sizes, and further files of the model.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FOLDER", help="The model folder.", show_default=False),
    ],
) -> None:
    """Turn a finished training into a model folder, once PyTorch and ONNX are seen to agree."""
    try:
        from hyperclip.export.bundle import export_described
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in (*WORKSHOP, "onnxscript"):
            raise  # a broken install must not look like a missing extra
        raise MissingExtraError(
            f"Exporting needs PyTorch and more ({error.name} is not installed); expected the workshop; "
            "run `pip install 'hyperclip[train]'`."
        ) from error
    manifest = export_described(run, about, output, on_progress=show)
    show(f"{output} holds the model {manifest.name} {manifest.version}.")
