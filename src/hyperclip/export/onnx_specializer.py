"""Text encoder, hypernetwork and head as the bundle's ``specializer.onnx``.

Three parts are joined: texts to ``row_text``, rows to ``class_text`` (mean by class, written by hand
since the number of classes is only known when it runs), and classes to head, bias and parameters.

Legend: n texts, T tokens, C classes, E text dim, D embedding dim, P generated parameters.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from hyperclip.errors import BundleError
from hyperclip.export.onnx_encoder import IR_VERSION, OPSET, torch_to_onnx
from hyperclip.models import HyperCLIP
from hyperclip.models.imported_text import ImportedTextEncoder

__all__ = ["join_parts", "specializer_to_onnx"]

_FLOAT, _INT = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64


class _ClassPart(nn.Module):
    """Class embeddings to head, bias and final parameters."""

    def __init__(self, model: HyperCLIP) -> None:
        super().__init__()
        self.head = copy.deepcopy(model.head)
        self.hypernetwork = copy.deepcopy(model.hypernetwork)
        self.base = nn.Parameter(model.image_encoder.base_parameters().detach().clone())
        encoder = model.image_encoder
        self.n_norms = encoder.n_norm_parameters
        self.is_scale = nn.Buffer(encoder.scale_mask()[: self.n_norms].float())
        self.units = encoder.weight_units()
        self.sizes = [conv.weight.numel() for conv in encoder.pointwise()]

    def forward(self, class_text: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        head = self.head(class_text)
        if self.hypernetwork is None:
            return head.weight_CD, head.bias_C, self.base * 1.0
        delta = self.hypernetwork(class_text[None])[0]
        if not self.sizes:
            return head.weight_CD, head.bias_C, self._with_norms(self.base, delta)
        base, delta = (torch.split(values, [self.n_norms, *self.sizes]) for values in (self.base, delta))
        final = [self._with_norms(base[0], delta[0])] if self.n_norms else []
        final += [b + unit * d for b, d, unit in zip(base[1:], delta[1:], self.units, strict=True)]
        return head.weight_CD, head.bias_C, torch.cat(final)

    def _with_norms(self, base: Tensor, delta: Tensor) -> Tensor:
        """Final scales and shifts of learnt ones and changes."""
        return base + delta * (self.is_scale * base + (1 - self.is_scale))


def specializer_to_onnx(model: HyperCLIP, *, half: bool = True) -> bytes:
    """Write the upper half of a model.

    Parameters
    ----------
    model : HyperCLIP
        With a text encoder; left as it is.
    half : bool
        Store weights as float16; token embeddings, large matrices of a text encoder of ours and the
        hypernetwork's last layer as int8 with a scale a token, a row or a column.

    Returns
    -------
    bytes
        Inputs ``token_ids`` (n, T), ``mask`` (n, T), ``class_index`` (n,), all int64; outputs ``head``
        (C, D), ``bias`` (C,), ``generated`` (P,), float32. Every class needs a row. The same for the same
        model.

    Raises
    ------
    BundleError
        If the model has no text encoder.
    """
    if model.text_encoder is None:
        raise BundleError("The model has no text encoder; expected one; give it to HyperCLIP.")
    classes = torch.export.Dim("classes", min=2, max=1 << 20)
    n_tokens, axes = _token_axes(model.text_encoder)
    example = torch.ones(3, n_tokens, dtype=torch.int64)
    text = torch_to_onnx(
        copy.deepcopy(model.text_encoder).float(),
        (example, example.clone()),
        names=["token_ids", "mask"],
        outputs=["row_text"],
        dynamic=(axes, axes),
    )
    dim = model.config.head.text_dim
    example = nn.functional.normalize(torch.randn(5, dim, generator=torch.Generator().manual_seed(0)), dim=-1)
    rest = torch_to_onnx(
        _ClassPart(model).float(),
        (example,),
        names=["class_text"],
        outputs=["head", "bias", "generated"],
        dynamic=({0: classes},),
    )
    is_imported = isinstance(model.text_encoder, ImportedTextEncoder)
    return join_parts(text, rest, half=half, is_text_coarse=not is_imported)


def _token_axes(encoder: nn.Module) -> tuple[int, dict[int, Any]]:
    """Tokens of an example, and the axes of the token ids that may have any size."""
    axes: dict[int, Any] = {0: torch.export.Dim("n", min=2, max=1 << 20)}
    if not isinstance(encoder, ImportedTextEncoder):
        return 7, axes | {1: torch.export.Dim("tokens", min=2, max=1 << 20)}
    length = encoder.config.context_length
    if encoder.config.is_padded:
        return length, axes
    return min(7, length), axes | {1: torch.export.Dim("tokens", min=2, max=length)}


def _mean_by_class() -> list[onnx.NodeProto]:
    """Rows of unit length and their class to unit class means."""
    node = helper.make_node
    return [
        node("ReduceMax", ["class_index"], ["last_class"], keepdims=1),
        node("Add", ["last_class", "middle.one"], ["n_classes"]),
        node("Shape", ["row_text"], ["text_dim"], start=1, end=2),
        node("Concat", ["n_classes", "text_dim"], ["class_shape"], axis=0),
        node("ConstantOfShape", ["class_shape"], ["class_zeros"]),
        node("Unsqueeze", ["class_index", "middle.last_axis"], ["class_rows"]),
        node("ScatterND", ["class_zeros", "class_rows", "row_text"], ["class_sum"], reduction="add"),
        node("ReduceL2", ["class_sum", "middle.last_axis"], ["class_length"], keepdims=1),
        node("Max", ["class_length", "middle.tiny"], ["class_length_safe"]),
        node("Div", ["class_sum", "class_length_safe"], ["class_text"]),
    ]


def join_parts(
    text: onnx.ModelProto, rest: onnx.ModelProto, *,
    half: bool | Callable[[np.ndarray[Any, Any]], bool], is_text_coarse: bool = True,
) -> bytes:  # fmt: skip
    """Join the text part and the class part with the mean by class between them.

    Parameters
    ----------
    text : onnx.ModelProto
        ``token_ids`` and ``mask`` to ``row_text``.
    rest : onnx.ModelProto
        ``class_text`` to ``head``, ``bias`` and ``generated``.
    half : bool or callable
        Store weights in fewer bits, as `specializer_to_onnx` says; or: store those in float16 of which the
        callable says so, and no others.
    is_text_coarse : bool
        Whether eight bits a weight do for the text encoder.
    """
    chosen, half = (half, False) if callable(half) else ((lambda array: False), half)
    text_nodes, text_constants = _parts(text, "text/", {"token_ids", "mask", "row_text"})
    rest_nodes, rest_constants = _parts(rest, "class/", {"class_text", "head", "bias", "generated"})
    if half and is_text_coarse:
        text_nodes = _quantize_embedding(text_nodes, text_constants)
    constants: dict[str, Any] = {**text_constants, **rest_constants}
    nodes: list[onnx.NodeProto] = []
    tensors = []
    for name, array in sorted(constants.items()):
        if half and _is_coarse(name, array, is_text_coarse):
            tensors += _as_int8(name, array)
            nodes += [
                helper.make_node("Cast", [f"{name}.int8"], [f"{name}.wide"], to=_FLOAT),
                helper.make_node("Mul", [f"{name}.wide", f"{name}.scale"], [name]),
            ]
        elif (
            array.dtype == np.float32
            and array.size > 1024
            and not name.endswith((".row_scale", "/base"))
            and (half or chosen(array))
        ):
            tensors.append(numpy_helper.from_array(array.astype(np.float16), f"{name}.half"))
            nodes.append(helper.make_node("Cast", [f"{name}.half"], [name], to=_FLOAT))
        else:
            tensors.append(numpy_helper.from_array(np.array(array, order="C"), name))
    tensors += [
        numpy_helper.from_array(np.array([1], np.int64), "middle.one"),
        numpy_helper.from_array(np.array([1], np.int64), "middle.last_axis"),
        numpy_helper.from_array(np.array(1e-9, np.float32), "middle.tiny"),
    ]
    graph = helper.make_graph(
        [*nodes, *text_nodes, *_mean_by_class(), *rest_nodes],
        "specializer",
        [
            helper.make_tensor_value_info("token_ids", _INT, ["n", "tokens"]),
            helper.make_tensor_value_info("mask", _INT, ["n", "tokens"]),
            helper.make_tensor_value_info("class_index", _INT, ["n"]),
        ],
        [
            helper.make_tensor_value_info("head", _FLOAT, ["classes", "dim"]),
            helper.make_tensor_value_info("bias", _FLOAT, ["classes"]),
            helper.make_tensor_value_info("generated", _FLOAT, ["parameters"]),
        ],
        tensors,
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="hyperclip",
    )
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _is_coarse(name: str, array: np.ndarray[Any, Any], is_text_coarse: bool) -> bool:
    """Whether eight bits a weight do: the Transformer's matrices and the hypernetwork's last layer."""
    is_matrix = array.dtype == np.float32 and array.ndim == 2 and array.size >= 32_768
    is_text = name.startswith("text/") and is_text_coarse
    return is_matrix and (name == "class/hypernetwork.out.weight" or is_text)


def _as_int8(name: str, array: np.ndarray[Any, Any]) -> list[onnx.TensorProto]:
    """A matrix as whole numbers with a scale for each place of its longer axis."""
    largest = np.abs(array).max(axis=int(array.shape[0] >= array.shape[1]), keepdims=True)
    scale = (np.maximum(largest, 1e-8) / 127).astype(np.float32)
    return [
        numpy_helper.from_array(np.rint(array / scale).astype(np.int8), f"{name}.int8"),
        numpy_helper.from_array(scale, f"{name}.scale"),
    ]


def _parts(
    model: onnx.ModelProto, prefix: str, public: set[str]
) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray[Any, Any]]]:
    """Nodes and constants under names with a prefix, except the public ones; no traces of the exporter."""

    def renamed(name: str) -> str:
        return name if not name or name in public else prefix + name

    constants = {renamed(t.name): numpy_helper.to_array(t) for t in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[renamed(node.output[0])] = numpy_helper.to_array(node.attribute[0].t)
            continue
        bare = onnx.NodeProto(op_type=node.op_type, name=prefix + node.name, domain=node.domain)
        bare.input.extend(renamed(name) for name in node.input)
        bare.output.extend(renamed(name) for name in node.output)
        bare.attribute.extend(node.attribute)
        nodes.append(bare)
    return nodes, constants


def _quantize_embedding(
    nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray[Any, Any]]
) -> list[onnx.NodeProto]:
    """Store the token embeddings as int8 with one scale a token; rows are widened after the look-up."""
    name = "text/token_embedding.weight"
    readers = [(node.op_type, i) for node in nodes for i, given in enumerate(node.input) if given == name]
    if name not in constants or set(readers) != {("Gather", 0)}:
        return nodes  # another text encoder, whose embeddings are stored like other weights
    weight = constants.pop(name)
    scale = np.maximum(np.abs(weight).max(axis=1, keepdims=True), 1e-8) / 127
    constants[f"{name}.int8"] = np.rint(weight / scale).astype(np.int8)
    constants[f"{name}.row_scale"] = scale.astype(np.float32)
    out = []
    for node in nodes:
        if node.op_type == "Gather" and node.input[0] == name:
            ids, result = node.input[1], node.output[0]
            out += [
                helper.make_node("Gather", [f"{name}.int8", ids], [f"{result}.int8"]),
                helper.make_node("Cast", [f"{result}.int8"], [f"{result}.wide"], to=_FLOAT),
                helper.make_node("Gather", [f"{name}.row_scale", ids], [f"{result}.scale"]),
                helper.make_node("Mul", [f"{result}.wide", f"{result}.scale"], [result]),
            ]
        else:
            out.append(node)
    return out
