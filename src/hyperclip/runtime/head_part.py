"""The head of a classifier file by itself: from embeddings to logits, whatever operators it consists of."""

from typing import Any, cast

import numpy as np
import numpy.typing as npt
import onnx

from hyperclip.errors import BundleError
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.model_file import parse_model
from hyperclip.runtime.session import Session
from hyperclip.runtime.split import part_between

__all__ = ["HeadPart"]

FloatArray = npt.NDArray[np.float32]
CHUNK_ROWS = 4096


class HeadPart:
    """What a classifier file computes from its embedding.

    Parameters
    ----------
    classifier : Classifier

    Attributes
    ----------
    class_names : tuple of str
        In the order of the logits.
    temperature : float
        What the file divides logits by before the softmax; 1 where none was fitted.

    Raises
    ------
    BundleError
        If the logits of the file do not come from its embedding alone.
    """

    def __init__(self, classifier: Classifier) -> None:
        model = parse_model(classifier.to_bytes(), where="The classifier")
        logits = onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["n", None])
        self._model = part_between(model, ["embedding"], [logits]).SerializeToString()
        self._session: Session | None = None
        self.class_names = classifier.metadata.class_names
        self.temperature = classifier.metadata.temperature or 1.0

    def logits(self, embeddings: npt.NDArray[Any]) -> FloatArray:
        """Return the logits of embeddings of shape (n, dim), as the file gives them, without temperature."""
        if self._session is None:
            self._session = Session(self._model, where="The head of the classifier", n_threads=1)
        parts = [np.zeros((0, len(self.class_names)), np.float32)]
        for start in range(0, len(embeddings), CHUNK_ROWS):
            rows = np.ascontiguousarray(embeddings[start : start + CHUNK_ROWS], np.float32)
            (logits,) = self._session.run(["logits"], {"embedding": rows})
            parts.append(cast(FloatArray, logits))
        result = np.concatenate(parts)
        if not np.isfinite(result).all():
            raise BundleError(
                "The head of the classifier gives logits that are not finite; expected numbers; "
                "specialize again."
            )
        return result

    def __getstate__(self) -> dict[str, Any]:
        """Leave the session out: it cannot be copied and is made again when needed."""
        return {**self.__dict__, "_session": None}
