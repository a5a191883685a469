"""From a finished run to a model folder, after proof that both compute the same.

``hyperclip export RUN --about ABOUT.toml -o FOLDER``. Nothing is written when PyTorch and ONNX differ.
With ``--shares MODEL`` the text side is that of another model folder, and only the image encoder is written
(and its hypernetwork, if it has one).
"""

import copy
import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from hyperclip.bundle.manifest import GeneratedParameter, HeadSpec, ImageSpec, Manifest
from hyperclip.bundle.write import write_bundle
from hyperclip.errors import InputError
from hyperclip.export.onnx_encoder import encoder_to_onnx
from hyperclip.export.onnx_hypernetwork import hypernetwork_to_onnx
from hyperclip.export.onnx_specializer import specializer_to_onnx
from hyperclip.export.parity import check_parity
from hyperclip.export.text_side import TextSide, shared_text_side
from hyperclip.models import HyperCLIP, HyperCLIPConfig, mix_weights
from hyperclip.models.channel_removal import shrink_to
from hyperclip.models.imported_folder import ImportedFolder, is_imported
from hyperclip.models.imported_image import imported_folder_of
from hyperclip.runtime.tokenizer import TextTokenizer
from hyperclip.train.class_texts import load_text_encoder
from hyperclip.train.hyperclip_batches import IMAGE_MEAN, IMAGE_STD
from hyperclip.train.recipe import from_mapping, objective_section, read_toml

__all__ = ["About", "export_bundle", "export_described", "load_run"]


@dataclass(frozen=True, kw_only=True)
class About:
    """What an ``about.toml`` says of a model beside its weights."""

    name: str
    version: str
    licence: str
    commercial_use: str
    origin: str
    training_data: tuple[str, ...] = ()
    size_px: int = 224
    """This and the four below are those of the imported model, where a run started from one."""
    sizes_px: tuple[int, ...] = (96, 128, 160, 192, 224)
    resize: str = "crop"
    crop_ratio: float = 1.0
    interpolation: str = "bicubic"
    temperature: float | None = None
    trained_share: float = 1.0
    """Share of the trained weights of the image encoder; the rest are those it was started from."""
    files: dict[str, str] = field(default_factory=dict)
    """Further files of the folder: name to path, from the folder of ``about.toml``."""


def export_described(
    run: Path,
    about: Path,
    out: Path,
    *,
    shares: Path | None = None,
    on_progress: Callable[[str], None] = lambda message: None,
) -> Manifest:
    """Export a run with what a TOML file says of it; see `export_bundle`."""
    said = from_mapping(About, read_toml(about), where=about.name)
    try:
        extra = {name: (about.parent / path).read_bytes() for name, path in said.files.items()}
    except OSError as error:
        raise InputError(
            f"{about} names {error.filename}, which cannot be read ({error.strerror}); correct its files."
        ) from error
    extra["recipe.toml"] = (run / "recipe.toml").read_bytes()
    imported = _imported_images(run)
    images = ImageSpec(
        size_px=said.size_px, sizes_px=said.sizes_px, resize=said.resize, crop_ratio=said.crop_ratio,
        interpolation=said.interpolation, mean=IMAGE_MEAN, std=IMAGE_STD,
    ) if imported is None else dataclasses.replace(imported, mean=IMAGE_MEAN, std=IMAGE_STD)  # fmt: skip
    fields = {
        key: getattr(said, key)
        for key in ("name", "version", "licence", "commercial_use", "origin", "training_data")
    }
    return export_bundle(
        run, out, manifest_fields=fields, images=images, extra_files=extra,
        temperature=said.temperature, trained_share=said.trained_share, shares=shares,
        on_progress=on_progress,
    )  # fmt: skip


def load_run(run: Path, *, trained_share: float = 1.0) -> tuple[HyperCLIP, TextTokenizer]:
    """Load the model that a finished run of the `hyperclip` or the `head` objective wrote.

    Parameters
    ----------
    run : Path
        The run folder.
    trained_share : float
        Share of the trained weights of the image encoder, see `hyperclip.models.mix_weights`; the rest
        are those that the recipe's ``image_encoder.init`` names.

    Raises
    ------
    InputError
        If the run is not finished, or its files do not fit one another.
    """
    try:
        about: dict[str, Any] = json.loads((run / "model.json").read_text(encoding="utf-8"))
        state = load_file(run / "weights.safetensors")
        text_run = Path(objective_section(run)["text_run"])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{run} holds no finished run ({type(error).__name__}); expected recipe.toml, model.json and "
            "weights.safetensors; finish the training first."
        ) from error
    values = about["model"]
    if trained_share == 1.0:
        values["image_encoder"]["init"] = "none"
    config = from_mapping(HyperCLIPConfig, values, where="model")
    encoder, tokenizer = load_text_encoder(text_run)
    model = HyperCLIP(config, text_encoder=encoder)
    start = None if trained_share == 1.0 else copy.deepcopy(model.image_encoder)
    shrink_to(model, state)  # where channels were removed
    model.load_state_dict(state)
    if start is not None:
        mix_weights(model.image_encoder, start, share=trained_share)
    return model.eval(), tokenizer


def export_bundle(
    run: Path, out: Path, *, manifest_fields: dict[str, Any], images: ImageSpec,
    extra_files: dict[str, bytes], temperature: float | None = None, trained_share: float = 1.0,
    shares: Path | None = None, on_progress: Callable[[str], None] = lambda message: None,
) -> Manifest:  # fmt: skip
    """Write a model folder from a finished run.

    Parameters
    ----------
    run : Path
        Run folder of the `hyperclip` or the `head` objective.
    out : Path
        The model folder.
    manifest_fields : dict
        name, version, licence, commercial_use, training_data and origin.
    images : ImageSpec
        Preprocessing and sizes; parity is checked at the smallest, the middle and the largest size.
    extra_files : dict
        Further files by name: glossary, licences, card.
    temperature : float, optional
        Fitted on held-out training pictures.
    trained_share : float
        As in `load_run`.
    shares : Path, optional
        Model folder whose text side and head are taken instead of the run's. The encoder must give
        embeddings as that head reads them.
    on_progress : callable, optional

    Returns
    -------
    Manifest

    Raises
    ------
    BundleError
        If PyTorch and ONNX differ in float32, or if rounding to float16 changes more than 1 % of the
        range of an output.
    InputError
        If the shared model cannot be shared, or its head reads embeddings of another width.
    """
    model, tokenizer = load_run(run, trained_share=trained_share)
    if shares is None:
        side = _own_text_side(run, model, tokenizer, extra_files)
    else:
        side = shared_text_side(shares, model.config, own_files=extra_files)
    sizes = images.sizes_px
    tested = tuple(sorted({sizes[0], sizes[len(sizes) // 2], sizes[-1]}))
    on_progress("exporting in float32")
    exact = _weights(model, is_shared=side.shares is not None, half=False)
    differences = check_parity(model, tokenizer, exact, sizes_px=tested)
    on_progress("PyTorch and ONNX agree: " + ", ".join(f"{k} {v:.1e}" for k, v in differences.items()))
    weights = _weights(model, is_shared=side.shares is not None, half=True)
    rounded = check_parity(model, tokenizer, weights, sizes_px=tested, tolerance=1e-2)
    on_progress("rounded to float16: " + ", ".join(f"{k} {v:.1e}" for k, v in rounded.items()))
    generates = "specializer.onnx" in weights or "hypernetwork.onnx" in weights
    manifest = Manifest(
        **manifest_fields,
        images=images,
        text=side.text,
        head=dataclasses.replace(side.head, temperature=temperature),
        generated=tuple(
            GeneratedParameter(name=name, size=size, offset=offset)
            for name, size, offset in (model.image_encoder.layout if generates else ())
        ),
        shares=side.shares,
    )
    return write_bundle(out, manifest, {**side.files, **weights})


def _weights(model: HyperCLIP, *, is_shared: bool, half: bool) -> dict[str, bytes]:
    """Return the ONNX files of a model, without its text side where that is shared."""
    files = {
        "encoder.onnx": encoder_to_onnx(
            model.image_encoder, half=half, has_unit_length=not model.config.head.is_mixture
        )
    }
    if not is_shared:
        files["specializer.onnx"] = specializer_to_onnx(model, half=half)
    elif model.hypernetwork is not None:
        files["hypernetwork.onnx"] = hypernetwork_to_onnx(model, half=half)
    return files


def _imported_images(run: Path) -> ImageSpec | None:
    """How the imported model that a run started from treats pictures, or None where there is none."""
    encoder = objective_section(run).get("model", {}).get("image_encoder", {})
    folder = imported_folder_of(str(encoder.get("name", "")))
    return None if folder is None else ImportedFolder.open(folder).manifest.images


def _own_text_side(
    run: Path, model: HyperCLIP, tokenizer: TextTokenizer, extra_files: dict[str, bytes]
) -> TextSide:
    """Return the text side that the run trained, or took from an imported model."""
    head = model.config.head
    text_run = Path(objective_section(run)["text_run"])
    imported = ImportedFolder.open(text_run).manifest.head if is_imported(text_run) else None
    return TextSide(
        text=tokenizer.spec,
        head=HeadSpec(
            kind=head.kind, dim=head.dim, text_dim=head.text_dim, logit_scale=1.0, logit_bias=0.0,
            activation="softmax" if imported is None else imported.activation, temperature=None,
        ),
        files={"tokenizer.json": (text_run / "tokenizer.json").read_bytes(), **extra_files},
    )  # fmt: skip
