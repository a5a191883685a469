"""A hypernetwork of the bundle's own: class embeddings to encoder parameters, beside any specializer.

A model that shares another one's ``specializer.onnx`` has an encoder that the other knows nothing of;
what changes it with the names is a small file of its own.

Shape letters: C classes, E text dim, P generated parameters.
"""

import numpy as np
import numpy.typing as npt

from hyperclip.bundle.manifest import Manifest
from hyperclip.bundle.strict import quote
from hyperclip.errors import BundleError
from hyperclip.runtime.model_file import parse_model
from hyperclip.runtime.output_check import checked_output
from hyperclip.runtime.session import Session

__all__ = ["HYPERNETWORK", "Hypernetwork"]

HYPERNETWORK = "hypernetwork.onnx"
TINY = np.float32(1e-12)  # texts that cancel out must not divide by zero

FloatArray = npt.NDArray[np.float32]


class Hypernetwork:
    """Runs ``hypernetwork.onnx``.

    Parameters
    ----------
    model : bytes
        Content of the file.
    manifest : Manifest
        Says how many values to expect.
    n_threads : int, optional
        As in `Session`.

    Raises
    ------
    BundleError
        If the model does not map ``class_text`` to ``generated``.
    """

    def __init__(self, model: bytes, manifest: Manifest, *, n_threads: int | None = None) -> None:
        graph = parse_model(model, where=HYPERNETWORK).graph
        stored = {tensor.name for tensor in graph.initializer}
        inputs = [value.name for value in graph.input if value.name not in stored]
        outputs = [value.name for value in graph.output]
        if inputs != ["class_text"] or outputs != ["generated"]:
            raise BundleError(
                f"{HYPERNETWORK} maps {quote(inputs)} to {quote(outputs)}; expected ['class_text'] to "
                "['generated']; export it again."
            )
        self._session = Session(model, where=HYPERNETWORK, n_threads=n_threads)
        self._n_generated = manifest.n_generated

    def generate(self, class_text_CE: FloatArray) -> FloatArray:
        """Return the parameters for a set of classes, shape (n_generated,), float32.

        Parameters
        ----------
        class_text_CE : ndarray of shape (n_classes, text_dim), float32
            Mean of the vectors of each class's texts; brought to unit length here.
        """
        length_C1 = np.linalg.norm(class_text_CE, axis=1, keepdims=True)
        unit_CE = np.asarray(class_text_CE / np.maximum(length_C1, TINY), np.float32)
        (generated,) = self._session.run(["generated"], {"class_text": unit_CE})
        return checked_output(generated, "generated", (self._n_generated,), where=HYPERNETWORK)
