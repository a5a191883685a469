"""CLIPs of open_clip: any architecture that it knows, with a published tag or a file of weights."""

import difflib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from hyperclip.bundle.manifest import ImageSpec, TextSpec
from hyperclip.errors import InputError, MissingExtraError
from hyperclip.export.import_licences import card_of_readme, card_of_tag, unknown_card
from hyperclip.export.import_tokenizers import byte_pair_tokenizer, hugging_face_tokenizer, text_spec_of
from hyperclip.export.import_weights import check_state, read_state_dict
from hyperclip.export.imported import Card, FloatArray, ImportedClip, IntArray, Reference, as_rgb, slug
from hyperclip.models.open_clip_towers import image_tower_of, text_tower_of
from hyperclip.models.quiet_library import quiet_library

__all__ = ["import_open_clip", "import_open_clip_folder"]

logger = logging.getLogger(__name__)

TEMPLATE = "a photo of a {}."
START, END = "<start_of_text>", "<end_of_text>"
N_NEAREST = 5


def import_open_clip(
    name: str, *, tag: str | None = None, weights: Path | None = None, tokenizer: Any = None,
    settings: dict[str, Any] | None = None,
) -> ImportedClip:  # fmt: skip
    """Load a CLIP of open_clip with everything that changes an answer.

    Parameters
    ----------
    name : str
        An architecture, such as ``ViT-B-32``.
    tag : str, optional
        Published weights, which are downloaded, such as ``laion2b_s34b_b79k``.
    weights : Path, optional
        A file of weights, see `read_state_dict`; instead of a tag.
    tokenizer : open_clip tokenizer, optional
        Instead of the architecture's own (some come from a hub).
    settings : dict, optional
        Changes of the architecture's configuration and preprocessing, as `open_clip.create_model` takes
        them.

    Raises
    ------
    InputError
        If there is no such architecture or tag, the weights do not fit, or a part cannot be imported.
    MissingExtraError
        If open_clip is not installed.
    """
    open_clip = _library()
    _check_name(open_clip, name, tag)
    if (tag is None) == (weights is None):
        raise InputError(
            f"open_clip:{name} has {'no weights' if tag is None else 'a tag and a weights file'}; "
            f"expected one "
            f"of both; write open_clip:{name}/TAG or add --weights FILE."
        )
    settings = dict(settings or {})
    if weights is not None and "force_preprocess_cfg" not in settings:
        settings["force_preprocess_cfg"] = _usual_preparation(open_clip, name)
    model = _build(open_clip, name, tag=tag, settings=settings)
    if weights is not None:
        _fill(open_clip, model, weights, name)
    return _described(
        open_clip, model, tokenizer if tokenizer is not None else _tokenizer(open_clip, name),
        name=name if tag is None else f"{name}-{tag}",
        source=f"open_clip:{name}" + (f"/{tag}" if tag else ""),
        card=unknown_card(f"open_clip {name}") if tag is None else card_of_tag(name, tag),
        settings={"name": name, "config": settings},
    )  # fmt: skip


def import_open_clip_folder(folder: Path) -> ImportedClip:
    """Load a folder that open_clip wrote: ``open_clip_config.json``, weights and, for some, a tokenizer.

    Raises
    ------
    InputError
        If a file is missing or does not fit.
    MissingExtraError
        If open_clip is not installed.
    """
    open_clip = _library()
    name = f"local-dir:{folder}"
    weights = sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin"), *folder.glob("*.pt")])
    if not weights:
        raise InputError(
            f"{folder} has no weights; expected *.safetensors beside open_clip_config.json; add the file."
        )
    model = _build(open_clip, name, tag=None, settings={"load_weights": False})
    config = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))
    _fill(open_clip, model, weights[0], folder.name)
    return _described(
        open_clip, model, _tokenizer(open_clip, name), name=folder.name, source=folder.name,
        card=card_of_readme(folder / "README.md", what=f"open_clip folder {folder.name}"),
        settings={"name": folder.name, "config": {}, "folder_config": config},
    )  # fmt: skip


def _described(
    open_clip: Any, model: Any, tokenizer: Any, *, name: str, source: str, card: Card,
    settings: dict[str, Any],
) -> ImportedClip:  # fmt: skip
    """Put a loaded model and everything around it together."""
    model = model.float().eval().requires_grad_(False)
    length = int(getattr(getattr(model, "text", model), "context_length", tokenizer.context_length))
    tokenizer.context_length = length  # a configuration may differ from the architecture's
    preprocess = open_clip.transform.image_transform_v2(
        open_clip.transform.PreprocessCfg(**model.visual.preprocess_cfg), is_train=False
    )
    tower, is_dynamic = text_tower_of(model)
    scale, bias = float(model.logit_scale.exp()), model.logit_bias
    text, tokenizer_json = _text_side(open_clip, tokenizer, "longest" if is_dynamic else "context")
    return ImportedClip(
        name=slug(name),
        source=source,
        image_tower=image_tower_of(model),
        text_tower=tower.requires_grad_(False),
        images=_image_spec(model.visual.preprocess_cfg),
        text=text,
        tokenizer_json=tokenizer_json,
        logit_scale=scale,
        logit_bias=0.0 if bias is None else float(bias),
        activation="softmax" if bias is None else "sigmoid",
        card=card,
        reference=_reference(model, preprocess, tokenizer),
        settings={"library": "open_clip", **settings},
    )


def _library() -> Any:
    try:
        import open_clip
    except ModuleNotFoundError as error:
        if error.name != "open_clip":
            raise  # a broken install must not look like a missing extra
        raise MissingExtraError(
            "Importing from open_clip needs open_clip_torch, which is not installed; expected the extra "
            "`import`; run `pip install 'hyperclip[import]'`."
        ) from error
    return open_clip


def _check_name(open_clip: Any, name: str, tag: str | None) -> None:
    """Refuse names that open_clip does not know, with the nearest that it knows."""
    known = open_clip.list_models()
    if name not in known:
        raise InputError(
            f"open_clip knows no architecture {name!r}; expected one such as {_nearest(name, known)}; "
            f"correct "
            "the name."
        )
    if tag is not None:
        tags = open_clip.pretrained.list_pretrained_tags_by_model(name)
        if tag not in tags:
            raise InputError(
                f"open_clip has no weights {tag!r} for {name}; expected one of "
                f"{_nearest(tag, tags) or 'none: there are no published ones'}; correct the tag or give a "
                "file with --weights."
            )
        _check_activation(open_clip, name, tag)


def _check_activation(open_clip: Any, name: str, tag: str) -> None:
    """Refuse weights that were trained with the other GELU: they would load, and answer wrongly."""
    is_quick = bool(open_clip.pretrained.get_pretrained_cfg(name, tag).get("quick_gelu", False))
    if is_quick == bool(open_clip.get_model_config(name).get("quick_gelu", False)):
        return
    other = f"{name}-quickgelu" if is_quick else name.removesuffix("-quickgelu")
    raise InputError(
        f"The weights {tag!r} were trained with {'QuickGELU' if is_quick else 'the exact GELU'}, and "
        f"{name} has "
        f"the other; expected both alike; write open_clip:{other}/{tag}."
    )


def _usual_preparation(open_clip: Any, name: str) -> dict[str, Any]:
    """How pictures are prepared for all published weights of an architecture: a bare file does not say it."""
    tags = open_clip.pretrained.list_pretrained_tags_by_model(name)
    configs = [open_clip.pretrained.get_pretrained_cfg(name, tag) for tag in tags]
    keys = ("mean", "std", "interpolation", "resize_mode")
    usual = [{key: config[key] for key in keys if key in config} for config in configs]
    if not usual:
        return {}
    if any(one != usual[0] for one in usual):
        logger.warning(
            "The published weights of %s do not agree on how pictures are prepared; those of %s are taken: "
            "mean %s, std %s, %s, %s.", name, tags[0], *(usual[0].get(key) for key in keys),
        )  # fmt: skip
    return usual[0]


def _nearest(name: str, known: Sequence[str]) -> str:
    """The known names that are most like a name."""
    lower = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), list(lower), n=N_NEAREST, cutoff=0.3)
    return ", ".join(lower[one] for one in near) or ", ".join(list(known)[:N_NEAREST])


def _build(open_clip: Any, name: str, *, tag: str | None, settings: dict[str, Any]) -> Any:
    """Build an architecture, with a tag's weights where one is given."""
    try:
        with quiet_library(downloads=tag is not None):
            return open_clip.create_model(
                name, pretrained=tag, weights_only=True, precision="fp32", pretrained_text=False, **settings
            )
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except Exception as error:  # of the network, the hub, the file and the library
        reason = " ".join(str(error).split())[:200]
        reason = f"{type(error).__name__}: {reason}"
        if tag is None:
            raise InputError(
                f"{name} cannot be built ({reason}); expected a configuration that open_clip reads; "
                "correct it."
            ) from error
        raise InputError(
            f"The weights {tag!r} of {name} cannot be loaded ({reason}); expected a network that lets "
            "downloads pass, or a local copy; download the file elsewhere and give it with --weights."
        ) from error


def _fill(open_clip: Any, model: Any, path: Path, name: str) -> None:
    """Load a file of weights, after the changes of form that open_clip itself makes."""
    state: Any = read_state_dict(path)
    try:
        state = open_clip.convert.convert_state_dict(model, state)
    except (KeyError, IndexError, RuntimeError) as error:
        raise InputError(
            f"{path.name} looks like another library's weights, and a part is missing ({error}); expected "
            f"those of {name}; name the architecture that they were trained with."
        ) from error
    if "positional_embedding" in state and not hasattr(model, "positional_embedding"):
        state = open_clip.model.convert_to_custom_text_state_dict(state)
    for key in ("logit_scale", "logit_bias"):  # a number, or a list of one number
        own = getattr(model, key, None)
        if key in state and own is not None and state[key].numel() == own.numel():
            state[key] = state[key].reshape(own.shape)
    check_state(model, state, where=path.name)
    model.load_state_dict(state)


def _image_spec(config: dict[str, Any]) -> ImageSpec:
    """How open_clip prepares pictures, as the shop says it."""
    size = config["size"]
    sides = {size} if isinstance(size, int) else set(size)
    modes = {"shortest": "shortest", "squash": "squash"}
    if len(sides) != 1 or config["resize_mode"] not in modes:
        raise InputError(
            f"The model looks at pictures of size {size} by the mode {config['resize_mode']!r}; expected a "
            f"square and one of {', '.join(modes)}; such a model cannot be imported."
        )
    size_px = int(sides.pop())
    return ImageSpec(
        size_px=size_px, sizes_px=(size_px,), resize=modes[config["resize_mode"]], crop_ratio=1.0,
        interpolation="bilinear" if config["interpolation"] == "bilinear" else "bicubic",
        mean=as_rgb(config["mean"]), std=as_rgb(config["std"]),
    )  # fmt: skip


def _tokenizer(open_clip: Any, name: str) -> Any:
    try:
        with quiet_library():
            return open_clip.get_tokenizer(name)
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except Exception as error:  # of the hub, the network and the library
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"The tokenizer of {name} comes from a hub and cannot be loaded ({type(error).__name__}: "
            f"{reason}); "
            "expected a network that lets downloads pass; import it from a local folder instead."
        ) from error


def _text_side(open_clip: Any, tokenizer: Any, padding: str) -> tuple[TextSpec, bytes]:
    """The tokenizer and its rules."""
    length = tokenizer.context_length
    clean = {
        open_clip.tokenizer._clean_lower: "lower",
        open_clip.tokenizer._clean_canonicalize: "canonicalize",
        open_clip.tokenizer._clean_whitespace: "whitespace",
    }.get(tokenizer.clean_fn, "an unknown way")
    if not isinstance(tokenizer, open_clip.tokenizer.SimpleTokenizer):
        if tokenizer.tokenizer_mode or tokenizer.strip_sep_token:
            raise InputError(
                f"The tokenizer works in the mode {tokenizer.tokenizer_mode or 'strip_sep_token'!r}; "
                f"expected an "
                "ordinary one; such a model cannot be imported."
            )
        inner = tokenizer.tokenizer
        spec = text_spec_of(inner, context_length=length, templates=(TEMPLATE,), padding=padding)
        return spec, hugging_face_tokenizer(inner, clean=clean)
    pad = next(token for token, number in tokenizer.encoder.items() if number == 0)
    spec = TextSpec(
        templates=(TEMPLATE,), context_length=length, lowercase=False, pad_token=pad, unknown_token="[UNK]",
        start_token=START, end_token=END, padding=padding,
    )  # fmt: skip
    data = byte_pair_tokenizer(
        dict(tokenizer.encoder), list(tokenizer.bpe_ranks), start=START, end=END, clean=clean
    )
    return spec, data


def _reference(model: Any, preprocess: Any, tokenizer: Any) -> Reference:
    """Open_clip's own pipeline."""

    def pixels(image: Image.Image) -> FloatArray:
        return np.asarray(preprocess(image).numpy(), np.float32)

    def tokens(texts: Sequence[str]) -> IntArray:
        return np.asarray(tokenizer(list(texts)).numpy(), np.int64)

    @torch.inference_mode()
    def text_vectors(texts: Sequence[str]) -> FloatArray:
        features = model.encode_text(tokenizer(list(texts)))
        return np.asarray(functional.normalize(features, dim=-1).numpy(), np.float32)

    @torch.inference_mode()
    def image_vectors(images: FloatArray) -> FloatArray:
        features = model.encode_image(torch.from_numpy(images))
        return np.asarray(functional.normalize(features, dim=-1).numpy(), np.float32)

    return Reference(
        pixels=pixels, tokens=tokens, text_vectors=text_vectors, image_vectors=image_vectors
    )  # fmt: skip
