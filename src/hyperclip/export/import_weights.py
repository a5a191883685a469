"""Weights of strangers: safetensors, or state dicts that hold nothing but tensors.

A pickle can run code when it is opened; ``weights_only`` refuses all that is not plain data.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hyperclip.bundle.strict import quote
from hyperclip.errors import InputError
from hyperclip.export.imported import ImportedClip

__all__ = ["check_state", "is_lossless", "read_state_dict", "weights_of"]

logger = logging.getLogger(__name__)

MAX_SHOWN = 300  # characters of a list of names in a message; what does not fit is logged


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a state dict without running anything that the file says.

    Parameters
    ----------
    path : Path
        ``*.safetensors``, or a file of ``torch.save`` that holds tensors by name: alone, or under
        ``state_dict``, ``model`` or ``ema_model``. ``module.`` in front of all names is left out.

    Returns
    -------
    dict of str to Tensor
        On the CPU.

    Raises
    ------
    InputError
        If the file is missing, damaged, or holds anything else.
    """
    shown = quote(str(path), 300)
    if not path.is_file():
        raise InputError(f"There is no weights file {shown}; expected a file; check the path.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: object = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except Exception as error:  # both libraries raise whatever they trip over
        reason = " ".join(str(error).split())[:160]
        raise InputError(
            f"{shown} cannot be read as plain weights ({type(error).__name__}: {quote(reason, 160)}); "
            "expected safetensors or a state dict without pickled objects; save model.state_dict() again."
        ) from error
    for key in ("state_dict", "ema_model", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping) or not state:
        raise InputError(
            f"{shown} holds {type(state).__name__}; expected tensors by name; save model.state_dict()."
        )
    tensors = {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        raise InputError(f"{shown} holds no tensors; expected a state dict; save model.state_dict().")
    if all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): value for name, value in tensors.items()}
    return tensors


def check_state(model: nn.Module, state: Mapping[str, Tensor], *, where: str) -> None:
    """Refuse a state dict that does not fill a model exactly.

    Parameters
    ----------
    model : torch.nn.Module
        Left as it is.
    state : mapping of str to Tensor
    where : str
        What to call the weights in messages.

    Raises
    ------
    InputError
        Names missing and unexpected keys and wrong shapes; where the sentence cannot hold all of them,
        they are logged as a warning, every one.
    """
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    missing = sorted(set(wanted) - set(state))
    unexpected = sorted(set(state) - set(wanted))
    shapes = [
        f"{name} {tuple(state[name].shape)} instead of {shape}"
        for name, shape in wanted.items()
        if name in state and tuple(state[name].shape) != shape
    ]
    parts = [
        f"{len(names)} {what} ({_listed(names)})"
        for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        if names
    ]
    if parts:
        raise InputError(
            f"{where} does not fit the architecture: {'; '.join(parts)}; expected exactly its tensors; "
            "name the architecture that the weights were trained with."
        )


def weights_of(clip: ImportedClip) -> bytes:
    """Return both towers' weights as safetensors, under ``image.`` and ``text.``.

    What float16 holds without any loss is stored in it.
    """
    from safetensors.torch import save

    towers = {"image": clip.image_tower, "text": clip.text_tower}
    state = {f"{part}.{name}": value for part, tower in towers.items()
             for name, value in tower.state_dict().items()}  # fmt: skip
    data: bytes = save({name: _stored(value) for name, value in state.items()})
    return data


def _stored(value: Tensor) -> Tensor:
    """A tensor of its own, in half the bits where that changes nothing."""
    value = value.detach().cpu()
    is_half = value.dtype == torch.float32 and is_lossless(value.numpy())
    return (value.half() if is_half else value).contiguous().clone()


def is_lossless(array: np.ndarray[Any, Any]) -> bool:
    """Tell whether float16 holds every number of an array exactly."""
    with np.errstate(over="ignore"):
        return bool(np.array_equal(array.astype(np.float16).astype(np.float32), array))


def _listed(names: list[str]) -> str:
    """All names, or as many as fit a message."""
    text = ", ".join(names)
    if len(text) <= MAX_SHOWN:
        return text
    logger.warning("All %d of them: %s.", len(names), text)
    shown = text[:MAX_SHOWN].rpartition(", ")[0]
    return f"{shown}, ... and {len(names) - shown.count(', ') - 1} more"
