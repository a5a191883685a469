"""The hypernetwork alone as ``hypernetwork.onnx``, for a model that shares another's text side."""

import onnx

from hyperclip.errors import BundleError
from hyperclip.export.onnx_specializer import specializer_to_onnx
from hyperclip.models import HyperCLIP
from hyperclip.runtime.split import part_between

__all__ = ["hypernetwork_to_onnx"]


def hypernetwork_to_onnx(model: HyperCLIP, *, half: bool = True) -> bytes:
    """Write what turns class embeddings into the encoder's parameters.

    It is cut out of the whole upper half behind its tensor ``class_text``.

    Parameters
    ----------
    model : HyperCLIP
        With a text encoder and a hypernetwork; left as it is.
    half : bool
        Store weights as float16.

    Returns
    -------
    bytes
        Input ``class_text`` (C, E), unit rows; output ``generated`` (P,), both float32.

    Raises
    ------
    BundleError
        If the model has no hypernetwork or no text encoder.
    """
    if model.hypernetwork is None:
        raise BundleError("The model has no hypernetwork; expected one; export it without.")
    whole = onnx.ModelProto.FromString(specializer_to_onnx(model, half=half))
    (generated,) = (value for value in whole.graph.output if value.name == "generated")
    part = part_between(whole, ["class_text"], [generated])
    part.producer_name = whole.producer_name
    onnx.checker.check_model(part)
    data: bytes = part.SerializeToString(deterministic=True)
    return data
