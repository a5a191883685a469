"""Texts in, padded token ids out, by the rules of the bundle."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer

from hyperclip.bundle.manifest import TextSpec
from hyperclip.bundle.strict import quote
from hyperclip.errors import BundleError

__all__ = ["TextTokenizer"]

MAX_UNKNOWN_SHARE = 0.5


class TextTokenizer:
    """A Hugging Face ``tokenizer.json`` with the bundle's rules for case, length and padding.

    Parameters
    ----------
    data : bytes
        Content of ``tokenizer.json``.
    spec : TextSpec
        The text part of the bundle's manifest.

    Raises
    ------
    BundleError
        If the file is no tokenizer, or lacks a token that the spec names.
    """

    def __init__(self, data: bytes, spec: TextSpec) -> None:
        try:
            self._tokenizer = Tokenizer.from_str(data.decode("utf-8"))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic of the Rust library is no Exception
            raise BundleError(
                f"tokenizer.json cannot be read ({quote(str(error), 120)}); expected a Hugging Face "
                "tokenizer; "
                "get the model again."
            ) from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._spec = spec
        self._pad_id = self._token_id(spec.pad_token)
        self._end_id = None if spec.end_token is None else self._token_id(spec.end_token)
        self._unknown_id = self._tokenizer.token_to_id(spec.unknown_token)

    @property
    def spec(self) -> TextSpec:
        """The bundle's rules for texts."""
        return self._spec

    def _token_id(self, token: str) -> int:
        """Return the id of a token that must exist."""
        token_id = self._tokenizer.token_to_id(token)
        if token_id is None:
            raise BundleError(
                f"tokenizer.json has no token {quote(token)}, which model.json names; expected it in the "
                "vocabulary; get the model again."
            )
        return int(token_id)

    def encode(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return token ids, padded as the spec says, and the mask of real tokens.

        Parameters
        ----------
        texts : sequence of str
            At least one.

        Returns
        -------
        token_ids : ndarray of shape (n_texts, n_tokens), int64
            Cut to the context length; the end token, where there is one, is kept.
        mask : ndarray of shape (n_texts, n_tokens), int64
            1 for a token, 0 for padding.
        """
        rows = [self._cut(encoding.ids) for encoding in self._encode(texts, special=True)]
        is_full = self._spec.padding == "context"
        n_tokens = self._spec.context_length if is_full else max(map(len, rows))
        token_ids = np.full((len(rows), n_tokens), self._pad_id, dtype=np.int64)
        mask = np.zeros_like(token_ids)
        for index, row in enumerate(rows):
            token_ids[index, : len(row)] = row
            mask[index, : len(row)] = 1
        return token_ids, mask

    def _encode(self, texts: Sequence[str], *, special: bool) -> list[Encoding]:
        """Split texts into tokens without padding."""
        prepared = [text.lower() if self._spec.lowercase else text for text in texts]
        encodings: list[Encoding] = self._tokenizer.encode_batch_fast(prepared, add_special_tokens=special)
        return encodings

    def _cut(self, ids: list[int]) -> list[int]:
        """Cut ids to the context length; a text without any token becomes one padding token."""
        if not ids:
            return [self._pad_id if self._unknown_id is None else self._unknown_id]
        length = self._spec.context_length
        if len(ids) <= length:
            return ids
        return [*ids[: length - 1], self._end_id] if ids[-1] == self._end_id else ids[:length]

    def find_cut(self, texts: Sequence[str]) -> list[str]:
        """Return the texts that have more tokens than the text encoder reads."""
        encodings = self._encode(texts, special=True)
        length = self._spec.context_length
        return [text for text, item in zip(texts, encodings, strict=True) if len(item.ids) > length]

    def find_unreadable(self, texts: Sequence[str]) -> list[str]:
        """Return the texts of which most is unknown to the vocabulary (so that they mean nothing)."""
        encodings = self._encode(texts, special=False)
        return [text for text, item in zip(texts, encodings, strict=True) if self._is_unknown(item.ids)]

    def unreadable(self, text: str) -> bool:
        """Tell whether most of a text is unknown to the vocabulary."""
        return bool(self.find_unreadable([text]))

    def _is_unknown(self, ids: list[int]) -> bool:
        """Tell whether more than half of the tokens are unknown, or there are none."""
        n_unknown = sum(token_id == self._unknown_id for token_id in ids)
        return n_unknown > MAX_UNKNOWN_SHARE * len(ids) or not ids
