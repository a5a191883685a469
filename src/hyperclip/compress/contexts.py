"""Lists of names that an encoder is judged under while it gets smaller, and what they make of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hyperclip.compress.contract import OnProgress
from hyperclip.compress.measure import EVERYDAY

if TYPE_CHECKING:
    from hyperclip.bundle.read import Bundle
    from hyperclip.runtime.specialize import Model

__all__ = ["context_parameters", "sample_contexts"]

FEWEST_NAMES, MOST_NAMES = 2, 50


def sample_contexts(bundle: "Bundle", *, n_contexts: int, rng: np.random.Generator) -> list[tuple[str, ...]]:
    """Return lists of names as users might give them: words of the glossary, or everyday ones without it.

    Parameters
    ----------
    bundle : Bundle
    n_contexts : int
    rng : numpy.random.Generator

    Returns
    -------
    list of tuple of str
        Each of 2 to 50 different names, small numbers as often as large ones in proportion.
    """
    data = bundle.files.get("glossary.bin")
    words: Sequence[str] = EVERYDAY
    if data is not None:
        from hyperclip.runtime.glossary_format import unpack_glossary

        words = [word.replace("_", " ") for word in unpack_glossary(data).lemmas]
        words = list({word.casefold(): word for word in words}.values())
    found = []
    most = min(MOST_NAMES, len(words))
    for _ in range(n_contexts):
        n_names = round(float(np.exp(rng.uniform(np.log(FEWEST_NAMES), np.log(most)))))
        places = rng.choice(len(words), size=n_names, replace=False)
        found.append(tuple(words[place] for place in places))
    return found


def context_parameters(
    model: "Model", contexts: Sequence[Sequence[str]], *, on_progress: OnProgress | None = None
) -> npt.NDArray[np.float32]:
    """Return the encoder parameters that each list of names generates.

    Parameters
    ----------
    model : Model
    contexts : sequence of sequence of str
    on_progress : callable, optional
        A step is a list.

    Returns
    -------
    ndarray of shape (n_contexts, n_generated), float32
    """
    rows = []
    for n_done, names in enumerate(contexts, 1):
        rows.append(model.generate(model.texts(list(names))).parameters)
        if on_progress is not None:
            on_progress(n_done, len(contexts), "lists of names")
    return np.stack(rows) if rows else np.zeros((0, model.manifest.n_generated), np.float32)
