"""One call from a model and a folder of pictures to a smaller model that has been judged."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hyperclip.bundle.checksum import read_capped
from hyperclip.bundle.read import Bundle
from hyperclip.compress.contract import (
    METHODS,
    CompressionData,
    MethodReport,
    OnProgress,
    compress,
    method_of,
)
from hyperclip.compress.data import Pictures, divide, glossary_texts, read_pictures
from hyperclip.compress.measure import Comparison, compare
from hyperclip.errors import BundleError, InputError
from hyperclip.evaluate.accuracy import match_names
from hyperclip.evaluate.corruptions import CORRUPTIONS, FIVE_CORRUPTIONS
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.names import same_name_key

if TYPE_CHECKING:
    from hyperclip.compress.settings import PruneConfig
    from hyperclip.compress.transformer_files import Transformer

__all__ = ["Compressed", "compress_and_measure", "compress_transformer"]

MAX_TEXT_BYTES = 64 * 2**20
N_CALIBRATION_TEXTS = 128  # as in the paper
MAX_JUDGED_TEXTS = 500
MAX_CORRUPTED = 100  # pictures that each corruption is put on, unless all are


class Compressed(NamedTuple):
    """A smaller model, what was done to it, and what came of it."""

    model: "Classifier | Bundle | Transformer"
    report: MethodReport
    comparison: Comparison


def compress_and_measure(
    model: Classifier | Bundle,
    config: Any,
    pictures: str | Path | None,
    *,
    full: bool = False,
    seed: int = 0,
    on_progress: OnProgress | None = None,
    on_remark: Callable[[str], None] | None = None,
) -> Compressed:
    """Make a model smaller on some of the pictures and judge it on the others.

    Parameters
    ----------
    model : Classifier or Bundle
        Not changed.
    config : object
        As in `hyperclip.compress.contract.compress`.
    pictures : str, Path or None
        A labeled data set, or pictures without labels; None to calibrate and judge on nothing.
    full : bool
        Judge by fifteen corruptions of all pictures, not by five of at most 100.
    seed : int
        Decides which pictures serve for what.
    on_progress : callable, optional
        See `hyperclip.compress.contract.OnProgress`.
    on_remark : callable, optional
        Called with sentences that a user should read.

    Returns
    -------
    Compressed

    Raises
    ------
    InputError
        If pictures are missing or unreadable, or some but not all labels are classes of the classifier.
    BundleError
        If the model is damaged.
    """
    rng = np.random.default_rng(seed)
    calibration: Pictures | None = None
    judged: Pictures | None = None
    if pictures is not None:
        found, train = read_pictures(pictures)
        usable = _with_usable_labels(found, model)
        if usable is not found and on_remark is not None:
            on_remark("No label is a class of the classifier, so the pictures count as unlabeled.")
        if usable is not found and train is not None:
            train = _unlabeled(train)
        n_most = METHODS[method_of(config)].n_images
        calibration, judged = divide(usable, train=train, n_calibration=n_most, rng=rng)
    data = CompressionData(
        images=() if calibration is None else calibration.images,
        target=None if calibration is None else calibration.target,
        class_names=() if calibration is None else calibration.class_names,
        texts=() if isinstance(model, Classifier) else glossary_texts(model, rng=rng),
    )
    smaller, report = compress(model, data, config, on_progress=on_progress)
    comparison = compare(
        model,
        smaller,
        judged,
        corruptions=tuple(CORRUPTIONS) if full else FIVE_CORRUPTIONS,
        n_corrupted=None if full else MAX_CORRUPTED,
        rng=rng,
        on_progress=on_progress,
    )
    return Compressed(smaller, report, comparison)


def _with_usable_labels(pictures: Pictures, model: Classifier | Bundle) -> Pictures:
    """Leave labels aside where none of them is a class of the classifier; some but not all is an error."""
    if not isinstance(model, Classifier) or pictures.target is None:
        return pictures
    known = {same_name_key(name) for name in model.metadata.class_names}
    if not any(same_name_key(name) in known for name in pictures.class_names):
        return _unlabeled(pictures)
    match_names(pictures.class_names, model.metadata.class_names)
    return pictures


def _unlabeled(pictures: Pictures) -> Pictures:
    return dataclasses.replace(pictures, target=None, class_names=())


def compress_transformer(
    folder: str | Path,
    config: "PruneConfig",
    texts: str | Path | None,
    *,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> Compressed:
    """Prune a Hugging Face transformer on some texts and judge it on others (needs PyTorch).

    Parameters
    ----------
    folder : str or Path
        See `hyperclip.compress.transformer_files.load_transformer`.
    config : PruneConfig
        Of Wanda or magnitude. The paper repairs nothing: ``repair="none"``.
    texts : str, Path or None
        A UTF-8 file with a text a line. At most 128 of them, and at most half, serve for calibration.
    seed : int
        Decides which texts serve for what.
    on_progress : callable, optional

    Raises
    ------
    InputError
        If the folder or the file cannot be used.
    MissingExtraError
        If PyTorch or transformers is not installed.
    """
    from hyperclip.compress.transformer import prune_transformer
    from hyperclip.compress.transformer_files import load_transformer
    from hyperclip.compress.transformer_measure import compare_transformers

    lines = [] if texts is None else _lines(Path(texts))
    order = np.random.default_rng(seed).permutation(len(lines))
    n_first = min(N_CALIBRATION_TEXTS, max(1, len(lines) // 2))
    seen, judged = ([lines[i] for i in part] for part in (order[:n_first], order[n_first:]))
    dense = load_transformer(folder)
    pruned, report = prune_transformer(dense, seen, config, on_progress=on_progress)
    comparison, notes = compare_transformers(dense, pruned, judged[:MAX_JUDGED_TEXTS], report)
    return Compressed(pruned, dataclasses.replace(report, notes=(*report.notes, *notes)), comparison)


def _lines(path: Path) -> list[str]:
    """Return the lines of a text file that are not blank."""
    try:
        data = read_capped(path, max_bytes=MAX_TEXT_BYTES)
        lines = [line.strip() for line in data.decode("utf-8").splitlines()]
    except (BundleError, UnicodeDecodeError) as error:
        raise InputError(
            f"The texts in {str(path)[:200]!r} cannot be read ({str(error)[:200]}); expected a UTF-8 file "
            "with a text a line; check the path."
        ) from error
    found = [line for line in lines if line]
    if not found:
        raise InputError(f"The file {str(path)[:200]!r} holds no text; expected a text a line; add some.")
    return found
