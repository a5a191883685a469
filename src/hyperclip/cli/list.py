"""``hyperclip list``: the models that can be specialized without downloading anything."""

from typing import TYPE_CHECKING, Annotated

import typer

from hyperclip.cli.output import print_json, print_table, readable_size, say

if TYPE_CHECKING:
    from hyperclip.bundle import Manifest

__all__ = ["list_models"]


def list_models(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of a table.")
    ] = False,
) -> None:
    """List the bundled models."""
    from hyperclip.bundle import read_bundle
    from hyperclip.zoo import find_bundle, names

    manifests = {name: read_bundle(find_bundle(name)).manifest for name in names()}
    if as_json:
        print_json({"models": [_values(name, manifest) for name, manifest in manifests.items()]})
    elif not manifests:
        say("No models are bundled with this installation; give a model folder with --model.")
    else:
        print_table(
            ["model", "version", "image sizes (px)", "size", "license", "commercial use"],
            [
                (
                    name,
                    manifest.version,
                    ", ".join(map(str, manifest.images.sizes_px)),
                    _readable(manifest),
                    manifest.licence,
                    manifest.commercial_use,
                )
                for name, manifest in manifests.items()
            ],
        )


def _values(name: str, manifest: "Manifest") -> dict[str, object]:
    """Return what ``--json`` says about a model."""
    from hyperclip.zoo import find_bundle

    return {
        "name": name,
        "version": manifest.version,
        "image_size_px": manifest.images.size_px,
        "image_sizes_px": list(manifest.images.sizes_px),
        "size_bytes": _size_bytes(manifest),
        "shares": None if manifest.shares is None else manifest.shares.bundle,
        "licence": manifest.licence,
        "commercial_use": manifest.commercial_use,
        "path": str(find_bundle(name)),
    }


def _size_bytes(manifest: "Manifest") -> int:
    """Return the size of all files of a model, without those of another one."""
    return sum(entry.size_bytes for entry in manifest.files.values())


def _readable(manifest: "Manifest") -> str:
    """Return the size, and whose files are needed besides."""
    other = "" if manifest.shares is None else f" + files of {manifest.shares.bundle}"
    return readable_size(_size_bytes(manifest)) + other
