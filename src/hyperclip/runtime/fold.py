"""Fold a per-channel Mul or Add behind a convolution into the convolution, exactly."""

import dataclasses
from collections import Counter

import numpy as np
import numpy.typing as npt
import onnx

from hyperclip.runtime.graph import Graph

__all__ = ["fold_norms"]

Array = npt.NDArray[np.generic]


def fold_norms(graph: Graph) -> Graph:
    """Return a graph that computes the same without Mul and Add right behind a convolution.

    For ``Conv -> Mul(scale) -> Add(shift)`` with constants of one value a channel, the weights become
    ``W * scale`` per output channel and the bias ``b * scale + shift``. Padding is of zeros and comes
    before both, so this is exact up to rounding. What cannot be folded stays.

    Parameters
    ----------
    graph : Graph
        The encoder with its final parameters.

    Returns
    -------
    Graph
        With fewer nodes; constants that are no longer used are left out.
    """
    nodes: list[onnx.NodeProto] = []
    constants = dict(graph.constants)
    n_uses = Counter(name for node in graph.nodes for name in node.input)
    n_uses[graph.output_name] += 1
    conv_at: dict[str, int] = {}  # output name of a foldable convolution -> its place in `nodes`
    for node in graph.nodes:
        target = _foldable_into(node, nodes, constants, conv_at)
        if target is not None and n_uses[nodes[target].output[0]] == 1:
            conv = nodes[target]
            operand = constants[_constant_operand(node, conv.output[0])]
            nodes[target] = _folded(conv, node, operand, constants, n_uses)
            del conv_at[conv.output[0]]
            conv_at[node.output[0]] = target
            continue
        if node.op_type == "Conv" and all(name in constants for name in node.input[1:] if name):
            conv_at[node.output[0]] = len(nodes)
        nodes.append(node)
    used = {name for node in nodes for name in node.input}
    return dataclasses.replace(
        graph,
        nodes=tuple(nodes),
        constants={name: array for name, array in constants.items() if name in used},
    )


def _foldable_into(
    node: onnx.NodeProto, nodes: list[onnx.NodeProto], constants: dict[str, Array], conv_at: dict[str, int]
) -> int | None:
    """Return the place of the convolution that a node can be folded into, or None."""
    if node.op_type not in ("Mul", "Add") or len(node.input) != 2:
        return None
    for name in node.input:
        if name not in conv_at:
            continue
        operand = constants.get(_constant_operand(node, name))
        weight = constants[nodes[conv_at[name]].input[1]]
        n_channels, n_spatial = weight.shape[0], weight.ndim - 2
        per_channel = ((n_channels, *[1] * n_spatial), (1, n_channels, *[1] * n_spatial))
        if operand is not None and operand.dtype == weight.dtype and operand.shape in per_channel:
            return conv_at[name]
    return None


def _constant_operand(node: onnx.NodeProto, other: str) -> str:
    """Return the input of a two-input node that is not `other`."""
    return str(node.input[1] if node.input[0] == other else node.input[0])


def _folded(
    conv: onnx.NodeProto,
    node: onnx.NodeProto,
    operand: Array,
    constants: dict[str, Array],
    n_uses: Counter[str],
) -> onnx.NodeProto:
    """Return the convolution that does the node's work too; its new weights go into `constants`."""
    weight_name = str(conv.input[1])
    weight = constants[weight_name]
    bias_name = str(conv.input[2]) if len(conv.input) > 2 and conv.input[2] else ""
    bias = constants[bias_name] if bias_name else np.zeros(weight.shape[0], weight.dtype)
    channel = operand.reshape(-1)
    if node.op_type == "Mul":
        weight_name = _own_name(weight_name, weight_name, constants, n_uses)
        constants[weight_name] = np.multiply(weight, channel.reshape(-1, *[1] * (weight.ndim - 1)))
        folded_bias = np.multiply(bias, channel)
    else:
        folded_bias = np.add(bias, channel)
    inputs = [conv.input[0], weight_name]
    if bias_name or node.op_type == "Add":
        bias_name = _own_name(bias_name, f"{weight_name}.bias", constants, n_uses)
        constants[bias_name] = folded_bias
        inputs.append(bias_name)
    return onnx.NodeProto(
        op_type="Conv", name=conv.name, input=inputs, output=node.output, attribute=conv.attribute
    )


def _own_name(name: str, stem: str, constants: dict[str, Array], n_uses: Counter[str]) -> str:
    """Return a name whose constant only this convolution reads: the old one, or a new one."""
    if name and n_uses[name] == 1:
        return name
    n_uses[name] -= 1
    new, number = f"{stem}.folded", 1
    while new in constants:
        number += 1
        new = f"{stem}.folded{number}"
    n_uses[new] = 1
    return new
