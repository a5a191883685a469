"""The two towers of a CLIP or SigLIP of transformers, each alone and as a graph can hold it.

Legend: n texts, T tokens, W width of the text tower.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["image_tower_of", "text_tower_of"]


def image_tower_of(model: Any) -> nn.Module:
    """Return a model's image tower."""
    return _ImageTower(model)


def text_tower_of(model: Any) -> tuple[nn.Module, bool]:
    """Return a model's text tower, and whether texts may be padded to the longest alone."""
    if hasattr(model, "text_projection"):
        return _CausalText(model), True
    return _WholeText(model), False


class _ImageTower(nn.Module):
    """Pictures to the shared space."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.tower = copy.deepcopy(model.vision_model)
        self.projection = copy.deepcopy(getattr(model, "visual_projection", None)) or nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        projected: Tensor = self.projection(self.tower(pixel_values=images).pooler_output)
        return projected


class _WholeText(nn.Module):
    """Texts, padded to the whole context, to the shared space."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.tower = copy.deepcopy(model.text_model)

    def forward(self, token_ids: Tensor, mask: Tensor) -> Tensor:
        pooled: Tensor = self.tower(input_ids=token_ids).pooler_output
        return pooled


class _CausalText(nn.Module):
    """CLIP's causal text tower on as many tokens as there are; what follows the end token cannot reach it."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        tower = model.text_model
        self.embeddings = copy.deepcopy(tower.embeddings)
        self.layers = copy.deepcopy(tower.encoder.layers)
        self.norm = copy.deepcopy(tower.final_layer_norm)
        self.projection = copy.deepcopy(model.text_projection)
        self.end_id = int(tower.eos_token_id)
        length = int(tower.config.max_position_embeddings)
        self.causal_TT = nn.Buffer(torch.full((length, length), float("-inf")).triu(1))

    def forward(self, token_ids: Tensor, mask: Tensor) -> Tensor:
        n_tokens = token_ids.shape[1]
        x_nTW = self.embeddings(input_ids=token_ids)
        bias = self.causal_TT[:n_tokens, :n_tokens][None, None]
        for layer in self.layers:
            out = layer(x_nTW, attention_mask=bias)
            x_nTW = out[0] if isinstance(out, tuple) else out
        # Configurations from before the end token was right say 2: the largest id is meant then.
        is_end = token_ids if self.end_id == 2 else torch.eq(token_ids, self.end_id).int()
        place = is_end.argmax(dim=-1)[:, None, None].expand(-1, 1, x_nTW.shape[2])
        projected: Tensor = self.projection(torch.gather(self.norm(x_nTW), 1, place)[:, 0])
        return projected
