"""Zero weights of a classifier file or of both encoders of a bundle, by any score."""

import numpy as np
import onnx

from hyperclip.bundle.read import Bundle
from hyperclip.compress.calibration import picture_batches, pixel_batches, spec_for_encoder, text_batches
from hyperclip.compress.contract import CompressionData, Layer, MethodReport, OnProgress
from hyperclip.compress.prune_graph import Arrays, Score, prune_graph
from hyperclip.compress.rewrite import rewritten_bundle, rewritten_classifier
from hyperclip.compress.settings import PruneConfig
from hyperclip.errors import InputError
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.model_file import parse_model

__all__ = ["prune_model"]

ENCODER, SPECIALIZER, TOKENIZER = "encoder.onnx", "specializer.onnx", "tokenizer.json"
EMBEDDING, TEXT_VECTOR = "embedding", "row_text"


def prune_model(
    model: Classifier | Bundle,
    data: CompressionData,
    config: PruneConfig,
    *,
    method: str,
    score: Score,
    needs_data: bool,
    on_progress: OnProgress | None,
) -> tuple[Classifier | Bundle, MethodReport]:
    """Return a model of the same kind with zeros, and what was done.

    Parameters
    ----------
    model : Classifier or Bundle
        Not changed.
    data : CompressionData
        Pictures for the image encoder, texts for the text encoder of a bundle.
    config : PruneConfig
    method : str
        Name of the method, for report and provenance.
    score : callable
        See `hyperclip.compress.prune_graph.Score`.
    needs_data : bool
        Whether an encoder without data cannot be pruned.
    on_progress : callable or None

    Raises
    ------
    InputError
        If there are no pictures but `needs_data`, or nothing could be pruned.
    """
    if needs_data and not data.images:
        raise InputError(
            f"There are no pictures, and {method} looks at what the layers see; expected at least one; give "
            "some (--data), or take the method magnitude."
        )
    wish = f"pattern {config.pattern}" if config.pattern else f"{config.share:.0%} of the weights"
    change = f"Pruned without retraining: {method}, {wish} of the pruned layers."
    if isinstance(model, Classifier):
        pruned, layers, n_texts = _prune_classifier(model, data, config, score, change, on_progress)
    else:
        pruned, layers, n_texts = _prune_bundle(
            model, data, config, score, change, on_progress, needs_data=needs_data
        )
    if not any(not layer.note for layer in layers):
        reasons = "; ".join(sorted({layer.note for layer in layers})) or "it has none with stored weights"
        raise InputError(
            f"No layer of the model can be pruned ({reasons[:300]}); expected at least one; take another "
            "pattern or fewer exceptions."
        )
    report = MethodReport(
        method=method,
        settings=config.to_values(),
        layers=layers,
        n_calibration_images=len(data.images),
        n_calibration_texts=n_texts,
        notes=_notes(data, config, model),
    )
    return pruned, report


_Pruned = tuple[Classifier | Bundle, tuple[Layer, ...], int]


def _prune_classifier(
    classifier: Classifier,
    data: CompressionData,
    config: PruneConfig,
    score: Score,
    change: str,
    on_progress: OnProgress | None,
) -> _Pruned:
    """Prune the image encoder in a classifier file; what comes behind the embedding is its head."""
    spec = classifier.metadata.images
    graph, layers = prune_graph(
        parse_model(classifier.to_bytes(), where="The classifier"),
        picture_batches(data.images, spec),
        blank={"images": np.zeros((1, spec.size_px, spec.size_px, 3), np.uint8)},
        score=score, config=config, part="classifier", until=EMBEDDING, on_progress=on_progress,
    )  # fmt: skip
    return rewritten_classifier(classifier, graph, change=change), layers, 0


def _prune_bundle(
    bundle: Bundle,
    data: CompressionData,
    config: PruneConfig,
    score: Score,
    change: str,
    on_progress: OnProgress | None,
    *,
    needs_data: bool,
) -> _Pruned:
    """Prune the neutral image encoder and, where there are texts or none are needed, the text encoder."""
    manifest = bundle.manifest
    spec = spec_for_encoder(manifest.images, data.image_size_px)
    changed: dict[str, bytes] = {}
    layers: list[Layer] = []
    texts = text_batches(data.texts, bundle.files[TOKENIZER], manifest) if data.texts else []
    token = np.zeros((1, 1), np.int64)
    work: list[tuple[str, str, list[Arrays], Arrays]] = [
        (
            ENCODER,
            EMBEDDING,
            pixel_batches(data.images, spec),
            {"images": np.zeros((1, 3, spec.size_px, spec.size_px), np.float32)},
        )
    ]
    if texts or not needs_data:
        work.append((SPECIALIZER, TEXT_VECTOR, texts, {"token_ids": token, "mask": np.ones_like(token)}))
    fixed = frozenset(parameter.name for parameter in manifest.generated)
    for name, until, feeds, blank in work:
        if name not in manifest.files:  # it belongs to another model, which this one would no longer fit
            continue
        graph, found = prune_graph(
            parse_model(bundle.files[name], where=name), feeds, blank=blank, score=score, config=config,
            part=name, until=until, fixed=fixed if name == ENCODER else frozenset(), on_progress=on_progress,
        )  # fmt: skip
        layers += found
        if any(not layer.note for layer in found):
            onnx.checker.check_model(graph)
            changed[name] = graph.SerializeToString(deterministic=True)
    n_texts = len(set(data.texts)) if SPECIALIZER in manifest.files else 0
    return rewritten_bundle(bundle, changed, change=change), tuple(layers), n_texts


def _notes(data: CompressionData, config: PruneConfig, model: Classifier | Bundle) -> tuple[str, ...]:
    """Return what a reader should know about how it was done."""
    notes = [
        "Zeros stay in the file as numbers: it has the same bytes, and ordinary kernels take the same time. "
        "It gets smaller when it is compressed, such as for a download.",
    ]
    if config.pattern is not None:
        notes.append(
            "The pattern runs along input channels. Only some GPUs compute faster with it, and only with "
            "kernels made for it; ONNX Runtime on a CPU does not."
        )
    if not data.images:
        notes.append("There were no pictures, so that what pruning shifted was not repaired.")
    if isinstance(model, Bundle) and SPECIALIZER not in model.manifest.files:
        assert model.manifest.shares is not None
        notes.append(
            f"The text encoder belongs to the model {model.manifest.shares.bundle} and was left as it is."
        )
    elif isinstance(model, Bundle) and not data.texts:
        notes.append("There were no texts, so that the text encoder was left as it was or not repaired.")
    if isinstance(model, Bundle):
        notes.append("Pictures went through the encoder in its neutral state, without a list of names.")
    return tuple(notes)
