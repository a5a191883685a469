"""Cut a model in two at a named tensor, so that its halves can run on inputs of different size."""

from collections.abc import Collection

import onnx

from hyperclip.bundle.strict import quote
from hyperclip.errors import BundleError

__all__ = ["has_tensor", "part_between"]


def has_tensor(model: onnx.ModelProto, name: str) -> bool:
    """Tell whether some operator of the model makes a tensor of that name."""
    return any(name in node.output for node in model.graph.node)


def part_between(
    model: onnx.ModelProto, inputs: Collection[str], outputs: Collection[onnx.ValueInfoProto]
) -> onnx.ModelProto:
    """Return the part of a model that makes some tensors from others.

    Parameters
    ----------
    model : onnx.ModelProto
        The whole; it is not changed.
    inputs : collection of str
        Where to stop going back: inputs of the model, or float32 tensors with two axes inside it.
    outputs : collection of onnx.ValueInfoProto
        What to make.

    Returns
    -------
    onnx.ModelProto
        Its inputs are those of `inputs` that are needed, in their order.

    Raises
    ------
    BundleError
        If `outputs` also depend on something that `inputs` do not cut off.
    """
    maker = {name: index for index, node in enumerate(model.graph.node) for name in node.output if name}
    wanted = [value.name for value in outputs]
    needed_nodes: set[int] = set()
    seen: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        if name not in inputs and name in maker:
            needed_nodes.add(maker[name])
            wanted += model.graph.node[maker[name]].input
    made_or_stored = maker.keys() | {tensor.name for tensor in model.graph.initializer}
    missing = sorted(seen - made_or_stored - set(inputs) - {""})
    if missing:
        raise BundleError(
            f"The model cannot be cut at {', '.join(inputs)}: what follows also reads {quote(missing[0])}; "
            "expected everything behind the cut to come through it; export it again."
        )
    declared = {value.name: value for value in model.graph.input}
    part = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    part.graph.name = "part"
    part.graph.node.extend(model.graph.node[index] for index in sorted(needed_nodes))
    part.graph.initializer.extend(tensor for tensor in model.graph.initializer if tensor.name in seen)
    part.graph.output.extend(outputs)
    for name in inputs:
        if name in seen:
            rows = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", None])
            part.graph.input.append(declared.get(name, rows))
    return part
