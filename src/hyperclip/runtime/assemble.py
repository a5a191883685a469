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
from hyperclip.version import __version__

__all__ = ["FINGERPRINT_KEY", "METADATA_PREFIX", "assemble", "fingerprint_of", "stamp"]

METADATA_PREFIX = "hyperclip."
FINGERPRINT_KEY = "hyperclip.fingerprint"
IR_VERSION = 8  # what ONNX Runtime 1.14 and everything after it reads
PILLOW_CUBIC_A = -0.5
PIXELS = "preprocess/pixels"  # normalized float32 (batch, 3, S, S)
INTERPOLATIONS = {"bicubic": "cubic", "bilinear": "linear"}

FloatArray = npt.NDArray[np.float32]
Parts = tuple[list[onnx.NodeProto], dict[str, npt.NDArray[np.generic]]]


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
        If the parts do not make a valid ONNX model.
    """
    before, constants_before = _preprocessing(images)
    middle, constants_middle = _renamed_encoder(encoder)
    after, constants_after = _head(head, bias, head_spec.kind)
    constants = {**constants_before, **constants_middle, **constants_after}
    nodes = [*before, *middle, *after]
    for index, node in enumerate(nodes):
        node.name = node.name or f"{node.op_type}_{index}"
    graph = helper.make_graph(
        nodes,
        "hyperclip",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", "height", "width", 3])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(head)]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", head_spec.dim]),
        ],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", encoder.opset)],
        ir_version=IR_VERSION,
        producer_name="hyperclip",
        producer_version=__version__,
    )
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # the checker and shape inference raise different kinds
        reason = str(error).strip().partition("\n")[0]
        raise BundleError(
            f"The encoder does not make a valid classifier ({quote(reason, 300)}); expected an encoder that "
            "fits its model.json; get the model again."
        ) from error
    return stamp(model, metadata)


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


def _preprocessing(images: ImageSpec) -> Parts:
    """Return the nodes from uint8 images of any size to normalized pixels.

    The square is cut out before the resize, so that a picture of extreme proportions costs nothing;
    `hyperclip.runtime.preprocess.fit_image` does the same with Pillow.
    """
    make = helper.make_node
    size_px = images.size_px
    scale = np.array([255.0, 255.0, 255.0], np.float64)
    constants: dict[str, npt.NDArray[np.generic]] = {
        "preprocess/size": np.array([size_px, size_px], np.int64),
        "preprocess/black": np.array(0.0, np.float32),
        "preprocess/white": np.array(255.0, np.float32),
        "preprocess/mean": (np.array(images.mean) * scale).astype(np.float32).reshape(1, 3, 1, 1),
        "preprocess/gain": (1.0 / (np.array(images.std) * scale)).astype(np.float32).reshape(1, 3, 1, 1),
    }
    nodes: list[onnx.NodeProto] = []
    source = "images"
    if images.resize == "crop":
        nodes, crop_constants = _crop_nodes(images.crop_ratio)
        constants.update(crop_constants)
        source = "preprocess/square"
    cubic = {"cubic_coeff_a": PILLOW_CUBIC_A} if images.interpolation == "bicubic" else {}
    nodes += [
        make("Transpose", [source], ["preprocess/planes"], perm=[0, 3, 1, 2]),
        make("Cast", ["preprocess/planes"], ["preprocess/float"], to=TensorProto.FLOAT),
        make(
            "Resize",
            ["preprocess/float", "", "", "preprocess/size"],
            ["preprocess/resized"],
            mode=INTERPOLATIONS[images.interpolation],
            antialias=1,
            axes=[2, 3],
            exclude_outside=1,  # Pillow normalizes the weights inside the picture
            **cubic,
        ),
        make("Round", ["preprocess/resized"], ["preprocess/levels"]),
        make("Clip", ["preprocess/levels", "preprocess/black", "preprocess/white"], ["preprocess/clipped"]),
        make("Sub", ["preprocess/clipped", "preprocess/mean"], ["preprocess/centered"]),
        make("Mul", ["preprocess/centered", "preprocess/gain"], [PIXELS]),
    ]
    for node in nodes:
        node.name = node.output[0]
    return nodes, constants


def _crop_nodes(crop_ratio: float) -> Parts:
    """Return the nodes that cut out the centered square of side max(1, round(shorter side * ratio))."""
    make = helper.make_node
    constants: dict[str, npt.NDArray[np.generic]] = {
        "preprocess/spatial_axes": np.array([1, 2], np.int64),
        "preprocess/two": np.array([2], np.int64),
    }
    nodes = [
        make("Shape", ["images"], ["preprocess/sides"], start=1, end=3),
        make("ReduceMin", ["preprocess/sides"], ["preprocess/shorter"], keepdims=1),
    ]
    side = "preprocess/shorter"
    if crop_ratio != 1.0:
        constants["preprocess/ratio"] = np.array([crop_ratio], np.float64)
        constants["preprocess/half"] = np.array([0.5], np.float64)
        constants["preprocess/one"] = np.array([1], np.int64)
        nodes += [
            make("Cast", [side], ["preprocess/shorter_real"], to=TensorProto.DOUBLE),
            make("Mul", ["preprocess/shorter_real", "preprocess/ratio"], ["preprocess/side_real"]),
            make("Add", ["preprocess/side_real", "preprocess/half"], ["preprocess/side_half_up"]),
            make("Floor", ["preprocess/side_half_up"], ["preprocess/side_floor"]),
            make("Cast", ["preprocess/side_floor"], ["preprocess/side_whole"], to=TensorProto.INT64),
            make("Max", ["preprocess/side_whole", "preprocess/one"], ["preprocess/side"]),
        ]
        side = "preprocess/side"
    nodes += [
        make("Sub", ["preprocess/sides", side], ["preprocess/margins"]),
        make("Div", ["preprocess/margins", "preprocess/two"], ["preprocess/starts"]),
        make("Add", ["preprocess/starts", side], ["preprocess/ends"]),
        make(
            "Slice",
            ["images", "preprocess/starts", "preprocess/ends", "preprocess/spatial_axes"],
            ["preprocess/square"],
        ),
    ]
    return nodes, constants


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
    constants: dict[str, npt.NDArray[np.generic]] = {"head/weight": head, "head/bias": bias}
    if kind == "linear":
        nodes = [make("Gemm", ["embedding", "head/weight", "head/bias"], ["logits"], transB=1)]
    else:
        constants["head/floor"] = np.array([MIXTURE_FLOOR], np.float32)
        nodes = [
            make("Softmax", ["embedding"], ["head/shares"], axis=1),
            make("Gemm", ["head/shares", "head/weight", "head/floor"], ["head/mixed"], transB=1),
            make("Log", ["head/mixed"], ["head/log"]),
            make("Add", ["head/log", "head/bias"], ["logits"]),
        ]
    for node in nodes:
        node.name = f"head/{node.op_type}"
    return nodes, constants
