"""Image towers of other zero-shot models, with random weights: good for speed and size, for nothing else."""

import timm
import torch
from timm.utils.model import reparameterize_model

from hyperclip.export.onnx_encoder import torch_to_onnx

__all__ = ["TOWERS", "export_tower"]

TOWERS = {"mobileclip_s0": "fastvit_mci0", "vit_b32": "vit_base_patch32_224"}


def export_tower(name: str, *, size_px: int) -> bytes:
    """Return a tower as ONNX: float32 pictures (batch, 3, S, S) in, an embedding of 512 numbers out.

    Parameters
    ----------
    name : str
        A key of `TOWERS`.
    size_px : int
        S.
    """
    timm_name = TOWERS[name]
    torch.manual_seed(0)
    arguments = {"img_size": size_px} if timm_name.startswith("vit") else {}
    tower = timm.create_model(timm_name, pretrained=False, num_classes=512, **arguments).eval()
    if timm_name.startswith("fastvit"):
        tower = reparameterize_model(tower)  # branches merged, as it is deployed
    batch = torch.export.Dim("batch", min=1, max=1 << 16)
    model = torch_to_onnx(
        tower, (torch.zeros(2, 3, size_px, size_px),), names=["images"], outputs=["embedding"],
        dynamic=({0: batch},),
    )  # fmt: skip
    return bytes(model.SerializeToString(deterministic=True))
