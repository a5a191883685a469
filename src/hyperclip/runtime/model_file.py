"""ONNX files that may come from anywhere: what is refused before a runtime sees them.

A model file is a program. Refused are files that reach outside themselves (external data, operators
of other domains, code in subgraphs and functions) and files that claim more memory than they have.
"""

import math
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from hyperclip.bundle.checksum import read_capped
from hyperclip.bundle.strict import quote
from hyperclip.errors import BundleError

__all__ = ["MAX_MODEL_BYTES", "parse_model", "read_model_file", "without_weights"]

MAX_MODEL_BYTES = 2**31 - 1  # what one protobuf message can hold
MAX_ELEMENTS = 2**28  # of one tensor per item of a batch: 1 GB in float32
MAX_NODES = 50_000
MAX_RANK = 8
OPSETS = range(18, 24)
IR_VERSIONS = range(8, 12)
STANDARD_DOMAINS = ("", "ai.onnx")
SMALL_TENSOR_BYTES = 4096  # enough for shapes, whose values decide how large other tensors get

BITS_PER_ELEMENT = {
    onnx.TensorProto.FLOAT: 32,
    onnx.TensorProto.FLOAT16: 16,
    onnx.TensorProto.BFLOAT16: 16,
    onnx.TensorProto.DOUBLE: 64,
    onnx.TensorProto.INT8: 8,
    onnx.TensorProto.INT16: 16,
    onnx.TensorProto.INT32: 32,
    onnx.TensorProto.INT64: 64,
    onnx.TensorProto.UINT8: 8,
    onnx.TensorProto.UINT16: 16,
    onnx.TensorProto.UINT32: 32,
    onnx.TensorProto.UINT64: 64,
    onnx.TensorProto.BOOL: 8,
}
TYPED_FIELDS = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")


def read_model_file(path: str | Path) -> bytes:
    """Return the content of a model file of at most 2 GB.

    Raises
    ------
    BundleError
        If there is no such file, or it is a folder, empty or too large.
    """
    data = read_capped(Path(path), max_bytes=MAX_MODEL_BYTES)
    if not data:
        raise BundleError(
            f"{quote(str(path), 300)} is empty; expected a classifier file; write it again with "
            "`hyperclip specialize`."
        )
    return data


def parse_model(data: bytes, *, where: str) -> onnx.ModelProto:
    """Parse an ONNX model and refuse one that is not self-contained, standard and of honest size.

    Parameters
    ----------
    data : bytes
        The serialized model.
    where : str
        What to call it in messages.

    Returns
    -------
    onnx.ModelProto
        Opset 18 to 23, IR version 8 to 11, standard operators only, no subgraphs, no functions.

    Raises
    ------
    BundleError
        If any of this does not hold.
    """
    if len(data) > MAX_MODEL_BYTES:
        raise BundleError(
            f"{where} has {len(data)} bytes; expected at most {MAX_MODEL_BYTES}; use a smaller model."
        )
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, RecursionError) as error:
        raise BundleError(
            f"{where} is not an ONNX file, or was cut off; expected a whole ONNX model; get the file again."
        ) from error
    if not model.graph.node:
        raise BundleError(
            f"{where} holds no ONNX model; expected one with operators; check that it is the right file."
        )
    _check_names(model, where)
    _check_versions(model, where)
    _check_structure(model, where)
    tensors = [*model.graph.initializer]
    for node in model.graph.node:
        tensors += _check_node(node, where)
    for tensor in tensors:
        _check_tensor(tensor, where)
    _check_declared_sizes(model, where)
    return model


def _check_names(model: onnx.ModelProto, where: str) -> None:
    """Refuse names that are not UTF-8, which protobuf hands over as bytes."""
    graph = model.graph
    names = [text for entry in model.metadata_props for text in (entry.key, entry.value)]
    names += [item.name for item in (*graph.initializer, *graph.input, *graph.output, *graph.value_info)]
    for node in graph.node:
        names += (node.name, node.op_type, node.domain, *node.input, *node.output)
        names += [attribute.name for attribute in node.attribute]
    broken = [name for name in names if not isinstance(name, str)]
    if broken:
        raise BundleError(
            f"{where} holds the name {quote(broken[0])}; expected UTF-8 text; get the file again."
        )


def _check_versions(model: onnx.ModelProto, where: str) -> None:
    """Check the IR version and that only one, standard operator set is used."""
    if model.ir_version not in IR_VERSIONS:
        raise BundleError(
            f"{where} has IR version {model.ir_version}; expected {IR_VERSIONS[0]} to {IR_VERSIONS[-1]}; "
            "export it with IR version 8."
        )
    for opset in model.opset_import:
        if opset.domain not in STANDARD_DOMAINS:
            raise _foreign(where, opset.domain)
        if opset.version not in OPSETS:
            raise BundleError(
                f"{where} uses operator set {opset.version}; expected {OPSETS[0]} to {OPSETS[-1]}; "
                "export it with operator set 18."
            )
    if not model.opset_import:
        raise BundleError(f"{where} names no operator set; expected 18; export it with operator set 18.")


def _check_structure(model: onnx.ModelProto, where: str) -> None:
    """Refuse parts that no classifier needs and that could hide code or data."""
    for present, what in (
        (model.functions, "functions"),
        (model.training_info, "training steps"),
        (model.graph.sparse_initializer, "sparse tensors"),
        (model.graph.quantization_annotation, "quantization annotations"),
    ):
        if present:
            raise BundleError(
                f"{where} holds {what}; expected plain operators and tensors; export the model without them."
            )
    if len(model.graph.node) > MAX_NODES:
        raise BundleError(
            f"{where} has {len(model.graph.node)} operators; expected at most {MAX_NODES}; "
            "check that it is the right file."
        )


def _foreign(where: str, domain: str) -> BundleError:
    """Say that an operator is not a standard one."""
    return BundleError(
        f"{where} uses operators of the domain {quote(domain)}; expected standard ONNX operators only; "
        "export it without custom operators."
    )


def _check_node(node: onnx.NodeProto, where: str) -> list[onnx.TensorProto]:
    """Check one operator and return the tensors in its attributes."""
    if node.domain not in STANDARD_DOMAINS:
        raise _foreign(where, node.domain)
    tensors: list[onnx.TensorProto] = []
    for attribute in node.attribute:
        if attribute.HasField("g") or attribute.graphs or attribute.HasField("sparse_tensor"):
            raise BundleError(
                f"{where} holds a subgraph or sparse tensor in {quote(node.op_type)}; expected a plain "
                "graph; "
                "export the model without control flow."
            )
        if attribute.HasField("t"):
            tensors.append(attribute.t)
        tensors += attribute.tensors
    return tensors


def _check_tensor(tensor: onnx.TensorProto, where: str) -> None:
    """Check that a tensor lies inside the file and has exactly the bytes that its shape needs."""
    name = quote(tensor.name)
    if tensor.data_location != onnx.TensorProto.DEFAULT or tensor.external_data:
        raise BundleError(
            f"{where} keeps the tensor {name} in another file; expected all data inside; "
            "save the model as a single file."
        )
    bits = BITS_PER_ELEMENT.get(tensor.data_type)
    if bits is None or tensor.HasField("segment"):
        raise BundleError(
            f"{where} has the tensor {name} of data type {tensor.data_type}; expected plain numbers; "
            "export it with float or integer weights."
        )
    if len(tensor.dims) > MAX_RANK or any(dim < 0 for dim in tensor.dims):
        raise BundleError(
            f"{where} has the tensor {name} of shape {quote(list(tensor.dims))}; expected at most {MAX_RANK} "
            "sides of 0 or more; get the file again."
        )
    n_elements = math.prod(tensor.dims)
    if tensor.HasField("raw_data"):
        fits = n_elements * bits == len(tensor.raw_data) * 8
    else:
        fits = n_elements == sum(len(getattr(tensor, field)) for field in TYPED_FIELDS)
    if not fits:
        raise BundleError(
            f"{where} has the tensor {name} of declared shape {quote(list(tensor.dims))}, which its data do "
            "not fill; expected as many values as declared; get the file again."
        )


def _check_declared_sizes(model: onnx.ModelProto, where: str) -> None:
    """Refuse a model of which some tensor would get enormous when it runs.

    Shapes are inferred without the weights' values, so that this costs little; sides that are only
    known when pictures come (batch, height, width) count as 1.
    """
    skeleton = without_weights(model)
    try:
        inferred = onnx.shape_inference.infer_shapes(skeleton, data_prop=True)
    except Exception as error:  # the C++ side raises several kinds
        reason = str(error).strip().partition("\n")[0]
        raise BundleError(
            f"{where} is not a consistent ONNX model ({quote(reason, 200)}); expected shapes that fit; "
            "get the file again."
        ) from error
    values = [
        *inferred.graph.value_info,
        *inferred.graph.output,
        *model.graph.value_info,
        *skeleton.graph.input,
    ]
    for value in values:
        dims = [dim.dim_value for dim in value.type.tensor_type.shape.dim if dim.HasField("dim_value")]
        if any(dim < 0 for dim in dims) or math.prod(max(1, dim) for dim in dims) > MAX_ELEMENTS:
            raise BundleError(
                f"{where} declares the tensor {quote(value.name)} of shape {quote(dims)}; expected at most "
                f"{MAX_ELEMENTS} values; check that it is the right file."
            )


def without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model of the same shapes in which large constants are inputs: small, and so quick to check."""
    skeleton = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    graph = skeleton.graph
    graph.name = "skeleton"
    graph.node.extend(model.graph.node)
    graph.input.extend(model.graph.input)
    graph.output.extend(model.graph.output)
    known_inputs = {value.name for value in model.graph.input}
    for tensor in model.graph.initializer:
        if _declared_bytes(tensor) <= SMALL_TENSOR_BYTES:
            graph.initializer.append(tensor)
        elif tensor.name not in known_inputs:
            graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            )
    return skeleton


def _declared_bytes(tensor: onnx.TensorProto) -> int:
    """Return the bytes that the shape stands for; `ByteSize` would copy the values twice to count them."""
    n_elements: int = math.prod(tensor.dims)
    return n_elements * BITS_PER_ELEMENT.get(tensor.data_type, 64) // 8
