"""Does the imported model answer as its source does? Compared stage by stage, before anything is written.

Legend: n pictures, C names, T tokens, S pixels of a side, E width of the shared space.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from hyperclip.bundle.strict import quote
from hyperclip.errors import BundleError
from hyperclip.export.imported import ImportedClip
from hyperclip.runtime.preprocess import fit_image
from hyperclip.runtime.specialize import Model
from hyperclip.runtime.tokenizer import TextTokenizer

__all__ = ["NAMES", "Agreement", "check_answers"]

NAMES = (
    "cat", "golden retriever", "crème brûlée", "T-shirt", "farmer’s market", "50 mm lens", "traffic light",
    "Labrador, black", "ﬁsh & chips", "person riding a bicycle", "snow", "IJsselmeer", "cup of coffee",
    "espresso machine", "sea anemone", "rocket", "x-ray", "Tokyo Tower 東京", "don't know", "tabby_cat",
)  # fmt: skip
LONG_TEXT = "a very long description of " + "one more red thing, " * 60  # beyond every context length
LOGIT_TOLERANCE = 1e-3  # of the range of a row's logits
BIAS_TOLERANCE = 1e-4  # of the largest logit: the part that all classes share
STAGE_TOLERANCES = {"pixels": 1e-4, "text vectors": 1e-4, "image vectors": 1e-4}

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far the model folder and its source are apart.

    Parameters
    ----------
    stages : dict of str to float
        Largest absolute difference of normalized pixels, text vectors and image vectors.
    logits : float
        Largest difference of a row's logits, less its mean, as a share of that row's range.
    logits_of_file : float
        The same when the classifier file itself resizes the pictures, without our Pillow.
    n_pictures, n_names : int
        How many were compared.
    n_top1_differs : int
        Pictures whose best class differs though the source's best two are further apart than the
        tolerance.
    """

    stages: dict[str, float]
    logits: float
    logits_of_file: float
    n_pictures: int
    n_names: int
    n_top1_differs: int


def check_answers(
    clip: ImportedClip, model: Model, pictures: Sequence[Image.Image], *,
    names: Sequence[str] = NAMES, on_progress: Callable[[str], None] = lambda message: None,
) -> Agreement:  # fmt: skip
    """Compare a model with the pipeline that it was imported from.

    Parameters
    ----------
    clip : ImportedClip
        The source.
    model : Model
        What was made of it.
    pictures : sequence of PIL.Image.Image
        RGB, of many sizes and shapes.
    names : sequence of str
        Class names.
    on_progress : callable, optional

    Returns
    -------
    Agreement

    Raises
    ------
    BundleError
        If answers differ; says which stage is the first to differ.
    """
    template = clip.text.templates[0]
    texts = [template.replace("{}", name) for name in names]
    on_progress(f"comparing {len(names)} names and {len(pictures)} pictures with {clip.source}")
    _check_tokens(clip, [*texts, LONG_TEXT, "a"])
    wanted_pixels = np.stack([clip.reference.pixels(picture) for picture in pictures])
    our_pixels = np.stack([_normalized(clip, fit_image(picture, spec=clip.images)) for picture in pictures])
    wanted_text = clip.reference.text_vectors(texts)
    wanted_image = np.concatenate(
        [clip.reference.image_vectors(wanted_pixels[i : i + 8]) for i in range(0, len(pictures), 8)]
    )
    wanted = np.asarray(clip.logit_scale * wanted_image @ wanted_text.T + clip.logit_bias, np.float32)
    classifier = model.specialize(list(names), templates=[template], use_glossary=False)
    stages = {
        "pixels": _largest(our_pixels, wanted_pixels),
        "text vectors": _largest(model.embed_text(texts), wanted_text),
        "image vectors": _largest(classifier.embed(list(pictures)), wanted_image),
    }
    logits = classifier.decision_function(list(pictures))
    on_progress("comparing the classifier file alone")
    of_file = np.concatenate([classifier.run_pixels(np.asarray(picture)[None])[0] for picture in pictures])
    share, bias = _distance(logits, wanted)
    found = Agreement(
        stages=stages,
        logits=share,
        logits_of_file=_distance(of_file, wanted)[0],
        n_pictures=len(pictures),
        n_names=len(names),
        n_top1_differs=_n_top1_differs(logits, wanted),
    )
    if share > LOGIT_TOLERANCE or bias > BIAS_TOLERANCE or found.n_top1_differs:
        raise _differs(clip, found, bias)
    return found


def _check_tokens(clip: ImportedClip, texts: Sequence[str]) -> None:
    """Refuse a tokenizer that splits a text otherwise than the source's (or pads, where that counts)."""
    token_ids, mask = TextTokenizer(clip.tokenizer_json, clip.text).encode(texts)
    wanted = clip.reference.tokens(texts)
    for text, ours, is_token, theirs in zip(texts, token_ids, mask.astype(bool), wanted, strict=True):
        n_tokens = int(is_token.sum())
        n_compared = len(theirs) if clip.text.padding == "context" else n_tokens
        if not np.array_equal(ours[:n_compared], theirs[:n_compared]):
            raise BundleError(
                f"{clip.source} reads {quote(text, 80)} as the tokens {_shown(theirs[:n_compared])}, "
                f"the imported "
                f"tokenizer as {_shown(ours[:n_compared])}; expected the same (stage: tokens); nothing "
                f"was written."
            )


def _shown(ids: npt.NDArray[np.int64]) -> str:
    """The first few ids."""
    return f"{list(map(int, ids[:8]))}{'...' if len(ids) > 8 else ''}"


def _normalized(clip: ImportedClip, square: npt.NDArray[np.uint8]) -> FloatArray:
    """The encoder's input of an RGB square, (3, S, S)."""
    values = (square / 255.0 - np.array(clip.images.mean)) / np.array(clip.images.std)
    return np.asarray(values.transpose(2, 0, 1), np.float32)


def _largest(found: FloatArray, wanted: FloatArray) -> float:
    """The largest absolute difference; infinite where shapes differ or a value is not finite."""
    if found.shape != wanted.shape or not (np.isfinite(found).all() and np.isfinite(wanted).all()):
        return float("inf")
    return float(np.abs(found - wanted).max(initial=0.0))


def _distance(found: FloatArray, wanted: FloatArray) -> tuple[float, float]:
    """Differences of centered rows (share of the row's range) and of means (share of the largest logit)."""
    if not (np.isfinite(found).all() and np.isfinite(wanted).all()):
        return float("inf"), float("inf")
    means = found.mean(axis=1), wanted.mean(axis=1)
    span = np.maximum(np.ptp(wanted, axis=1), 1e-12)
    centered = np.abs((found - means[0][:, None]) - (wanted - means[1][:, None])).max(axis=1)
    bias = np.abs(means[0] - means[1]).max() / max(1.0, float(np.abs(wanted).max()))
    return float((centered / span).max()), float(bias)


def _n_top1_differs(found: FloatArray, wanted: FloatArray) -> int:
    """Rows with another best class, where the source's best two are apart by more than the tolerance."""
    two = np.sort(wanted, axis=1)[:, -2:]
    is_clear = two[:, 1] - two[:, 0] > 2 * LOGIT_TOLERANCE * np.ptp(wanted, axis=1)
    return int((is_clear & (found.argmax(axis=1) != wanted.argmax(axis=1))).sum())


def _differs(clip: ImportedClip, found: Agreement, bias: float) -> BundleError:
    """Say by how much, and where it begins."""
    first = next(
        (stage for stage, value in found.stages.items() if value > STAGE_TOLERANCES[stage]), "logits"
    )
    value = found.stages.get(first, bias if found.logits <= LOGIT_TOLERANCE else found.logits)
    return BundleError(
        f"The imported model and {clip.source} differ: {found.logits:.2g} of a row's range of logits, "
        f"{found.n_top1_differs} of {found.n_pictures} pictures with another best class; expected at most "
        f"{LOGIT_TOLERANCE:g}; the first stage that differs is: {first} (by {value:.2g}); nothing was "
        f"written."
    )
