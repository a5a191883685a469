"""``hyperclip inspect``: what a classifier file or a model says about itself."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyperclip.cli.output import print_json, print_table, readable_size, show

if TYPE_CHECKING:
    from hyperclip.bundle import Bundle, HeadSpec, ImageSpec
    from hyperclip.runtime.metadata import HeadInfo, Metadata

__all__ = ["inspect"]


def inspect(
    target: Annotated[
        str,
        typer.Argument(metavar="FILE_OR_MODEL", help="A classifier file, a model folder or a model's name."),
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of a table.")
    ] = False,
) -> None:
    """Show what a classifier file or a model says about itself, after verifying its content."""
    from hyperclip.zoo import names

    path = Path(target)
    if target not in names() and (path.suffix == ".onnx" or path.is_file()):
        _inspect_classifier(path, as_json=as_json)
    else:
        _inspect_model(target, as_json=as_json)


def _inspect_classifier(path: Path, *, as_json: bool) -> None:
    """Show a classifier file."""
    from hyperclip.runtime.classifier import Classifier

    classifier = Classifier.load(path)
    metadata = classifier.metadata
    size_bytes = len(classifier.to_bytes())
    if as_json:
        print_json({"kind": "classifier", "path": str(path), "size_bytes": size_bytes, **_values(metadata)})
        return
    model, licence = metadata.model, metadata.licence
    _print_facts(
        [
            ("file", f"{path} ({readable_size(size_bytes)})"),
            ("classes", str(len(metadata.class_names))),
            *_picture_facts(metadata.images),
            *_answer_facts(metadata.head, metadata.temperature),
            ("threshold", "none fitted" if metadata.threshold is None else f"{metadata.threshold:g}"),
            ("templates", ", ".join(f'"{template}"' for template in metadata.templates)),
            ("made from", f"{model.name} {model.version} ({model.fingerprint})"),
            *_terms(licence.licence, licence.commercial_use, licence.training_data, licence.origin),
            ("producer", metadata.producer),
            ("fingerprint", str(metadata.fingerprint)),
        ]
    )
    show()
    print_table(
        ["name", "meaning", "source", "WordNet", "other phrasings"],
        [
            (name, meaning.text or "-", meaning.source, meaning.wnid or "-", ", ".join(phrasings) or "-")
            for name, meaning, phrasings in zip(
                metadata.class_names, metadata.meanings, metadata.phrasings, strict=True
            )
        ],
    )


def _values(metadata: "Metadata") -> dict[str, Any]:
    """Return the metadata as JSON values, the classes together."""
    values: dict[str, Any] = metadata.to_values()
    names, meanings, phrasings = (values.pop(key) for key in ("class_names", "meanings", "phrasings"))
    classes = [
        {
            "name": name,
            "meaning": meaning["text"],
            "wnid": meaning["wnid"],
            "source": meaning["source"],
            "phrasings": words,
        }
        for name, meaning, words in zip(names, meanings, phrasings, strict=True)
    ]
    return {"classes": classes, **values, "fingerprint": metadata.fingerprint}


def _inspect_model(target: str, *, as_json: bool) -> None:
    """Show a model folder."""
    from hyperclip.bundle import read_bundle
    from hyperclip.zoo import find_bundle

    folder = find_bundle(target)
    bundle = read_bundle(folder)
    manifest = bundle.manifest
    size_bytes = sum(entry.size_bytes for entry in manifest.files.values())
    if as_json:
        values = json.loads(manifest.to_json())
        del values["generated"]  # the layout of the parameters, of no use to readers
        print_json(
            {
                "kind": "model",
                "path": str(folder),
                "size_bytes": size_bytes,
                "n_generated": manifest.n_generated,
                "shared_folder": None if bundle.shared_folder is None else str(bundle.shared_folder),
                **values,
            }
        )
        return
    _print_facts(
        [
            ("model", f"{manifest.name} {manifest.version}"),
            ("folder", f"{folder} ({readable_size(size_bytes)})"),
            *_shared_facts(bundle),
            *_picture_facts(manifest.images),
            *_answer_facts(manifest.head, manifest.head.temperature),
            ("generated", f"{manifest.n_generated} parameters of the image encoder depend on the names"),
            ("templates", ", ".join(f'"{template}"' for template in manifest.text.templates)),
            *_terms(manifest.licence, manifest.commercial_use, manifest.training_data, manifest.origin),
            ("fingerprint", manifest.fingerprint),
        ]
    )
    show()
    rows = [(name, readable_size(entry.size_bytes)) for name, entry in manifest.files.items()]
    if manifest.shares is None:
        print_table(["file", "size"], rows)
        return
    other = manifest.shares.bundle
    own = [(*row, manifest.name) for row in rows]
    shared = [(name, readable_size(entry.size_bytes), other) for name, entry in manifest.shares.files.items()]
    print_table(["file", "size", "of"], [*own, *shared])


def _shared_facts(bundle: "Bundle") -> list[tuple[str, str]]:
    """Say from where a model takes files that are not its own."""
    shares = bundle.manifest.shares
    if shares is None:
        return []
    size = readable_size(sum(entry.size_bytes for entry in shares.files.values()))
    return [("shares", f"files of {shares.bundle} in {bundle.shared_folder} ({size})")]


def _picture_facts(images: "ImageSpec") -> list[tuple[str, str]]:
    """Say what is done to a picture."""
    sizes = ", ".join(map(str, images.sizes_px))
    shape = "middle square" if images.resize == "crop" else "whole picture squeezed into a square"
    return [
        ("image size", f"{images.size_px} px" + (f" (of {sizes})" if len(images.sizes_px) > 1 else "")),
        ("pictures", f"{shape}, {images.interpolation}"),
    ]


def _answer_facts(head: "HeadInfo | HeadSpec", temperature: float | None) -> list[tuple[str, str]]:
    """Say how answers are made."""
    fitted = "none fitted" if temperature is None else f"temperature {temperature:g}"
    return [("head", f"{head.kind}, {head.dim} numbers, {head.activation}"), ("calibration", fitted)]


def _terms(
    licence: str, commercial_use: str, training_data: tuple[str, ...], origin: str
) -> list[tuple[str, str]]:
    """Say on which terms the weights may be used."""
    return [
        ("license", licence),
        ("commercial use", commercial_use),
        ("trained on", "; ".join(training_data) or "nothing stated"),
        ("origin", origin),
    ]


def _print_facts(facts: list[tuple[str, str]]) -> None:
    """Print one fact a line."""
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        show(f"{name.ljust(width)}  {value}")
