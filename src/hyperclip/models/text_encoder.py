"""Text encoders: a compact Transformer of our own, and any Hugging Face text model by name.

Legend: n texts, T tokens, E text dim, W width of the Transformer.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperclip.errors import InputError, MissingExtraError

__all__ = ["HuggingFaceTextEncoder", "TextEncoder", "TextEncoderConfig"]


@dataclass(frozen=True, kw_only=True)
class TextEncoderConfig:
    """Size of the compact text encoder."""

    vocab_size: int = 12_000
    context_length: int = 32
    width: int = 256
    n_layers: int = 3
    n_heads: int = 4
    mlp_ratio: int = 4
    text_dim: int = 256
    """E, the width of what comes out."""

    def __post_init__(self) -> None:
        if self.width % self.n_heads:
            raise InputError(
                f"width is {self.width}; expected a multiple of n_heads = {self.n_heads}; change one of them."
            )
        if min(self.vocab_size, self.context_length, self.n_layers, self.text_dim) < 1:
            raise InputError("A size of the text encoder is below 1; expected positive sizes; raise it.")


class _Block(nn.Module):
    """Pre-norm Transformer layer with full attention over the tokens that are there."""

    def __init__(self, width: int, n_heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, mlp_ratio * width), nn.Linear(mlp_ratio * width, width)

    def forward(self, x_nTW: Tensor, bias_n11T: Tensor) -> Tensor:
        n, n_tokens, width = x_nTW.shape
        q, k, v = self.qkv(self.norm1(x_nTW)).reshape(n, n_tokens, 3, self.n_heads, -1).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias_n11T)
        x_nTW = x_nTW + self.proj(attended.transpose(1, 2).reshape(n, n_tokens, width))
        out_nTW: Tensor = x_nTW + self.down(functional.gelu(self.up(self.norm2(x_nTW)), approximate="tanh"))
        return out_nTW


class TextEncoder(nn.Module):
    """A compact Transformer that reads names and meanings; mean pooling over the tokens.

    Parameters
    ----------
    config : TextEncoderConfig
    """

    def __init__(self, config: TextEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocab_size, config.width)
        self.position_embedding = nn.Embedding(config.context_length, config.width)
        self.blocks = nn.ModuleList(
            _Block(config.width, config.n_heads, config.mlp_ratio) for _ in range(config.n_layers)
        )
        self.norm = nn.LayerNorm(config.width)
        self.proj = nn.Linear(config.width, config.text_dim)
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.position_embedding.weight, std=0.01)

    def forward(self, token_ids_nT: Tensor, mask_nT: Tensor) -> Tensor:
        """Embed texts.

        Parameters
        ----------
        token_ids_nT : Tensor of shape (n, T), int64
        mask_nT : Tensor of shape (n, T), int64 or bool
            1 where there is a token. T may be smaller than the context length.

        Returns
        -------
        Tensor of shape (n, E), unit length
        """
        return self.project(self.pool(token_ids_nT, mask_nT))

    def pool(self, token_ids_nT: Tensor, mask_nT: Tensor) -> Tensor:
        """The mean over the tokens before the last projection, shape (n, W)."""
        positions = torch.arange(token_ids_nT.shape[1], device=token_ids_nT.device)
        x_nTW = self.token_embedding(token_ids_nT) + self.position_embedding(positions)
        weight_nT = mask_nT.to(x_nTW.dtype)
        bias = (weight_nT - 1)[:, None, None, :] * 1e4
        for block in self.blocks:
            x_nTW = block(x_nTW, bias)
        x_nTW = self.norm(x_nTW)
        n_tokens_n1 = weight_nT.sum(dim=1, keepdim=True).clamp(min=1)
        pooled_nW: Tensor = (x_nTW * weight_nT[..., None]).sum(dim=1) / n_tokens_n1
        return pooled_nW

    def project(self, pooled_nW: Tensor) -> Tensor:
        """The last projection of pooled tokens, shape (n, E), unit length."""
        return functional.normalize(self.proj(pooled_nW).float(), dim=-1)


class HuggingFaceTextEncoder(nn.Module):
    """Any Hugging Face text model with mean pooling and, where widths differ, a linear projection.

    Parameters
    ----------
    name_or_folder : str
        A hub name, or a local folder with ``config.json`` and safetensors weights.
    text_dim : int, optional
        E; the model's own width where left out.
    """

    def __init__(self, name_or_folder: str, *, text_dim: int | None = None) -> None:
        super().__init__()
        try:
            from transformers import AutoModel
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                "Hugging Face text models need transformers; run `pip install 'hyperclip[train]'`."
            ) from error
        try:
            self.model: Any = AutoModel.from_pretrained(name_or_folder, use_safetensors=True)
        except (OSError, ValueError) as error:
            raise InputError(
                f"The text model {name_or_folder!r} cannot be loaded ({str(error).splitlines()[0][:300]}); "
                "expected a hub name or a folder with config.json and safetensors; check the name."
            ) from error
        width = int(self.model.config.hidden_size)
        self.proj: nn.Module = (
            nn.Identity() if text_dim in (None, width) else nn.Linear(width, int(text_dim or width))
        )

    def forward(self, token_ids_nT: Tensor, mask_nT: Tensor) -> Tensor:
        """Embed texts: (n, T) token ids and mask to (n, E) unit vectors."""
        hidden = self.model(input_ids=token_ids_nT, attention_mask=mask_nT).last_hidden_state
        weight = mask_nT.to(hidden.dtype)[..., None]
        pooled = (hidden * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
        return functional.normalize(self.proj(pooled).float(), dim=-1)
