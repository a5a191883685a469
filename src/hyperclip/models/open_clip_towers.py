"""Open_clip's two towers, each alone and as a graph can hold it.

Legend: n texts, T tokens, W width of the text tower, E width of the shared space.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["image_tower_of", "text_tower_of"]


def image_tower_of(model: Any) -> nn.Module:
    """Return a model's image tower, blocks of several branches fused into one convolution."""
    tower = copy.deepcopy(model.visual)
    if getattr(tower, "output_tokens", False):
        tower.output_tokens = False
    trunk = getattr(tower, "trunk", None)
    if trunk is not None:
        from timm.utils import reparameterize_model

        tower.trunk = reparameterize_model(trunk)
    return _First(tower)


class _First(nn.Module):
    """The embedding of a tower that may also give its tokens."""

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, images: Tensor) -> Tensor:
        out = self.tower(images)
        pooled: Tensor = out[0] if isinstance(out, tuple) else out
        return pooled


class _CausalText(nn.Module):
    """A causal text tower of open_clip on as many tokens as there are.

    What follows the end token cannot reach it, so the padding of the source may be left out.
    """

    def __init__(self, tower: Any, pool_type: str, end_id: int) -> None:
        super().__init__()
        self.token_embedding = copy.deepcopy(tower.token_embedding)
        self.position_TW = nn.Parameter(tower.positional_embedding.detach().clone())
        self.transformer = copy.deepcopy(tower.transformer)
        self.norm = copy.deepcopy(tower.ln_final)
        self.causal_TT = nn.Buffer(tower.attn_mask.detach().clone())
        self.projection = copy.deepcopy(tower.text_projection)
        self.pool_type, self.end_id = pool_type, end_id

    def forward(self, token_ids: Tensor, mask: Tensor) -> Tensor:
        n_tokens = token_ids.shape[1]
        x_nTW = self.token_embedding(token_ids) + self.position_TW[:n_tokens]
        x_nTW = self.norm(self.transformer(x_nTW, attn_mask=self.causal_TT[:n_tokens, :n_tokens]))
        is_end = token_ids if self.pool_type == "argmax" else torch.eq(token_ids, self.end_id).int()
        place = is_end.argmax(dim=-1)[:, None, None].expand(-1, 1, x_nTW.shape[2])
        pooled = torch.gather(x_nTW, 1, place)[:, 0]
        if self.projection is None:
            return pooled
        projected: Tensor = (
            self.projection(pooled) if isinstance(self.projection, nn.Linear) else pooled @ self.projection
        )
        return projected


class _WholeText(nn.Module):
    """A text tower that reads the padding too, as the source runs it."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.tower = copy.deepcopy(model.text if hasattr(model, "text") else model)
        if not hasattr(model, "text"):
            del self.tower.visual
        elif getattr(self.tower, "output_tokens", False):
            self.tower.output_tokens = False

    def forward(self, token_ids: Tensor, mask: Tensor) -> Tensor:
        run = self.tower.encode_text if hasattr(self.tower, "encode_text") else self.tower
        out = run(token_ids)
        pooled: Tensor = out[0] if isinstance(out, tuple) else out
        return pooled


def text_tower_of(model: Any) -> tuple[nn.Module, bool]:
    """Return a model's text tower, and whether texts may be padded to the longest alone."""
    tower = getattr(model, "text", model)
    pool = getattr(tower, "text_pool_type", getattr(tower, "pool_type", None))
    end_id = getattr(tower, "text_eos_id", getattr(tower, "eos_id", -1))
    is_causal = isinstance(getattr(tower, "attn_mask", None), Tensor)
    reads_padding = getattr(tower, "cls_emb", None) is not None or getattr(tower, "use_pad_mask", False)
    if is_causal and not reads_padding and pool in ("argmax", "eos"):
        return _CausalText(tower, pool, int(end_id or -1)).eval(), True
    return _WholeText(model).eval(), False
