"""An image encoder as ONNX whose generated parameters are named constants.

Each conditioned norm becomes ``Mul(scale)`` and ``Add(shift)``. What BatchNorm's statistics do before
that is folded into the convolution, and constant padding moves into its ``pads``. Behind a convolution
with generated weights the statistics stay a Mul and an Add, which the shop folds once the weights are
final.

Legend: B images in a batch, F channels, H W pixels.
"""

import copy
import dataclasses
import warnings
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from hyperclip.errors import BundleError
from hyperclip.models import ImageEncoder
from hyperclip.models.conditioned_norm import ConditionedNorm
from hyperclip.runtime.fold import fold_norms
from hyperclip.runtime.graph import Graph, node_attribute, read_graph

__all__ = ["IR_VERSION", "OPSET", "encoder_to_onnx", "graph_to_model", "merge_pads", "torch_to_onnx"]

_OF_NORMS = (".whiten_scale", ".whiten_shift", ".scale", ".shift")  # small, and they multiply whole maps

OPSET = 18
IR_VERSION = 8


class _ExportedNorm(nn.Module):
    """What a conditioned norm is in the graph: whitening, then scale, then shift."""

    def __init__(self, norm: ConditionedNorm, name: str) -> None:
        super().__init__()
        self.inner = copy.deepcopy(norm)
        inner = self.inner.norm
        self.act = norm.act
        shape = (-1,) if norm.channels_last else (-1, 1, 1)
        self.scale = nn.Parameter(inner.weight.detach().clone().reshape(shape))
        self.shift = nn.Parameter(inner.bias.detach().clone().reshape(shape))
        self.is_batch = isinstance(inner, nn.modules.batchnorm._BatchNorm)
        if isinstance(inner, nn.modules.batchnorm._BatchNorm):
            mean, variance = inner.running_mean, inner.running_var
            if mean is None or variance is None:
                raise BundleError(
                    f"The norm {name} has no running statistics; expected some, as a graph has no batch to "
                    "take them from; train with track_running_stats."
                )
            deviation = (variance.double() + inner.eps).sqrt()
            self.whiten_scale = nn.Parameter((1 / deviation).float().reshape(shape))
            self.whiten_shift = nn.Parameter((-mean.double() / deviation).float().reshape(shape))
        else:
            nn.init.ones_(inner.weight)
            nn.init.zeros_(inner.bias)

    def forward(self, x: Tensor) -> Tensor:
        white = x * self.whiten_scale + self.whiten_shift if self.is_batch else self.inner._normalize(x)
        out: Tensor = self.act(white * self.scale + self.shift)
        return out


def torch_to_onnx(
    model: nn.Module,
    inputs: tuple[Tensor, ...],
    *,
    names: list[str],
    outputs: list[str],
    dynamic: tuple[dict[int, Any], ...],
) -> onnx.ModelProto:
    """Export with the opset of the bundle contract; constants keep their parameters' names.

    Parameters
    ----------
    model : torch.nn.Module
        Put into evaluation mode.
    inputs : tuple of Tensor
        An example; sizes that `dynamic` does not name are fixed.
    names, outputs : list of str
        Of inputs and outputs.
    dynamic : tuple of dict
        For each input, axis to ``torch.export.Dim``.
    """
    with warnings.catch_warnings():  # of axes that share a name, as they should
        warnings.filterwarnings("ignore", message=".*axis name.*will not be used")
        program = torch.onnx.export(
            model.eval(), inputs, input_names=names, output_names=outputs, dynamic_shapes=dynamic,
            opset_version=OPSET, dynamo=True, optimize=True, verbose=False, external_data=False,
        )  # fmt: skip
    assert program is not None  # only where `f` is given
    return program.model_proto


def encoder_to_onnx(
    encoder: ImageEncoder, *, size_px: int = 224, half: bool = True, has_unit_length: bool = False
) -> bytes:
    """Write an image encoder as the bundle's ``encoder.onnx``.

    Parameters
    ----------
    encoder : ImageEncoder
        Left as it is.
    size_px : int
        Side of the example picture; the graph of a convolutional encoder serves other multiples of 32.
        An encoder that takes one side alone is exported at that side.
    half : bool
        Store weights other than the generated parameters as float16.
    has_unit_length : bool
        Bring the embedding to unit length, as a `linear` head of `hyperclip.models` expects it: files
        multiply embedding and head as they are.

    Returns
    -------
    bytes
        Input ``images`` (B, 3, H, W) float32, output ``embedding`` (B, D) float32. The same for the same
        encoder.

    Raises
    ------
    BundleError
        If the exporter lost a generated parameter, or BatchNorm has no running statistics.
    """
    size_px = encoder.fixed_size_px or size_px
    exported = copy.deepcopy(encoder).float().eval().to(memory_format=torch.contiguous_format)
    trunk = exported.trunk
    for name, module in list(trunk.named_modules()):
        if isinstance(module, ConditionedNorm):
            parent, _, child = name.rpartition(".")
            setattr(trunk.get_submodule(parent), child, _ExportedNorm(module, name))
    batch = torch.export.Dim("batch", min=1, max=1 << 16)
    model = torch_to_onnx(
        trunk, (torch.zeros(2, 3, size_px, size_px),), names=["images"], outputs=["embedding"],
        dynamic=({0: batch},),
    )  # fmt: skip
    graph = read_graph(model, where="the exported encoder", input_name="images", output_name="embedding")
    generated = {name for name, _, _ in encoder.layout}
    graph = merge_pads(_fold_statistics(graph, generated))
    unfolded = {name for name in graph.constants if name.endswith(_OF_NORMS)}
    missing = sorted(generated - set(graph.constants))
    if missing:
        raise BundleError(
            f"The exported graph lost {len(missing)} generated parameters ({', '.join(missing[:3])}, ...); "
            "expected each as a constant; export with a version of torch that keeps parameter names."
        )
    if has_unit_length:
        graph = _with_unit_length(graph)
    return graph_to_model(graph, keep_float=generated | unfolded, half=half)


def _with_unit_length(graph: Graph) -> Graph:
    """Divide the embedding by its length."""
    nodes = []
    for node in graph.nodes:
        renamed = onnx.NodeProto()
        renamed.CopyFrom(node)
        renamed.output[:] = ["length/of" if name == graph.output_name else name for name in node.output]
        nodes.append(renamed)
    make = onnx.helper.make_node
    nodes += [
        make("ReduceL2", ["length/of", "length/axis"], ["length/raw"], keepdims=1),
        make("Max", ["length/raw", "length/least"], ["length/safe"]),
        make("Div", ["length/of", "length/safe"], [graph.output_name]),
    ]
    added: dict[str, npt.NDArray[Any]] = {
        "length/axis": np.array([1], np.int64),
        "length/least": np.array(1e-12, np.float32),
    }
    return dataclasses.replace(graph, nodes=tuple(nodes), constants={**graph.constants, **added})


def _fold_statistics(graph: Graph, generated: set[str]) -> Graph:
    """Fold everything except the generated parameters into the convolutions."""
    hidden = {name: array for name, array in graph.constants.items() if name not in generated}
    folded = fold_norms(dataclasses.replace(graph, constants=hidden))
    kept = {name: array for name, array in graph.constants.items() if name in generated}
    return dataclasses.replace(folded, constants={**folded.constants, **kept})


def merge_pads(graph: Graph) -> Graph:
    """Move zero padding of height and width into the convolution behind it; other padding stays."""
    readers: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for node in graph.nodes:
        for place, name in enumerate(node.input):
            readers[name].append((node.op_type, place))
    pads: dict[str, tuple[str, list[int]]] = {}
    nodes: list[onnx.NodeProto] = []
    for node in graph.nodes:
        extra = _zero_padding(node, graph)
        if extra is not None and readers[node.output[0]] == [("Conv", 0)]:
            pads[node.output[0]] = (node.input[0], extra)
            continue
        if node.op_type == "Conv" and node.input[0] in pads:
            node = _padded_conv(node, *pads[node.input[0]])
        nodes.append(node)
    return dataclasses.replace(graph, nodes=tuple(nodes))


def _zero_padding(node: onnx.NodeProto, graph: Graph) -> list[int] | None:
    """The pixels of zeros that a node puts around (B, F, H, W), as top, left, bottom, right; or None."""
    if node.op_type != "Pad" or node_attribute(node, "mode") not in (None, b"constant"):
        return None
    pads, fill, axes = (node.input[i] if len(node.input) > i else "" for i in (1, 2, 3))
    if pads not in graph.constants or axes or (fill and np.any(graph.constants.get(fill, 1))):
        return None
    values = [int(value) for value in graph.constants[pads].reshape(-1)]
    if len(values) != 8 or any(values[:2] + values[4:6]) or min(values) < 0:
        return None
    return [values[2], values[3], values[6], values[7]]


def _padded_conv(conv: onnx.NodeProto, source: str, extra: list[int]) -> onnx.NodeProto:
    new = onnx.NodeProto()
    new.CopyFrom(conv)
    new.input[0] = source
    old = [0, 0, 0, 0]
    kept = []
    for attribute in new.attribute:
        if attribute.name == "pads":
            old = [int(v) for v in attribute.ints]
        elif attribute.name != "auto_pad":
            kept.append(attribute)
    del new.attribute[:]
    new.attribute.extend(
        [*kept, helper.make_attribute("pads", [a + b for a, b in zip(old, extra, strict=True)])]
    )
    return new


def graph_to_model(
    graph: Graph, *, keep_float: set[str], half: bool | Callable[[npt.NDArray[Any]], bool]
) -> bytes:
    """Serialize a one-input, one-output graph; large float32 constants become float16 and a Cast.

    Parameters
    ----------
    graph : Graph
    keep_float : set of str
        Constants that stay as they are.
    half : bool or callable
        Whether to do so; or which arrays may be.
    """
    may_be_half = half if callable(half) else (lambda array: bool(half))
    nodes, tensors = [], []
    used = {name for node in graph.nodes for name in node.input}
    for name, array in sorted(graph.constants.items()):
        if name not in used:
            continue
        is_weight = array.dtype == np.float32 and array.size > 16 and name not in keep_float
        is_weight = is_weight and may_be_half(array)
        if is_weight and np.abs(array).max() <= np.finfo(np.float16).max:
            tensors.append(numpy_helper.from_array(array.astype(np.float16), f"{name}.half"))
            nodes.append(helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
        else:
            tensors.append(numpy_helper.from_array(np.array(array, order="C"), name))
    body = helper.make_graph(
        [*nodes, *graph.nodes],
        "encoder",
        [
            helper.make_tensor_value_info(
                graph.input_name, onnx.TensorProto.FLOAT, ["batch", 3, "height", "width"]
            )
        ],
        [helper.make_tensor_value_info(graph.output_name, onnx.TensorProto.FLOAT, ["batch", "dim"])],
        tensors,
    )
    model = helper.make_model(
        body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="hyperclip"
    )
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString(deterministic=True)
    return data
