"""Proof that the ONNX files of a model compute what PyTorch computes, before anything is written."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hyperclip.errors import BundleError
from hyperclip.models import HyperCLIP, mean_by_class
from hyperclip.runtime.session import Session
from hyperclip.runtime.tokenizer import TextTokenizer

__all__ = ["check_parity"]

TOLERANCE = 1e-4
_NAMES = ("cat", "cup of coffee", "a kind of very old rocket", "dog")

_Pairs = dict[str, tuple[Any, Tensor]]  # what ONNX gives beside what PyTorch gives


@torch.no_grad()
def check_parity(
    model: HyperCLIP, tokenizer: TextTokenizer, files: Mapping[str, bytes], *,
    sizes_px: tuple[int, ...], tolerance: float = TOLERANCE,
) -> dict[str, float]:  # fmt: skip
    """Compare PyTorch with the ONNX files on random pictures and a few names.

    Parameters
    ----------
    model : HyperCLIP
    tokenizer : TextTokenizer
        Of the model's text encoder.
    files : mapping of str to bytes
        ``encoder.onnx``; ``specializer.onnx`` and ``hypernetwork.onnx`` where the model has them.
    sizes_px : tuple of int
        Sides of the pictures.
    tolerance : float

    Returns
    -------
    dict
        Largest absolute difference of each output.

    Raises
    ------
    BundleError
        If one exceeds the tolerance times the largest absolute value of that output (at least 1).
    """
    pairs: _Pairs = {}
    if "specializer.onnx" in files:
        pairs |= _of_specializer(model, tokenizer, files["specializer.onnx"])
    if "hypernetwork.onnx" in files:
        pairs |= _of_hypernetwork(model, files["hypernetwork.onnx"])
    lower = Session(files["encoder.onnx"], where="encoder.onnx")
    for size in sizes_px:
        images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(size)) * 2 - 1
        (found,) = lower.run(["embedding"], {"images": images.numpy()})
        embedding = model.image_encoder(images)
        if not model.config.head.is_mixture:
            embedding = functional.normalize(embedding, dim=-1)
        pairs[f"embedding_{size}_px"] = (found, embedding)
    differences = {}
    for name, (found, wanted) in pairs.items():
        expected = wanted.numpy()
        differences[name] = float(np.abs(found - expected).max(initial=0.0))
        if differences[name] > tolerance * max(1.0, float(np.abs(expected).max(initial=0.0))):
            raise BundleError(
                f"PyTorch and ONNX differ in {name} by {differences[name]:.2g}; expected at most "
                f"{tolerance:g} of its range; nothing was written; report the encoder's name."
            )
    return differences


def _of_specializer(model: HyperCLIP, tokenizer: TextTokenizer, specializer: bytes) -> _Pairs:
    """Head, bias and parameters for a few names."""
    assert model.text_encoder is not None
    token_ids, mask = tokenizer.encode(_NAMES)
    index = np.arange(len(_NAMES))
    given = {"token_ids": token_ids, "mask": mask, "class_index": index}
    upper = Session(specializer, where="specializer.onnx")
    head, bias, generated = upper.run(["head", "bias", "generated"], given)
    rows = model.text_encoder(torch.from_numpy(token_ids), torch.from_numpy(mask))
    class_emb = mean_by_class(rows, torch.from_numpy(index), len(index))
    wanted = model.make_head(class_emb)
    return {
        "head": (head, wanted.weight_CD),
        "bias": (bias, wanted.bias_C),
        "generated": (generated, _parameters(model, class_emb)),
    }


def _of_hypernetwork(model: HyperCLIP, hypernetwork: bytes) -> _Pairs:
    """Parameters for a few random class embeddings."""
    random = torch.Generator().manual_seed(0)
    class_emb = functional.normalize(torch.randn(5, model.config.head.text_dim, generator=random), dim=-1)
    upper = Session(hypernetwork, where="hypernetwork.onnx")
    (generated,) = upper.run(["generated"], {"class_text": class_emb.numpy()})
    return {"generated": (generated, _parameters(model, class_emb))}


def _parameters(model: HyperCLIP, class_emb_CE: Tensor) -> Tensor:
    """The encoder's final parameters for some classes, (P,)."""
    delta = model.generate(class_emb_CE[None])
    encoder = model.image_encoder
    return encoder.base_parameters() if delta is None else encoder.final_parameters(delta)[0]
