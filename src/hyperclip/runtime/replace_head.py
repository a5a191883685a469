"""Surgery on a classifier file: another head behind the same image encoder."""

import dataclasses
import itertools

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from hyperclip.errors import InputError
from hyperclip.runtime.adaptation import Adaptation
from hyperclip.runtime.assemble import stamp
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.head_features import feature_nodes
from hyperclip.runtime.metadata import ADAPTED, HeadInfo
from hyperclip.runtime.model_file import parse_model
from hyperclip.version import __version__

__all__ = ["replace_head"]

FloatArray = npt.NDArray[np.float32]
FORMER = "former_logits"


def replace_head(
    classifier: Classifier,
    *,
    weight: FloatArray,
    bias: FloatArray,
    adaptation: Adaptation,
    temperature: float | None,
) -> Classifier:
    """Return a classifier with the logits ``zero_shot_scale * former + features @ weight.T + bias``.

    The embedding, the classes and what is done to pictures stay as they are. Where the former head is
    one matrix and the features are the embedding itself, the two are folded into one matrix again.

    Parameters
    ----------
    classifier : Classifier
        It is not changed.
    weight : ndarray of shape (n_classes, dim), float32
        Of the features that `adaptation` names.
    bias : ndarray of shape (n_classes,), float32
    adaptation : Adaptation
        Written into the file; says the features and `zero_shot_scale`.
    temperature : float or None
        What the new logits are divided by before the softmax.

    Returns
    -------
    Classifier

    Raises
    ------
    InputError
        If the arrays do not fit the classifier or hold values that are not finite.
    """
    metadata = classifier.metadata
    n_classes, dim = len(metadata.class_names), metadata.head.dim
    if weight.shape != (n_classes, dim) or bias.shape != (n_classes,):
        raise InputError(
            f"The head has shapes {weight.shape} and {bias.shape}; expected ({n_classes}, {dim}) and "
            f"({n_classes},); adapt the classifier that it was fitted for."
        )
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise InputError("The head holds values that are not finite; expected numbers; adapt again.")
    model = parse_model(classifier.to_bytes(), where="The classifier")
    scale = np.float32(adaptation.zero_shot_scale)
    former = _linear_head(model) if adaptation.features == "raw" else None
    if former is not None:
        weight = (weight + scale * former[0]).astype(np.float32)
        bias = (bias + scale * former[1]).astype(np.float32)
        scale = np.float32(0)
    kind = "linear" if scale == 0 and adaptation.features == "raw" else ADAPTED
    if scale == 1 and not weight.any() and not bias.any():
        kind = metadata.head.kind  # nothing but the former head: it stays as it is
    else:
        _write_head(model, weight, bias, features=adaptation.features, scale=scale)
    changed = dataclasses.replace(
        metadata,
        head=HeadInfo(kind=kind, activation=metadata.head.activation, dim=dim),
        temperature=temperature,
        threshold=None,  # the former one belongs to other probabilities
        adaptation=adaptation,
        producer=f"hyperclip {__version__}",
    )
    return Classifier(stamp(model, changed.to_values()), verify=False)  # it was written just now


def _linear_head(model: onnx.ModelProto) -> tuple[FloatArray, FloatArray] | None:
    """Return weight and bias of a head that is one matrix, None for any other."""
    makers = [node for node in model.graph.node if "logits" in node.output]
    node = makers[0] if makers else None
    if node is None or node.op_type != "Gemm" or node.input[0] != "embedding" or len(node.input) != 3:
        return None
    attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    if attributes != {"transB": 1}:
        return None
    arrays = {item.name: item for item in model.graph.initializer if item.name in node.input}
    if len(arrays) != 2:
        return None
    weight, bias = (numpy_helper.to_array(arrays[name]) for name in node.input[1:])
    is_float = weight.dtype == np.float32 and bias.dtype == np.float32
    return (weight, bias) if is_float else None


def _write_head(
    model: onnx.ModelProto, weight: FloatArray, bias: FloatArray, *, features: str, scale: np.float32
) -> None:
    """Replace what makes the logits, in place; what nobody reads any more goes."""
    graph = model.graph
    taken = {name for node in graph.node for name in (*node.input, *node.output, node.name)}
    taken |= {tensor.name for tensor in graph.initializer}
    prefix = next(
        name
        for name in (f"adapted{number or ''}/" for number in itertools.count())
        if not any(other.startswith(name) for other in taken)
    )
    for node in graph.node:
        node.input[:] = [prefix + FORMER if name == "logits" else name for name in node.input]
        node.output[:] = [prefix + FORMER if name == "logits" else name for name in node.output]
    new, constants = feature_nodes(features, output=prefix + "features", prefix=prefix)
    read = prefix + "features" if new else "embedding"
    constants[prefix + "weight"] = np.ascontiguousarray(weight, np.float32)
    constants[prefix + "bias"] = np.ascontiguousarray(bias, np.float32)
    fitted = "logits" if scale == 0 else prefix + "fitted"
    new.append(helper.make_node("Gemm", [read, prefix + "weight", prefix + "bias"], [fitted], transB=1))
    if scale != 0:
        constants[prefix + "scale"] = np.array([scale], np.float32)
        new.append(helper.make_node("Mul", [prefix + FORMER, prefix + "scale"], [prefix + "kept"]))
        new.append(helper.make_node("Add", [prefix + "kept", fitted], ["logits"]))
    for index, node in enumerate(new):
        node.name = f"{prefix}{node.op_type}_{index}"
    graph.node.extend(new)
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    _drop_unread(graph)


def _drop_unread(graph: onnx.GraphProto) -> None:
    """Remove operators and constants that no output depends on."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in reversed(kept)]
    tensors = [
        onnx.TensorProto.FromString(tensor.SerializeToString())
        for tensor in graph.initializer
        if tensor.name in needed
    ]
    values = [
        onnx.ValueInfoProto.FromString(value.SerializeToString())
        for value in graph.value_info
        if value.name in needed and value.name != "logits"
    ]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(tensors)
    graph.value_info.extend(values)
