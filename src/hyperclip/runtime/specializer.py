"""The upper half of a bundle: texts to embeddings, and a set of classes to head and parameters.

Shape letters: R texts, T tokens, C classes, E text dim, D embedding dim, P generated parameters.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnx

from hyperclip.bundle.manifest import Manifest
from hyperclip.errors import BundleError
from hyperclip.runtime.model_file import parse_model
from hyperclip.runtime.output_check import checked_output
from hyperclip.runtime.session import Session
from hyperclip.runtime.split import has_tensor, part_between
from hyperclip.runtime.tokenizer import TextTokenizer

__all__ = ["Generated", "Specializer"]

WHERE = "specializer.onnx"
ROWS = "row_text"
MAX_CHUNK_TOKENS = 8192  # rows x longest row: about 60 MB of activations for a small text encoder
MAX_CHUNK_ROWS = 512

FloatArray = npt.NDArray[np.float32]
NOTHING: FloatArray = np.zeros(0, np.float32)


class Generated(NamedTuple):
    """What a list of class names turns into."""

    head: FloatArray  # (C, D), or (C, 2 D): see HeadSpec.width
    bias: FloatArray  # (C,)
    parameters: FloatArray  # (P,): final values, in the order of the bundle's layout; () where not wanted


class Specializer:
    """Runs ``specializer.onnx`` in two parts, so that memory does not grow with the number of texts.

    The tensor ``row_text`` inside the model is where it is cut: texts become unit vectors in chunks of
    similar length; the vectors of all classes then go through the rest at once.

    Parameters
    ----------
    model : bytes
        Content of ``specializer.onnx``.
    tokenizer : TextTokenizer
        Of the same bundle.
    manifest : Manifest
        Says which shapes to expect.
    with_generated : bool
        Whether to compute the output ``generated``; that part of the model is left out otherwise.
    n_threads : int, optional
        As in `Session`.

    Raises
    ------
    BundleError
        If the model lacks an input, an output or the tensor ``row_text``.
    """

    def __init__(
        self,
        model: bytes,
        tokenizer: TextTokenizer,
        manifest: Manifest,
        *,
        with_generated: bool = True,
        n_threads: int | None = None,
    ) -> None:
        whole = parse_model(model, where=WHERE)
        outputs = {value.name: value for value in whole.graph.output}
        inputs = {value.name for value in whole.graph.input}
        lacking = sorted(
            ({"head", "bias", "generated"} - set(outputs)) | ({"token_ids", "mask", "class_index"} - inputs)
        )
        if lacking or not has_tensor(whole, ROWS):
            raise BundleError(
                f"{WHERE} lacks {', '.join(lacking) or ROWS}; expected the inputs token_ids, mask and "
                f"class_index, the outputs head, bias and generated, and a tensor {ROWS}; export it again."
            )
        rows = onnx.helper.make_tensor_value_info(ROWS, onnx.TensorProto.FLOAT, ["n", None])
        text_part = part_between(whole, ["token_ids", "mask"], [rows])
        self._text_inputs = [value.name for value in text_part.graph.input]
        self._set_outputs = ["head", "bias", "generated"] if with_generated else ["head", "bias"]
        set_part = part_between(whole, [ROWS, "class_index"], [outputs[name] for name in self._set_outputs])
        self._set_inputs = [value.name for value in set_part.graph.input]
        self._text = Session(text_part.SerializeToString(), where=f"{WHERE} (text)", n_threads=n_threads)
        self._set = Session(set_part.SerializeToString(), where=f"{WHERE} (classes)", n_threads=n_threads)
        self._tokenizer = tokenizer
        self._manifest = manifest

    def embed(
        self, texts: Sequence[str], *, on_progress: Callable[[int, int], None] = lambda n_done, n_all: None
    ) -> FloatArray:
        """Return the unit vectors of texts, shape (n_texts, text_dim), float32.

        Equal texts are embedded once. The result does not depend on the order of the texts. `on_progress`
        is called with the number of texts done and of all.
        """
        unique = sorted(set(texts))
        token_ids_RT, mask_RT = self._tokenizer.encode(unique)
        lengths = mask_RT.sum(axis=1)
        if self._manifest.text.padding == "context":
            lengths = np.full_like(lengths, token_ids_RT.shape[1])
        by_length = np.argsort(lengths, kind="stable")
        rows = np.zeros((len(unique), self._manifest.head.text_dim), np.float32)
        start = 0
        while start < len(by_length):
            stop = _chunk_stop(lengths[by_length], start)
            chunk = by_length[start:stop]
            longest = int(lengths[chunk].max())
            inputs = {"token_ids": token_ids_RT[chunk, :longest], "mask": mask_RT[chunk, :longest]}
            (result,) = self._text.run([ROWS], {name: inputs[name] for name in self._text_inputs})
            rows[chunk] = self._checked(result, ROWS, (len(chunk), rows.shape[1]))
            start = stop
            on_progress(stop, len(unique))
        place = {text: index for index, text in enumerate(unique)}
        return rows[[place[text] for text in texts]]

    def generate(self, class_text_CE: FloatArray) -> Generated:
        """Return head, bias and generated parameters of a set of classes.

        Parameters
        ----------
        class_text_CE : ndarray of shape (n_classes, text_dim), float32
            Mean of the vectors of each class's texts; the model brings them to unit length.
        """
        n_classes = len(class_text_CE)
        inputs: dict[str, npt.NDArray[np.generic]] = {
            ROWS: class_text_CE,
            "class_index": np.arange(n_classes, dtype=np.int64),
        }
        head, bias, *rest = self._set.run(
            self._set_outputs, {name: inputs[name] for name in self._set_inputs}
        )
        return Generated(
            self._checked(head, "head", (n_classes, self._manifest.head.width)),
            self._checked(bias, "bias", (n_classes,)),
            self._checked(rest[0], "generated", (self._manifest.n_generated,)) if rest else NOTHING,
        )

    def _checked(self, array: npt.NDArray[np.generic], name: str, shape: tuple[int, ...]) -> FloatArray:
        """Return an output of the model if it has the promised shape and only finite values."""
        return checked_output(array, name, shape, where=WHERE)


def _chunk_stop(lengths: npt.NDArray[np.int64], start: int) -> int:
    """Return where a chunk of texts, sorted by length, ends so that it fits the memory."""
    stop = start + 1
    while (
        stop < len(lengths)
        and stop - start < MAX_CHUNK_ROWS
        and (stop + 1 - start) * int(lengths[stop]) <= MAX_CHUNK_TOKENS
    ):
        stop += 1
    return stop
