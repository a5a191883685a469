"""AdaSAP on a bundle: an encoder of fewer channels that is still specialized to any names (needs PyTorch).

What goes with a channel: its rows and columns in ``encoder.onnx``, its scale and shift in the layout of
``model.json``, and the rows of the hypernetwork's last layer that made them. The text side is not touched.
"""

import dataclasses
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import onnx

from hyperclip.bundle.manifest import GeneratedParameter
from hyperclip.bundle.read import Bundle
from hyperclip.compress.calibration import spec_for_encoder, square_pixels
from hyperclip.compress.contexts import context_parameters, sample_contexts
from hyperclip.compress.contract import CompressionData, MethodReport, OnProgress
from hyperclip.compress.encoder_file import is_stored_half, plain_model, stored_model
from hyperclip.compress.generated_rows import keep_generated
from hyperclip.compress.layer_rows import layer_rows
from hyperclip.compress.rewrite import rewritten_bundle
from hyperclip.errors import BundleError
from hyperclip.runtime.graph import read_graph
from hyperclip.runtime.hypernetwork import HYPERNETWORK
from hyperclip.runtime.model_file import parse_model
from hyperclip.runtime.specialize import Model

if TYPE_CHECKING:
    from hyperclip.compress.adasap import AdaSAPConfig

__all__ = ["compress_bundle", "plain_encoder", "smaller_bundle"]

ENCODER, SPECIALIZER = "encoder.onnx", "specializer.onnx"
TOLERANCE = 1e-4  # of generated values near 1, in float32


def compress_bundle(
    bundle: Bundle, data: CompressionData, config: "AdaSAPConfig", *, on_progress: OnProgress | None
) -> tuple[Bundle, MethodReport]:
    """Remove channels from a bundle's image encoder, and teach what is left by the dense one's embeddings.

    Parameters
    ----------
    bundle : Bundle
        Not changed.
    data : CompressionData
        Pictures; labels are not used.
    config : AdaSAPConfig
    on_progress : callable or None

    Raises
    ------
    InputError
        If a picture cannot be read, or the channels cannot be followed.
    BundleError
        If the model is damaged.
    """
    from hyperclip.compress.retrain_bundle import BundleLesson, prune_and_retrain_encoder

    rng = np.random.default_rng(config.seed)
    manifest = bundle.manifest
    images = spec_for_encoder(manifest.images, data.image_size_px)
    contexts: list[tuple[str, ...]] = []
    if manifest.n_generated:
        contexts = list(config.contexts) or sample_contexts(bundle, n_contexts=config.n_contexts, rng=rng)
    values = context_parameters(Model(bundle, n_threads=1), contexts, on_progress=on_progress)
    dense = plain_encoder(bundle)
    encoder = prune_and_retrain_encoder(
        dense,
        manifest.generated,
        BundleLesson(
            pixels=square_pixels(data.images, images),
            contexts=values,
            is_mixture=manifest.head.kind != "linear",
        ),
        images,
        config,
        on_progress=on_progress,
    )
    pruned = encoder.written()
    smaller = smaller_bundle(
        bundle,
        pruned,
        layout=encoder.layout,
        kept=encoder.kept,
        shift=encoder.neutral_shift,
        change=(
            f"Pruned: {config.channels:.0%} of the removable channels of the image encoder "
            f"({config.importance}), then trained {config.n_steps} steps on {len(data.images)} pictures to "
            f"match the dense encoder ({config.sharpness})."
        ),
        probes=contexts[:2],
    )
    blank = {"images": np.zeros((1, 3, images.size_px, images.size_px), np.float32)}
    settings = {**asdict(config), "contexts": [list(names) for names in contexts]}
    return smaller, MethodReport(
        method="adasap",
        settings=settings,
        layers=layer_rows(dense, pruned, blank, part=ENCODER),
        n_calibration_images=len(data.images),
        n_calibration_texts=sum(len(names) for names in contexts),
        notes=_notes(bundle, smaller, data, len(contexts), images.size_px),
    )


def plain_encoder(bundle: Bundle) -> onnx.ModelProto:
    """Return a bundle's encoder with all weights as float32 initializers."""
    model = parse_model(bundle.files[ENCODER], where=ENCODER)
    return plain_model(read_graph(model, where=ENCODER, input_name="images", output_name="embedding"))


def smaller_bundle(
    bundle: Bundle,
    encoder: onnx.ModelProto,
    *,
    layout: tuple[GeneratedParameter, ...],
    kept: npt.NDArray[np.int64],
    shift: npt.NDArray[np.float32],
    change: str,
    probes: list[tuple[str, ...]],
) -> Bundle:
    """Put an encoder of fewer channels into a bundle, and let the rest fit it.

    Parameters
    ----------
    bundle : Bundle
        The dense one; not changed.
    encoder : onnx.ModelProto
        Plain float32, in the neutral state.
    layout : tuple of GeneratedParameter
        Of the smaller encoder.
    kept : ndarray of shape (n_kept,), int64
        Which of the dense bundle's generated values are left.
    shift : ndarray of shape (n_kept,), float32
        What is added to them under any names.
    change : str
        A sentence for the origin of the weights.
    probes : list of tuple of str
        Lists of names under which both must generate the same.

    Raises
    ------
    BundleError
        If the smaller bundle generates something else.
    """
    manifest = dataclasses.replace(bundle.manifest, generated=layout)
    names = frozenset(item.name for item in layout)
    half = is_stored_half(onnx.ModelProto.FromString(bundle.files[ENCODER]), keep_float=names)
    changed = {ENCODER: stored_model(encoder, keep_float=names, half=half)}
    if not bundle.manifest.n_generated:
        return rewritten_bundle(bundle, changed, manifest=manifest, change=change)
    source = HYPERNETWORK if HYPERNETWORK in bundle.files else SPECIALIZER
    wanted = context_parameters(Model(bundle, n_threads=1), probes)[:, kept] + shift
    for is_sliced in (True, False):  # an unusual graph may be misread: then the values are picked
        changed[source] = keep_generated(
            bundle.files[source], kept, shift, n_dense=bundle.manifest.n_generated, is_sliced=is_sliced
        )
        smaller = rewritten_bundle(bundle, changed, manifest=manifest, change=change)
        try:
            found = context_parameters(Model(smaller, n_threads=1), probes)
        except BundleError:
            continue
        if np.allclose(found, wanted, rtol=TOLERANCE, atol=TOLERANCE):
            return smaller
    raise BundleError(
        f"{source} generates other values when its unused rows are left out; expected the same; specialize "
        "the model first and compress the classifier file."
    )


def _notes(
    before: Bundle, after: Bundle, data: CompressionData, n_contexts: int, size_px: int
) -> tuple[str, ...]:
    """Return what a reader should know about how it was done."""
    notes = [
        "Channels are gone, not zero: the encoder, its memory and its time shrink in every runtime.",
        f"It learnt from the dense encoder's embeddings of {len(data.images)} pictures at {size_px} pixels, "
        "without labels; the less yours are like them, the more it forgot. The text side was not touched.",
    ]
    if n_contexts:
        notes.append(
            f"It was judged by and trained under {n_contexts} lists of names and none; "
            f"{before.manifest.n_generated:,} generated parameters became {after.manifest.n_generated:,}."
        )
    return tuple(notes)
