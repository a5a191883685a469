"""An image encoder as ONNX whose generated parameters are named constants.

Each conditioned norm becomes ``Mul(scale)`` and ``Add(shift)``. What BatchNorm's statistics do before
that is folded into the convolution, and constant padding moves into its ``pads``.

Legend: B images in a batch, F channels, H W pixels.
"""

import copy
import io

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from hyperclip.errors import BundleError
from hyperclip.models import ImageEncoder
from hyperclip.models.conditioned_norm import ConditionedNorm
from hyperclip.runtime.fold import fold_norms
from hyperclip.runtime.graph import Graph, read_graph

__all__ = ["IR_VERSION", "OPSET", "encoder_to_onnx", "graph_to_model", "torch_to_onnx"]

OPSET = 18
IR_VERSION = 8


class _ExportedNorm(nn.Module):
    """What a conditioned norm is in the graph: whitening, then scale, then shift."""

    def __init__(self, norm: ConditionedNorm) -> None:
        super().__init__()
        inner = norm.norm
        self.inner = copy.deepcopy(norm)
        self.act = norm.act
        self.is_batch = isinstance(inner, nn.modules.batchnorm._BatchNorm)
        shape = (-1,) if norm.channels_last else (-1, 1, 1)
        self.scale = nn.Parameter(inner.weight.detach().float().reshape(shape))
        self.shift = nn.Parameter(inner.bias.detach().float().reshape(shape))
        if self.is_batch:
            deviation = (inner.running_var.double() + inner.eps).sqrt()
            self.whiten_scale = nn.Parameter((1 / deviation).float().reshape(shape))
            self.whiten_shift = nn.Parameter(
                (-inner.running_mean.double() / deviation).float().reshape(shape)
            )
        else:
            with torch.no_grad():
                self.inner.norm.weight.fill_(1.0)
                self.inner.norm.bias.fill_(0.0)

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
    dynamic: dict[str, object],
) -> onnx.ModelProto:
    """Export with the opset of the bundle contract; constants keep their parameters' names."""
    program = torch.onnx.export(
        model.eval(), inputs, input_names=names, output_names=outputs, dynamic_shapes=dynamic,
        opset_version=OPSET, dynamo=True, optimize=True, verbose=False, external_data=False,
    )  # fmt: skip
    buffer = io.BytesIO()
    program.save(buffer)
    return onnx.load_from_string(buffer.getvalue())


def encoder_to_onnx(encoder: ImageEncoder, *, size_px: int = 224, half: bool = True) -> bytes:
    """Write an image encoder as the bundle's ``encoder.onnx``.

    Parameters
    ----------
    encoder : ImageEncoder
        Left as it is.
    size_px : int
        Side of the example picture; the graph of a convolutional encoder serves other multiples of 32.
    half : bool
        Store weights other than the generated parameters as float16.

    Returns
    -------
    bytes
        Input ``images`` (B, 3, H, W) float32, output ``embedding`` (B, D) float32.
    """
    exported = copy.deepcopy(encoder).float().eval().to(memory_format=torch.contiguous_format)
    trunk = exported.trunk
    for name, module in list(trunk.named_modules()):
        if isinstance(module, ConditionedNorm):
            parent, _, child = name.rpartition(".")
            setattr(trunk.get_submodule(parent), child, _ExportedNorm(module))
    batch = torch.export.Dim("batch", min=1, max=1 << 16)
    model = torch_to_onnx(
        trunk, (torch.zeros(2, 3, size_px, size_px),), names=["images"], outputs=["embedding"],
        dynamic={"x": {0: batch}},
    )  # fmt: skip
    graph = read_graph(model, where="the exported encoder", input_name="images", output_name="embedding")
    graph = _merge_pads(_fold_statistics(graph, {name for name, _, _ in encoder.layout}))
    missing = [name for name, _, _ in encoder.layout if name not in graph.constants]
    if missing:
        raise BundleError(
            f"The exported graph lost {len(missing)} generated parameters ({', '.join(missing[:3])}, ...); "
            "expected each as a constant; export with a version of torch that keeps parameter names."
        )
    return graph_to_model(graph, keep_float={name for name, _, _ in encoder.layout}, half=half)


def _fold_statistics(graph: Graph, generated: set[str]) -> Graph:
    """Fold everything except the generated parameters into the convolutions."""
    hidden = {name: array for name, array in graph.constants.items() if name not in generated}
    folded = fold_norms(Graph(
        nodes=graph.nodes, constants=hidden, input_name=graph.input_name, output_name=graph.output_name,
        opset=graph.opset,
    ))  # fmt: skip
    kept = {name: array for name, array in graph.constants.items() if name in generated}
    return Graph(
        nodes=folded.nodes, constants={**folded.constants, **kept}, input_name=folded.input_name,
        output_name=folded.output_name, opset=folded.opset,
    )  # fmt: skip


def _merge_pads(graph: Graph) -> Graph:
    """Move zero padding of height and width into the convolution behind it."""
    pads: dict[str, tuple[str, list[int]]] = {}
    nodes: list[onnx.NodeProto] = []
    uses = [name for node in graph.nodes for name in node.input]
    for node in graph.nodes:
        if node.op_type == "Pad" and uses.count(node.output[0]) == 1 and node.input[1] in graph.constants:
            values = [int(v) for v in graph.constants[node.input[1]].reshape(-1)]
            fill = graph.constants.get(node.input[2]) if len(node.input) > 2 and node.input[2] else None
            if len(values) == 8 and not any(values[:2] + values[4:6]) and (fill is None or not np.any(fill)):
                pads[node.output[0]] = (node.input[0], [values[2], values[3], values[6], values[7]])
                continue
        if node.op_type == "Conv" and node.input[0] in pads:
            source, extra = pads.pop(node.input[0])
            node = _padded_conv(node, source, extra)
        nodes.append(node)
    if pads:
        raise BundleError("A padding is not followed by a convolution; expected one; export another encoder.")
    return Graph(
        nodes=tuple(nodes), constants=graph.constants, input_name=graph.input_name,
        output_name=graph.output_name, opset=graph.opset,
    )  # fmt: skip


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


def graph_to_model(graph: Graph, *, keep_float: set[str], half: bool) -> bytes:
    """Serialize a one-input, one-output graph; large float32 constants become float16 and a Cast."""
    nodes, tensors = [], []
    for name, array in sorted(graph.constants.items()):
        is_weight = half and array.dtype == np.float32 and array.size > 16 and name not in keep_float
        if is_weight:
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
