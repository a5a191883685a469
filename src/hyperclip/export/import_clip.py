"""Somebody's CLIP in, a model folder out, once both are seen to answer alike.

``hyperclip import SOURCE -o FOLDER``. A plain CLIP is a bundle that generates no parameters; everything
downstream works on it.
"""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

from hyperclip.bundle.manifest import HeadSpec, Manifest
from hyperclip.bundle.read import Bundle
from hyperclip.bundle.strict import quote
from hyperclip.bundle.write import check_replaceable, write_bundle
from hyperclip.errors import InputError
from hyperclip.export.import_check import Agreement, check_answers
from hyperclip.export.import_graphs import check_sizes, clip_to_onnx
from hyperclip.export.import_pictures import comparison_pictures
from hyperclip.export.import_weights import weights_of
from hyperclip.export.imported import ImportedClip
from hyperclip.models.imported_folder import WEIGHTS
from hyperclip.runtime.specialize import Model
from hyperclip.runtime.texts import check_templates

__all__ = ["SOURCES", "import_clip", "load_source", "write_imported"]

SOURCES = "open_clip:NAME/TAG, open_clip:NAME with --weights FILE, hf:ORG/NAME, or a local folder"


def load_source(source: str, *, weights: Path | None = None) -> ImportedClip:
    """Load what a source names.

    Parameters
    ----------
    source : str
        ``open_clip:NAME``, ``open_clip:NAME/TAG``, ``hf:ORG/NAME``, or a folder of Hugging Face or
        open_clip.
    weights : Path, optional
        For ``open_clip:NAME`` alone.

    Raises
    ------
    InputError
        If there is no such source, or it cannot be imported.
    MissingExtraError
        If its library is not installed.
    """
    kind, colon, rest = source.partition(":")
    if kind == "open_clip" and colon:
        from hyperclip.export.import_open_clip import import_open_clip

        name, _, tag = rest.partition("/")
        return import_open_clip(name, tag=tag or None, weights=weights)
    if weights is not None:
        raise InputError(
            f"--weights was given with {quote(source)}; expected open_clip:NAME; a hub or folder "
            f"brings its own."
        )
    if kind == "hf" and colon:
        from hyperclip.export.import_transformers import import_transformers

        return import_transformers(rest, source=source)
    folder = Path(source)
    if folder.is_dir():
        if (folder / "open_clip_config.json").is_file():
            from hyperclip.export.import_open_clip import import_open_clip_folder

            return import_open_clip_folder(folder)
        from hyperclip.export.import_transformers import import_transformers

        return import_transformers(str(folder), source=folder.name)
    raise InputError(
        f"There is no source {quote(source, 200)}: no folder of that name; expected {SOURCES}; correct it."
    )


def import_clip(
    source: str, out: Path, *, weights: Path | None = None, pictures: Path | None = None,
    templates: tuple[str, ...] = (), licence: str | None = None, commercial_use: str | None = None,
    is_trainable: bool = False, on_progress: Callable[[str], None] = lambda message: None,
) -> tuple[Manifest, Agreement]:  # fmt: skip
    """Import a CLIP as a model folder.

    Parameters
    ----------
    source, weights
        As in `load_source`.
    out : Path
        The model folder; its parent must exist.
    pictures : Path, optional
        Folder of pictures to compare on, see `comparison_pictures`.
    templates : tuple of str
        Default templates of the model; by default the library's usual one.
    licence, commercial_use : str, optional
        Terms, where the source does not say them or says them wrongly.
    is_trainable : bool
        Keep the towers' weights too, so that ``hyperclip train`` can start from them.
    on_progress : callable, optional

    Returns
    -------
    Manifest, Agreement
        What was written, and how far it is from the source.

    Raises
    ------
    InputError, MissingExtraError
        As in `load_source`; or if the folder cannot be written.
    BundleError
        If both do not answer alike; nothing is written then.
    """
    if not out.absolute().parent.is_dir():
        raise InputError(f"{out.parent} is no folder; expected one that exists; create it first.")
    check_replaceable(out)
    on_progress(f"loading {source}")
    clip = load_source(source, weights=weights)
    if templates:
        check_templates(templates)
        clip = dataclasses.replace(clip, text=dataclasses.replace(clip.text, templates=templates))
    if licence or commercial_use:
        card = dataclasses.replace(
            clip.card,
            licence=licence or clip.card.licence,
            commercial_use=commercial_use or clip.card.commercial_use,
        )
        clip = dataclasses.replace(clip, card=card)
    return write_imported(
        clip, out, pictures=pictures, is_trainable=is_trainable, on_progress=on_progress
    )  # fmt: skip


def write_imported(
    clip: ImportedClip, out: Path, *, pictures: Path | None = None, is_trainable: bool = False,
    on_progress: Callable[[str], None] = lambda message: None,
) -> tuple[Manifest, Agreement]:  # fmt: skip
    """Write a loaded CLIP as a model folder, after comparing; see `import_clip`."""
    check_sizes(clip)
    compared, what = comparison_pictures(pictures)
    on_progress("exporting both towers")
    manifest = _manifest(clip)
    files = {**clip_to_onnx(clip), "tokenizer.json": clip.tokenizer_json}
    model = Model(Bundle(folder=out, manifest=manifest, files=files))
    agreement = check_answers(clip, model, compared, on_progress=on_progress)
    files["README.md"] = _readme(clip, agreement, what).encode()
    files["source.json"] = json.dumps(
        {"source": clip.source, **clip.settings}, indent=2, sort_keys=True, ensure_ascii=False
    ).encode()
    if is_trainable:
        files[WEIGHTS] = weights_of(clip)
    on_progress("writing")
    return write_bundle(out, manifest, files), agreement


def _manifest(clip: ImportedClip) -> Manifest:
    """What the folder says of itself."""
    dim = clip.reference.text_vectors(["a"]).shape[1]
    return Manifest(
        name=clip.name,
        version="imported",
        licence=clip.card.licence,
        commercial_use=clip.card.commercial_use,
        training_data=clip.card.training_data,
        origin=clip.card.origin,
        images=clip.images,
        text=clip.text,
        head=HeadSpec(
            kind="linear", dim=dim, text_dim=dim, logit_scale=clip.logit_scale, logit_bias=clip.logit_bias,
            activation=clip.activation, temperature=None,
        ),
    )  # fmt: skip


def _readme(clip: ImportedClip, found: Agreement, what: str) -> str:
    """The card: where it comes from, its terms, how well it agrees with its source, the source's own card."""
    images, text = clip.images, clip.text
    lines = [
        f"# {clip.name}",
        "",
        f"Imported from `{clip.source}` by hyperclip. License: {clip.card.licence}. "
        f"Commercial use: {clip.card.commercial_use}",
        "",
        f"- pictures: {images.size_px} px, {images.resize}, {images.interpolation}, mean "
        f"{list(images.mean)}, "
        f"std {list(images.std)}",
        f"- texts: up to {text.context_length} tokens, padded to the {text.padding}; template "
        f"`{text.templates[0]}`",
        f"- logits: {clip.logit_scale:.6g} times cosine plus {clip.logit_bias:.6g}, {clip.activation}; "
        "temperature not fitted",
        "",
        f"Compared with the source's own pipeline on {found.n_pictures} {what} and {found.n_names} names: "
        f"logits differ by at most {found.logits:.1e} of a row's range ({found.logits_of_file:.1e} when the "
        "classifier file resizes the pictures itself), "
        + ", ".join(f"{stage} by {value:.1e}" for stage, value in found.stages.items())
        + ".",
        "",
    ]
    if clip.card.text:
        lines += ["## The source's own card", "", clip.card.text]
    return "\n".join(lines)
