"""CLIPs of Hugging Face transformers: CLIP, SigLIP and SigLIP 2, from the hub or a local folder.

Weights are read from safetensors alone, and code of a repository is never run.

Legend: n texts, T tokens, W width of a tower, E width of the shared space.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from hyperclip.bundle.manifest import ImageSpec
from hyperclip.errors import InputError, MissingExtraError
from hyperclip.export.import_licences import card_of_readme
from hyperclip.export.import_tokenizers import hugging_face_tokenizer, text_spec_of
from hyperclip.export.imported import FloatArray, ImportedClip, IntArray, Reference, as_rgb, slug
from hyperclip.models.quiet_library import quiet_library
from hyperclip.models.transformers_towers import image_tower_of, text_tower_of

__all__ = ["import_transformers"]

TEMPLATES = {"clip": "a photo of a {}.", "siglip": "This is a photo of {}."}
INTERPOLATIONS = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers


def import_transformers(folder_or_name: str, *, source: str) -> ImportedClip:
    """Load a CLIP of transformers with everything that changes an answer.

    Parameters
    ----------
    folder_or_name : str
        A local folder, or ``ORG/NAME`` on the hub.
    source : str
        What to call it.

    Raises
    ------
    InputError
        If it cannot be loaded, is of another family, or lacks its tokenizer or weights.
    MissingExtraError
        If transformers is not installed.
    """
    transformers = _library()
    folder = Path(folder_or_name)
    if folder.is_dir():
        _check_folder(folder)
    config = _loaded(transformers.AutoConfig, folder_or_name, "configuration")
    kind = config.model_type
    if kind == "siglip2":
        raise InputError(
            f"{source} is a SigLIP 2 that looks at pictures in their own proportions (NaFlex); "
            f"expected one of "
            "a fixed square, as a classifier file has it; import the fixed-resolution model of the family."
        )
    if kind not in TEMPLATES:
        raise InputError(
            f"{source} is a {kind!r} model; expected one of the families {', '.join(TEMPLATES)}; "
            f"import another "
            "model."
        )
    classes = {"clip": transformers.CLIPModel, "siglip": transformers.SiglipModel}
    # Attention written out: the same numbers, and a graph that every runtime reads.
    model = _loaded(
        classes[kind], folder_or_name, "weights", use_safetensors=True, attn_implementation="eager",
        dtype=torch.float32,
    )  # fmt: skip
    model = model.eval().requires_grad_(False)
    tokenizer = _loaded(transformers.AutoTokenizer, folder_or_name, "tokenizer")
    processor = _loaded(transformers.AutoImageProcessor, folder_or_name, "image processor", backend="pil")
    length = int(config.text_config.max_position_embeddings)
    padding = "longest" if kind == "clip" else "context"
    bias = getattr(model, "logit_bias", None)
    return ImportedClip(
        name=slug(folder.name if folder.is_dir() else folder_or_name),
        source=source,
        image_tower=image_tower_of(model),
        text_tower=text_tower_of(model)[0].requires_grad_(False),
        images=_image_spec(processor, source),
        text=text_spec_of(tokenizer, context_length=length, templates=(TEMPLATES[kind],), padding=padding),
        tokenizer_json=hugging_face_tokenizer(tokenizer, clean=_cleaning(tokenizer)),
        logit_scale=float(model.logit_scale.exp()),
        logit_bias=0.0 if bias is None else float(bias),
        activation="softmax" if bias is None else "sigmoid",
        card=card_of_readme(folder / "README.md", what=source),
        reference=_reference(model, processor, tokenizer, length),
        settings={"library": "transformers", "family": kind, "config": config.to_dict()},
    )


def _library() -> Any:
    try:
        import transformers
    except ModuleNotFoundError as error:
        if error.name != "transformers":
            raise  # a broken install must not look like a missing extra
        raise MissingExtraError(
            "Importing from Hugging Face needs transformers, which is not installed; expected the extra "
            "`import`; run `pip install 'hyperclip[import]'`."
        ) from error
    return transformers


def _check_folder(folder: Path) -> None:
    """Say what a folder lacks, before the library says it in its own words."""
    if not (folder / "config.json").is_file():
        raise InputError(
            f"{folder} has no config.json or open_clip_config.json; expected a folder of "
            f"save_pretrained; name "
            "another folder."
        )
    if not any(folder.glob("*.safetensors")):
        others = sorted(path.name for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pth"))
        raise InputError(
            f"{folder} has no safetensors weights{f' (only {others[0]})' if others else ''}; expected "
            "model.safetensors; save the model again with save_pretrained(..., safe_serialization=True)."
        )
    if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json", "spiece.model")):
        raise InputError(
            f"{folder} has no tokenizer; expected tokenizer.json, vocab.json or spiece.model; save the "
            f"tokenizer "
            "into the same folder."
        )
    preparations = ("preprocessor_config.json", "processor_config.json")
    if not any((folder / name).is_file() for name in preparations):
        raise InputError(
            f"{folder} has no preprocessor_config.json; expected how pictures are prepared; save the image "
            "processor into the same folder."
        )


def _loaded(cls: Any, name: str, what: str, **options: Any) -> Any:
    """Call ``from_pretrained`` and say in one sentence what went wrong."""
    try:
        with quiet_library(downloads=not Path(name).is_dir()):
            return cls.from_pretrained(name, trust_remote_code=False, **options)
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except Exception as error:  # of the hub, the network, the files and the library
        reason = " ".join(str(error).split())[:240]
        raise InputError(
            f"The {what} of {name!r} cannot be loaded ({type(error).__name__}: {reason}); expected a "
            f"folder of "
            "save_pretrained with safetensors weights, or a network that lets downloads pass; check the name."
        ) from error


def _image_spec(processor: Any, source: str) -> ImageSpec:
    """How the processor prepares pictures, as the shop says it."""
    size = dict(processor.size)
    is_cropped = bool(getattr(processor, "do_center_crop", False))
    crop = dict(processor.crop_size or {}) if is_cropped else {}
    sides = crop if is_cropped else size
    square = {sides.get("height"), sides.get("width")}
    shortest = size.get("shortest_edge")
    fits = len(square) == 1 and None not in square and processor.do_resize and processor.do_rescale
    fits = fits and processor.do_normalize and (shortest is not None if is_cropped else shortest is None)
    fits = fits and int(processor.resample) in INTERPOLATIONS
    fits = fits and abs(processor.rescale_factor * 255 - 1) < 1e-6
    size_px = int(next(iter(square)) or 0)
    if not fits or (shortest is not None and shortest < size_px):
        raise InputError(
            f"{source} prepares pictures by size {size}, crop {crop or 'none'} and resample "
            f"{int(processor.resample)}; expected a square, or the shorter side and a square within "
            f"it, bicubic "
            "or bilinear, and normalized; such a model cannot be imported."
        )
    return ImageSpec(
        size_px=size_px, sizes_px=(size_px,), resize="shortest_floor" if is_cropped else "squash",
        crop_ratio=1.0 if shortest is None else size_px / shortest,
        interpolation=INTERPOLATIONS[int(processor.resample)],
        mean=as_rgb(processor.image_mean), std=as_rgb(processor.image_std),
    )  # fmt: skip


def _cleaning(tokenizer: Any) -> str:
    """What a tokenizer does to a text in Python, before its fast form sees it."""
    return "unpunctuated" if type(tokenizer).__name__ == "SiglipTokenizer" else "none"


def _reference(model: Any, processor: Any, tokenizer: Any, length: int) -> Reference:
    """Transformers' own pipeline, as its documentation gives it."""

    def pixels(image: Image.Image) -> FloatArray:
        values = processor(images=image, return_tensors="np")["pixel_values"][0]
        return np.asarray(values, np.float32)

    def encoded(texts: Sequence[str]) -> Any:
        return tokenizer(
            list(texts), padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        )["input_ids"]

    def tokens(texts: Sequence[str]) -> IntArray:
        return np.asarray(encoded(texts).numpy(), np.int64)

    @torch.inference_mode()
    def text_vectors(texts: Sequence[str]) -> FloatArray:
        out = model.get_text_features(input_ids=encoded(texts))
        return _unit(out if isinstance(out, Tensor) else out.pooler_output)

    @torch.inference_mode()
    def image_vectors(images: FloatArray) -> FloatArray:
        out = model.get_image_features(pixel_values=torch.from_numpy(images))
        return _unit(out if isinstance(out, Tensor) else out.pooler_output)

    return Reference(
        pixels=pixels, tokens=tokens, text_vectors=text_vectors, image_vectors=image_vectors
    )  # fmt: skip


def _unit(vectors: Tensor) -> FloatArray:
    return np.asarray(functional.normalize(vectors, dim=-1).numpy(), np.float32)
