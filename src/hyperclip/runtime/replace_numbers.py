"""Surgery on a classifier file: other numbers in the same graph, so the same nodes, cost and bytes."""

import dataclasses
from collections import Counter
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, numpy_helper

from hyperclip.bundle.strict import quote
from hyperclip.errors import InputError
from hyperclip.runtime.adaptation import Adaptation
from hyperclip.runtime.assemble import stamp
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.model_file import parse_model
from hyperclip.version import __version__

__all__ = ["replace_numbers", "stored_numbers"]

FloatArray = npt.NDArray[np.float32]


def stored_numbers(classifier: Classifier) -> dict[str, FloatArray]:
    """Return the float32 constants of a classifier's graph that exactly one operator reads, by name."""
    graph = parse_model(classifier.to_bytes(), where="The classifier").graph
    n_readers = Counter(name for node in graph.node for name in node.input)
    return {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if tensor.data_type == TensorProto.FLOAT and n_readers[tensor.name] == 1
    }


def replace_numbers(
    classifier: Classifier,
    arrays: Mapping[str, FloatArray],
    *,
    adaptation: Adaptation,
    temperature: float | None,
) -> Classifier:
    """Return a classifier with other values of some constants; operators and all sizes stay as they are.

    Parameters
    ----------
    classifier : Classifier
        It is not changed.
    arrays : mapping of str to ndarray, float32
        Of the shapes of the constants whose names are the keys.
    adaptation : Adaptation
        Written into the file.
    temperature : float or None
        What the logits are divided by before the softmax.

    Returns
    -------
    Classifier

    Raises
    ------
    InputError
        If there is no such constant, a shape differs, or a value is not finite.
    """
    model = parse_model(classifier.to_bytes(), where="The classifier")
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for name, array in arrays.items():
        tensor = tensors.get(name)
        if tensor is None or tensor.data_type != TensorProto.FLOAT or tuple(tensor.dims) != array.shape:
            raise InputError(
                f"The numbers for {quote(name)} have shape {array.shape}; expected those of a float32 "
                "constant of the classifier; change the classifier that they were made for."
            )
        if not np.isfinite(array).all():
            raise InputError(
                f"The numbers for {quote(name)} are not all finite; expected numbers; train with a smaller "
                "rate."
            )
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name))
    changed = dataclasses.replace(
        classifier.metadata,
        temperature=temperature,
        adaptation=adaptation,
        producer=f"hyperclip {__version__}",
    )
    return Classifier(stamp(model, changed.to_values()), verify=False)  # it was written just now
