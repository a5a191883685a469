"""Two towers as the bundle's ``encoder.onnx`` and ``specializer.onnx``: a plain CLIP generates nothing.

Legend: n texts, T tokens, C classes, E width of the shared space.
"""

import copy
import dataclasses
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from hyperclip.errors import InputError
from hyperclip.export.import_weights import is_lossless
from hyperclip.export.imported import ImportedClip
from hyperclip.export.onnx_encoder import OPSET, graph_to_model, merge_pads, torch_to_onnx
from hyperclip.export.onnx_specializer import join_parts
from hyperclip.runtime.fold import fold_norms
from hyperclip.runtime.graph import Graph, read_graph
from hyperclip.runtime.model_file import MAX_MODEL_BYTES

__all__ = ["check_sizes", "clip_to_onnx"]


_PICTURES, _VECTORS = "hyperclip_pictures", "hyperclip_vectors"  # until the names within are known


class _Affine(nn.Module):
    """A BatchNorm that has learnt all it will: one factor and one summand a channel."""

    def __init__(self, norm: Any) -> None:
        super().__init__()
        deviation = (norm.running_var.double() + norm.eps).sqrt()
        weight = torch.ones_like(deviation) if norm.weight is None else norm.weight.double()
        bias = torch.zeros_like(deviation) if norm.bias is None else norm.bias.double()
        shape = (-1, 1, 1) if isinstance(norm, nn.BatchNorm2d) else (-1,)
        self.scale = nn.Parameter((weight / deviation).float().reshape(shape))
        shift = bias - norm.running_mean.double() * weight / deviation
        self.shift = nn.Parameter(shift.float().reshape(shape))
        self.rest = nn.Sequential(*(getattr(norm, name) for name in ("drop", "act") if hasattr(norm, name)))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.rest(x * self.scale + self.shift)
        return out


class _Unit(nn.Module):
    """A tower whose vectors have unit length."""

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, first: Tensor, mask: Tensor | None = None) -> Tensor:
        vectors = self.tower(first) if mask is None else self.tower(first, mask)
        return functional.normalize(vectors, dim=-1)


def check_sizes(clip: ImportedClip) -> None:
    """Refuse towers that no ONNX file can hold; raises `InputError`."""
    for what, tower in (("image", clip.image_tower), ("text", clip.text_tower)):
        size_bytes = sum(value.numel() * value.element_size() for value in tower.state_dict().values())
        if size_bytes > MAX_MODEL_BYTES:
            raise InputError(
                f"The {what} tower of {clip.source} has {size_bytes / 1e9:.1f} GB of weights; expected "
                f"at most "
                "2 GB, which is all that one ONNX file can hold; choose a smaller architecture."
            )


def clip_to_onnx(clip: ImportedClip) -> dict[str, bytes]:
    """Write both towers.

    Parameters
    ----------
    clip : ImportedClip
        Left as it is.

    Returns
    -------
    dict of str to bytes
        ``encoder.onnx`` and ``specializer.onnx``. Weights that float16 holds without any loss are stored in
        it; others in float32.

    Raises
    ------
    InputError
        If a tower is too large for one file.
    """
    check_sizes(clip)
    return {"encoder.onnx": _encoder(clip), "specializer.onnx": _specializer(clip)}


def _encoder(clip: ImportedClip) -> bytes:
    tower = _without_batch_norm(copy.deepcopy(clip.image_tower))
    size_px = clip.images.size_px
    batch = torch.export.Dim("batch", min=1, max=1 << 16)
    model = torch_to_onnx(
        _Unit(tower), (torch.zeros(2, 3, size_px, size_px),), names=[_PICTURES], outputs=[_VECTORS],
        dynamic=({0: batch},),
    )  # fmt: skip
    graph = read_graph(model, where="the exported encoder", input_name=_PICTURES, output_name=_VECTORS)
    graph = _with_public_names(graph)
    return graph_to_model(merge_pads(fold_norms(graph)), keep_float=set(), half=is_lossless)


def _with_public_names(graph: Graph) -> Graph:
    """Call input and output what the bundle calls them; an exporter may have used these names within."""
    public = {_PICTURES: "images", _VECTORS: "embedding"}

    def renamed(name: str) -> str:
        return public.get(name, f"inner/{name}" if name in public.values() else name)

    nodes = []
    for node in graph.nodes:
        copied = onnx.NodeProto()
        copied.CopyFrom(node)
        copied.input[:] = [renamed(name) for name in node.input]
        copied.output[:] = [renamed(name) for name in node.output]
        nodes.append(copied)
    return dataclasses.replace(
        graph, nodes=tuple(nodes), input_name="images", output_name="embedding",
        constants={renamed(name): array for name, array in graph.constants.items()},
    )  # fmt: skip


def _specializer(clip: ImportedClip) -> bytes:
    context, is_dynamic = clip.text.context_length, clip.text.padding == "longest"
    n_tokens = 7 if is_dynamic else context
    n = torch.export.Dim("n", min=1, max=1 << 20)
    axes: dict[int, Any] = {0: n}
    if is_dynamic:
        axes[1] = torch.export.Dim("tokens", min=2, max=context)
    example = torch.ones(3, n_tokens, dtype=torch.int64)
    text = torch_to_onnx(
        _Unit(copy.deepcopy(clip.text_tower)), (example, torch.ones_like(example)),
        names=["token_ids", "mask"], outputs=["row_text"], dynamic=(axes, axes),
    )  # fmt: skip
    return join_parts(text, _class_part(clip), half=is_lossless)


def _class_part(clip: ImportedClip) -> onnx.ModelProto:
    """Class vectors to the head: ``scale * vector`` and the same bias for all; nothing is generated."""

    def node(kind: str, inputs: list[str], outputs: list[str], **attributes: int) -> onnx.NodeProto:
        return helper.make_node(kind, inputs, outputs, name=outputs[0], **attributes)

    nodes = [
        node("Mul", ["class_text", "logit_scale"], ["head"]),
        node("ReduceSum", ["class_text", "last_axis"], ["sums"], keepdims=0),
        node("Mul", ["sums", "nothing"], ["zeros"]),
        node("Add", ["zeros", "logit_bias"], ["bias"]),
        node("Identity", ["no_parameters"], ["generated"]),
    ]
    constants = {
        "logit_scale": np.array(clip.logit_scale, np.float32),
        "logit_bias": np.array(clip.logit_bias, np.float32),
        "nothing": np.array(0.0, np.float32),
        "last_axis": np.array([1], np.int64),
        "no_parameters": np.zeros(0, np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "classes",
        [helper.make_tensor_value_info("class_text", onnx.TensorProto.FLOAT, ["classes", "dim"])],
        [
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
            for name in ("head", "bias", "generated")
        ],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])


def _without_batch_norm(module: nn.Module) -> nn.Module:
    """Replace each BatchNorm by what it computes once its statistics rest."""
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return _Affine(module)
    for name, child in list(module.named_children()):
        replaced = _without_batch_norm(child)
        if replaced is not child:
            setattr(module, name, replaced)
    return module
