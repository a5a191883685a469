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
    shares: Annotated[
        str | None,
        typer.Option(
            "--shares",
            metavar="MODEL",
            help="Bundled model or model folder whose text side and head the new one takes over.",
            show_default=False,
        ),
    ] = None,
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
    from hyperclip.zoo import find_bundle

    other = None if shares is None else find_bundle(shares)
    manifest = export_described(run, about, output, shares=other, on_progress=show)
    show(f"{output} holds the model {manifest.name} {manifest.version}.")
    if manifest.shares is not None:
        show(
            f"It shares {', '.join(manifest.shares.files)} of the model {manifest.shares.bundle}: "
            "keep both folders side by side."
        )
