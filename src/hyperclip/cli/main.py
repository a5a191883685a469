"""The program ``hyperclip``: the table of its commands.

Nothing heavy is imported before a command runs, so that ``hyperclip --help`` is instant.
"""

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from hyperclip.cli.exits import INTERRUPTED, ends_in_a_sentence
from hyperclip.cli.output import prepare_streams, say

__all__ = ["build_app", "main"]


def build_app() -> typer.Typer:
    """Return the application with all its commands."""
    from hyperclip.cli.adapt import adapt
    from hyperclip.cli.compress import compress
    from hyperclip.cli.evaluate import evaluate
    from hyperclip.cli.explain import explain
    from hyperclip.cli.export import export
    from hyperclip.cli.import_clip import import_clip
    from hyperclip.cli.inspect import inspect
    from hyperclip.cli.list import list_models
    from hyperclip.cli.predict import predict
    from hyperclip.cli.specialize import specialize
    from hyperclip.cli.train import train

    commands: dict[str, Callable[..., None]] = {
        "specialize": specialize,
        "predict": predict,
        "evaluate": evaluate,
        "adapt": adapt,
        "explain": explain,
        "compress": compress,
        "inspect": inspect,
        "list": list_models,
        "train": train,
        "export": export,
        "import": import_clip,
    }
    app = typer.Typer(
        name="hyperclip",
        help="Class names in, one small ONNX image classifier out: no images, no training, no GPU.",
        epilog='Start: hyperclip specialize "cat" "dog" -o pets.onnx && hyperclip predict pets.onnx photos/',
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,  # plain help needs no rich: three times as fast
        pretty_exceptions_enable=False,
    )

    def show_version(wanted: bool) -> None:
        if wanted:
            from hyperclip.version import __version__

            typer.echo(f"hyperclip {__version__}")
            raise typer.Exit

    @app.callback()
    def root(
        version: Annotated[
            bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version.")
        ] = False,
    ) -> None:
        """Class names in, one small ONNX image classifier out: no images, no training, no GPU."""

    for name, command in commands.items():
        app.command(name)(ends_in_a_sentence(command))
    return app


def main() -> None:
    """Run the command line and exit."""
    prepare_streams()
    try:
        build_app()(prog_name="hyperclip")
    except KeyboardInterrupt:  # before or after a command ran
        say("Interrupted.")
        sys.exit(INTERRUPTED)
