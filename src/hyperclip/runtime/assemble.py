"""Put preprocessing, image encoder and head together into the one ONNX file that a user takes home."""

import hashlib
import json
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from hyperclip.bundle.manifest import MIXTURE_FLOOR, HeadSpec, ImageSpec
from hyperclip.bundle.strict import quote
from hyperclip.errors import BundleError
from hyperclip.runtime.graph import Graph
from hyperclip.runtime.model_file import without_weights
from hyperclip.runtime.preprocess_graph import PIXELS, Parts, preprocessing_nodes
from hyperclip.version import __version__

__all__ = ["FINGERPRINT_KEY", "METADATA_PREFIX", "assemble", "fingerprint_of", "stamp"]

METADATA_PREFIX = "hyperclip."
FINGERPRINT_KEY = "hyperclip.fingerprint"
MAX_FILE_BYTES = 2**31 - 2**20  # what one protobuf message holds, less the graph
IR_VERSION = 8  # what ONNX Runtime 1.14 and everything after it reads

FloatArray = npt.NDArray[np.float32]


def assemble(
    encoder: Graph,
    *,
    head: FloatArray,
    bias: FloatArray,
    head_spec: HeadSpec,
    images: ImageSpec,
    metadata: Mapping[str, object],
) -> bytes:
    """Return the bytes of a classifier file; the same arguments give the same bytes.

    Parameters
    ----------
    encoder : Graph
        From normalized images (batch, 3, S, S) to embeddings (batch, D), folded.
    head : ndarray of shape (n_classes, D), float32
        Or (n_classes, 2 D), as `HeadSpec.width` says.
    bias : ndarray of shape (n_classes,), float32
    head_spec : HeadSpec
        The kind of head; its temperature is not put into the logits.
    images : ImageSpec
        Size, crop, interpolation and normalization that are written into the graph.
    metadata : mapping of str to object
        Key without the prefix ``hyperclip.`` to a value that JSON can hold.

    Returns
    -------
    bytes
        Input ``images`` uint8 (batch, height, width, 3); outputs ``logits`` float32 (batch, n_classes)
        and ``embedding`` float32 (batch, D).

    Raises
    ------
    BundleError
        If the parts do not make a valid ONNX model, or one too large for a file.
    """
    before, constants_before = preprocessing_nodes(images)
    middle, constants_middle = _renamed_encoder(encoder)
    after, constants_after = _head(head, bias, head_spec.kind)
    constants = {**constants_before, **constants_middle, **constants_after}
    n_bytes = sum(array.nbytes for array in constants.values())
    if n_bytes > MAX_FILE_BYTES:
        raise BundleError(
            f"The classifier would have {n_bytes / 1e9:.1f} GB; expected at most 2 GB, which is all that one "
            "ONNX file can hold; use a smaller model."
        )
    nodes = [*before, *middle, *after]
    _name_all(nodes)
    graph = helper.make_graph(
        nodes,
        "hyperclip",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", "height", "width", 3])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(head)]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", head_spec.dim]),
        ],
        [numpy_helper.from_array(np.array(array, order="C"), name) for name, array in constants.items()],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", encoder.opset)],
        ir_version=IR_VERSION,
        producer_name="hyperclip",
        producer_version=__version__,
    )
    try:
        onnx.checker.check_model(without_weights(model), full_check=True)
    except Exception as error:  # the checker and shape inference raise different kinds
        reason = str(error).strip().partition("\n")[0]
        raise BundleError(
            f"The encoder does not make a valid classifier ({quote(reason, 300)}); expected an encoder that "
            "fits its model.json; get the model again."
        ) from error
    return stamp(model, metadata)


def _name_all(nodes: list[onnx.NodeProto]) -> None:
    """Give every node a name of its own: tools that leave out or quantize nodes go by it."""
    taken: set[str] = set()
    for index, node in enumerate(nodes):
        name = node.name or f"{node.op_type}_{index}"
        while name in taken:
            name += "_"
        node.name = name
        taken.add(name)


def stamp(model: onnx.ModelProto, metadata: Mapping[str, object]) -> bytes:
    """Write the metadata and the fingerprint into a model and return its bytes.

    Parameters
    ----------
    model : onnx.ModelProto
        Changed in place: its former ``hyperclip.*`` metadata are replaced, other entries are kept.
    metadata : mapping of str to object
        Key without the prefix to a value that JSON can hold.
    """
    entries = {
        entry.key: entry.value for entry in model.metadata_props if not entry.key.startswith(METADATA_PREFIX)
    }
    for key, value in metadata.items():
        entries[METADATA_PREFIX + key] = json.dumps(
            value, ensure_ascii=False, sort_keys=True, allow_nan=False
        )
    entries[FINGERPRINT_KEY] = '""'
    del model.metadata_props[:]
    for key in sorted(entries):
        model.metadata_props.add(key=key, value=entries[key])
    fingerprint = fingerprint_of(model)
    for entry in model.metadata_props:
        if entry.key == FINGERPRINT_KEY:
            entry.value = json.dumps(fingerprint)
    return bytes(model.SerializeToString(deterministic=True))


def fingerprint_of(model: onnx.ModelProto) -> str:
    """Return the SHA-256 of a classifier's bytes with the fingerprint entry empty; the model is unchanged."""
    for entry in model.metadata_props:
        if entry.key == FINGERPRINT_KEY:
            stored, entry.value = entry.value, '""'
            try:
                return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()
            finally:
                entry.value = stored
    return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()


def _renamed_encoder(encoder: Graph) -> Parts:
    """Return the encoder's nodes with their input connected to the pixels and their output public."""
    taken = {encoder.input_name: PIXELS, encoder.output_name: "embedding"}
    names = {name for node in encoder.nodes for name in (*node.input, *node.output)} | set(encoder.constants)
    for name in names:
        if name in ("images", "logits", "embedding") or name.startswith(("preprocess/", "head/")):
            taken.setdefault(name, f"encoder/{name}")
    nodes = []
    for node in encoder.nodes:
        renamed = onnx.NodeProto()
        renamed.CopyFrom(node)
        renamed.input[:] = [taken.get(name, name) for name in node.input]
        renamed.output[:] = [taken.get(name, name) for name in node.output]
        nodes.append(renamed)
    return nodes, {taken.get(name, name): array for name, array in encoder.constants.items()}


def _head(head: FloatArray, bias: FloatArray, kind: str) -> Parts:
    """Return the nodes from embedding to logits."""
    make = helper.make_node
    mixture, linear = np.split(head, 2, axis=1) if kind == "mixture_plus_linear" else (head, None)
    constants: dict[str, npt.NDArray[np.generic]] = {"head/weight": mixture, "head/bias": bias}
    if kind == "linear":
        nodes = [make("Gemm", ["embedding", "head/weight", "head/bias"], ["logits"], transB=1)]
    else:
        constants["head/floor"] = np.array([MIXTURE_FLOOR], np.float32)
        nodes = [
            make("Softmax", ["embedding"], ["head/shares"], axis=1),
            make("Gemm", ["head/shares", "head/weight", "head/floor"], ["head/mixed"], transB=1),
            make("Log", ["head/mixed"], ["head/log"]),
        ]
        rest = "head/bias"
        if linear is not None:
            constants["head/linear"] = linear
            nodes.append(make("Gemm", ["embedding", "head/linear", "head/bias"], ["head/straight"], transB=1))
            rest = "head/straight"
        nodes.append(make("Add", ["head/log", rest], ["logits"]))
    for node in nodes:
        node.name = f"head/{node.op_type}{'_linear' if 'head/linear' in node.input else ''}"
    return nodes, constants
