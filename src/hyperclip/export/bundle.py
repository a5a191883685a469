"""From a finished run to a model folder, after proof that both compute the same.

``hyperclip export RUN --about ABOUT.toml -o FOLDER``. Nothing is written when PyTorch and ONNX differ.
"""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from hyperclip.bundle.manifest import GeneratedParameter, HeadSpec, ImageSpec, Manifest
from hyperclip.bundle.write import write_bundle
from hyperclip.errors import BundleError, InputError
from hyperclip.export.onnx_encoder import encoder_to_onnx
from hyperclip.export.onnx_specializer import specializer_to_onnx
from hyperclip.models import HyperCLIP, HyperCLIPConfig, mean_by_class, mix_weights
from hyperclip.runtime.session import Session
from hyperclip.runtime.tokenizer import TextTokenizer
from hyperclip.train.class_texts import load_text_encoder, text_spec
from hyperclip.train.hyperclip_batches import IMAGE_MEAN, IMAGE_STD
from hyperclip.train.recipe import from_mapping, read_toml

__all__ = ["About", "check_parity", "export_bundle", "export_described", "load_run"]

TOLERANCE = 1e-4
_PARITY_NAMES = ("cat", "cup of coffee", "a kind of very old rocket", "dog")


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
    run: Path, about: Path, out: Path, *, on_progress: Callable[[str], None] = lambda message: None
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
    images = ImageSpec(
        size_px=said.size_px, sizes_px=said.sizes_px, resize=said.resize, crop_ratio=said.crop_ratio,
        interpolation=said.interpolation, mean=IMAGE_MEAN, std=IMAGE_STD,
    )  # fmt: skip
    fields = {
        key: getattr(said, key)
        for key in ("name", "version", "licence", "commercial_use", "origin", "training_data")
    }
    return export_bundle(
        run, out, manifest_fields=fields, images=images, extra_files=extra,
        temperature=said.temperature, trained_share=said.trained_share, on_progress=on_progress,
    )  # fmt: skip


def load_run(run: Path, *, trained_share: float = 1.0) -> tuple[HyperCLIP, TextTokenizer]:
    """Load the model that a finished run of the `hyperclip` objective wrote.

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
        text_run = Path(read_toml(run / "recipe.toml")["hyperclip"]["text_run"])
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
    model.load_state_dict(state)
    if start is not None:
        mix_weights(model.image_encoder, start, share=trained_share)
    return model.eval(), tokenizer


def check_parity(
    model: HyperCLIP, tokenizer: TextTokenizer, encoder: bytes, specializer: bytes, *,
    sizes_px: tuple[int, ...], tolerance: float = TOLERANCE,
) -> dict[str, float]:  # fmt: skip
    """Compare PyTorch with both ONNX files on random pictures and a few names.

    Returns
    -------
    dict
        Largest absolute difference of each output.

    Raises
    ------
    BundleError
        If one exceeds the tolerance times the largest absolute value of that output (at least 1).
    """
    upper = Session(specializer, where="specializer.onnx")
    lower = Session(encoder, where="encoder.onnx")
    token_ids, mask = tokenizer.encode(_PARITY_NAMES)
    index = np.arange(len(_PARITY_NAMES))
    given = {"token_ids": token_ids, "mask": mask, "class_index": index}
    head, bias, generated = upper.run(["head", "bias", "generated"], given)
    pairs: dict[str, tuple[Any, Any]] = {}
    with torch.no_grad():
        assert model.text_encoder is not None
        rows = model.text_encoder(torch.from_numpy(token_ids), torch.from_numpy(mask))
        class_emb = mean_by_class(rows, torch.from_numpy(index), len(index))
        wanted = model.make_head(class_emb)
        delta = model.generate(class_emb[None])
        base = model.image_encoder.base_parameters()
        final = base if delta is None else model.image_encoder.final_parameters(delta)[0]
        pairs["head"] = (head, wanted.weight_CD)
        pairs["bias"] = (bias, wanted.bias_C)
        pairs["generated"] = (generated, final)
        for size in sizes_px:
            images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(size)) * 2 - 1
            (found,) = lower.run(["embedding"], {"images": images.numpy()})
            pairs[f"embedding_{size}_px"] = (found, model.image_encoder(images))
    differences = {}
    for name, (found, expected) in pairs.items():
        expected = expected.numpy()
        differences[name] = float(np.abs(found - expected).max(initial=0.0))
        if differences[name] > tolerance * max(1.0, float(np.abs(expected).max(initial=0.0))):
            raise BundleError(
                f"PyTorch and ONNX differ in {name} by {differences[name]:.2g}; expected at most "
                f"{tolerance:g} of its range; nothing was written; report the encoder's name."
            )
    return differences


def export_bundle(
    run: Path, out: Path, *, manifest_fields: dict[str, Any], images: ImageSpec,
    extra_files: dict[str, bytes], temperature: float | None = None, trained_share: float = 1.0,
    on_progress: Callable[[str], None] = lambda message: None,
) -> Manifest:  # fmt: skip
    """Write a model folder from a finished run.

    Parameters
    ----------
    run : Path
        Run folder of the `hyperclip` objective.
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
    on_progress : callable, optional

    Returns
    -------
    Manifest

    Raises
    ------
    BundleError
        If PyTorch and ONNX differ in float32, or if rounding to float16 changes more than 1 % of the
        range of an output.
    """
    model, tokenizer = load_run(run, trained_share=trained_share)
    sizes = images.sizes_px
    tested = tuple(sorted({sizes[0], sizes[len(sizes) // 2], sizes[-1]}))
    on_progress("exporting in float32")
    exact = encoder_to_onnx(model.image_encoder, half=False), specializer_to_onnx(model, half=False)
    differences = check_parity(model, tokenizer, *exact, sizes_px=tested)
    on_progress("PyTorch and ONNX agree: " + ", ".join(f"{k} {v:.1e}" for k, v in differences.items()))
    encoder, specializer = encoder_to_onnx(model.image_encoder), specializer_to_onnx(model)
    rounded = check_parity(model, tokenizer, encoder, specializer, sizes_px=tested, tolerance=1e-2)
    on_progress("rounded to float16: " + ", ".join(f"{k} {v:.1e}" for k, v in rounded.items()))
    head = model.config.head
    manifest = Manifest(
        **manifest_fields,
        images=images,
        text=text_spec(model.text_encoder.config.context_length),  # type: ignore[union-attr,arg-type]
        head=HeadSpec(
            kind=head.kind, dim=head.dim, text_dim=head.text_dim, logit_scale=1.0, logit_bias=0.0,
            activation="softmax", temperature=temperature,
        ),
        generated=tuple(
            GeneratedParameter(name=name, size=size, offset=offset)
            for name, size, offset in model.image_encoder.layout
        ),
    )  # fmt: skip
    files = {
        "tokenizer.json": _tokenizer_bytes(run),
        "specializer.onnx": specializer,
        "encoder.onnx": encoder,
        **extra_files,
    }
    return write_bundle(out, manifest, files)


def _tokenizer_bytes(run: Path) -> bytes:
    text_run = Path(read_toml(run / "recipe.toml")["hyperclip"]["text_run"])
    return (text_run / "tokenizer.json").read_bytes()
