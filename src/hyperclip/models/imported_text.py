"""The text tower of an imported CLIP as a text encoder of ours.

Legend: n texts, T tokens, E width of the shared space.
"""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from hyperclip.models.imported_folder import ImportedFolder
from hyperclip.models.text_encoder import TextEncoder

__all__ = ["AnyTextEncoder", "ImportedTextConfig", "ImportedTextEncoder", "load_imported_text"]


@dataclass(frozen=True, kw_only=True)
class ImportedTextConfig:
    """What the tower expects and gives."""

    text_dim: int
    """E."""
    context_length: int
    is_padded: bool
    """Whether it reads texts padded to the whole context alone."""

    @property
    def width(self) -> int:
        """Width of what `ImportedTextEncoder.pool` gives: E again."""
        return self.text_dim


class ImportedTextEncoder(nn.Module):
    """A text tower that rests, and a projection behind it that learns: the identity at the start.

    Parameters
    ----------
    tower : torch.nn.Module
        (n, T) token ids and mask to (n, E), of any length.
    config : ImportedTextConfig
    """

    def __init__(self, tower: nn.Module, config: ImportedTextConfig) -> None:
        super().__init__()
        self.config = config
        self.tower = tower
        self.proj = nn.Linear(config.width, config.text_dim)
        nn.init.eye_(self.proj.weight)
        nn.init.zeros_(self.proj.bias)

    def forward(self, token_ids_nT: Tensor, mask_nT: Tensor) -> Tensor:
        """Embed texts: (n, T) token ids and mask to (n, E) unit vectors."""
        return self.project(self.pool(token_ids_nT, mask_nT))

    def pool(self, token_ids_nT: Tensor, mask_nT: Tensor) -> Tensor:
        """What the tower gives, shape (n, E), of any length."""
        pooled_nE: Tensor = self.tower(token_ids_nT, mask_nT)
        return pooled_nE

    def project(self, pooled_nE: Tensor) -> Tensor:
        """The projection of what the tower gives, shape (n, E), unit length."""
        return functional.normalize(self.proj(pooled_nE).float(), dim=-1)

    def train(self, mode: bool = True) -> "ImportedTextEncoder":
        """Let the projection alone into training mode: a tower that rests has no use for dropout."""
        super().train(mode)
        self.tower.eval()
        return self


AnyTextEncoder = TextEncoder | ImportedTextEncoder


def load_imported_text(folder: Path) -> tuple[ImportedTextEncoder, ImportedFolder]:
    """Load the text tower of an imported CLIP with its weights; raises as `load_imported` does."""
    imported = ImportedFolder.open(folder)
    text = imported.manifest.text
    config = ImportedTextConfig(
        text_dim=imported.manifest.head.text_dim, context_length=text.context_length,
        is_padded=text.padding == "context",
    )  # fmt: skip
    return ImportedTextEncoder(imported.text_tower(with_weights=True), config), imported
