"""``hyperclip import``: somebody's CLIP in, a model folder out. Needs the workshop."""

from pathlib import Path
from typing import Annotated

import typer

from hyperclip.cli.output import print_json, printable, readable_size, say, show
from hyperclip.cli.train import WORKSHOP
from hyperclip.errors import MissingExtraError

__all__ = ["import_clip"]


def import_clip(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="open_clip:NAME/TAG, open_clip:NAME with --weights, hf:ORG/NAME, or a local folder of "
            "Hugging "
            "Face or open_clip.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FOLDER", help="The model folder.", show_default=False),
    ],
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Weights for open_clip:NAME: safetensors, or a plain state dict."),
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Pictures to compare model and source on; by default photographs of scikit-image.",
        ),
    ] = None,
    template: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help='Default text around a name: "a photo of a {}." May be repeated.'),
    ] = None,
    licence: Annotated[
        str | None, typer.Option(metavar="TEXT", help="License of the weights, if the source is silent.")
    ] = None,
    commercial_use: Annotated[
        str | None,
        typer.Option(metavar="SENTENCE", help="Whether the weights may be used commercially, in a sentence."),
    ] = None,
    trainable: Annotated[
        bool,
        typer.Option("--trainable", help="Keep the weights too: hyperclip train can then start from them."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of sentences.")
    ] = False,
) -> None:
    """Turn a CLIP that you have into a model folder, once both are seen to answer alike.

    From then on it is a model like any other: hyperclip specialize NAMES... --model FOLDER.
    """
    try:
        from hyperclip.export.import_clip import import_clip as run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in (*WORKSHOP, "onnxscript"):
            raise  # a broken install must not look like a missing extra
        raise MissingExtraError(
            f"Importing needs PyTorch and more ({error.name} is not installed); expected the extra `import`; "
            "run `pip install 'hyperclip[import]'`."
        ) from error
    manifest, found = run(
        source, output, weights=weights, pictures=pictures, templates=tuple(template or ()), licence=licence,
        commercial_use=commercial_use, is_trainable=trainable, on_progress=say,
    )  # fmt: skip
    say(f"License: {printable(manifest.licence)}. Commercial use: {printable(manifest.commercial_use)}")
    if as_json:
        print_json(
            {
                "path": str(output),
                "name": manifest.name,
                "fingerprint": manifest.fingerprint,
                "licence": manifest.licence,
                "commercial_use": manifest.commercial_use,
                "size_bytes": sum(entry.size_bytes for entry in manifest.files.values()),
                "pictures": found.n_pictures,
                "names": found.n_names,
                "largest_difference": {"logits": found.logits, "logits_of_file": found.logits_of_file}
                | {stage.replace(" ", "_"): value for stage, value in found.stages.items()},
            }
        )
        return
    size = readable_size(sum(entry.size_bytes for entry in manifest.files.values()))
    show(
        f"{output} holds the model {manifest.name} ({size}). On {found.n_pictures} pictures and "
        f"{found.n_names} "
        f"names its logits differ from the source's by at most {found.logits:.1e} of their range."
    )
    show(f'Try: hyperclip specialize "cat" "dog" --model {output} -o pets.onnx')
