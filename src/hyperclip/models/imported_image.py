"""The image tower of an imported CLIP as a trunk of ours, and a head that starts as the imported one.

Legend: B pictures, S pixels of a side, E width of the shared space.
"""

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from hyperclip.errors import InputError
from hyperclip.models.heads import LinearHead
from hyperclip.models.imported_folder import ImportedFolder

__all__ = ["PREFIX", "ImportedTrunk", "build_imported_trunk", "imported_folder_of", "start_as_imported"]

PREFIX = "imported:"
OUR_MEAN = OUR_STD = 0.5  # as pictures come in training: `hyperclip.train.hyperclip_batches.IMAGE_MEAN`


class ImportedTrunk(nn.Module):
    """An image tower behind the change from our normalization of pictures to its own.

    Parameters
    ----------
    tower : torch.nn.Module
        (B, 3, S, S), normalized by `mean` and `std`, to (B, E).
    mean, std : sequence of 3 floats
        RGB, in units of [0, 1].
    size_px : int
        S: pictures of other sides do not fit the tower.
    """

    def __init__(
        self, tower: nn.Module, *, mean: tuple[float, ...], std: tuple[float, ...], size_px: int
    ) -> None:
        super().__init__()
        self.tower = tower
        self.size_px = size_px
        means, deviations = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in (mean, std))
        self.pixel_factor = nn.Buffer((OUR_STD / deviations).float())
        self.pixel_summand = nn.Buffer(((OUR_MEAN - means) / deviations).float())

    def forward(self, images_B3SS: Tensor) -> Tensor:
        """Embed pictures that are normalized as ours are: (B, 3, S, S) to (B, E), of any length."""
        embedding: Tensor = self.tower(images_B3SS * self.pixel_factor + self.pixel_summand)
        return embedding


def imported_folder_of(name: str) -> Path | None:
    """Return the folder that an image encoder's name names, or None where it is another encoder."""
    return Path(name.removeprefix(PREFIX)) if name.startswith(PREFIX) else None


def build_imported_trunk(folder: Path, *, embedding_dim: int, with_weights: bool) -> ImportedTrunk:
    """Build the image tower of an imported CLIP.

    Raises
    ------
    InputError
        If it cannot be built, has no weights where some are asked for, or its width is another.
    MissingExtraError
        If the library that it comes from is not installed.
    """
    imported = ImportedFolder.open(folder)
    dim, images = imported.manifest.head.dim, imported.manifest.images
    if embedding_dim != dim:
        raise InputError(
            f"image_encoder.embedding_dim is {embedding_dim}; expected {dim}, the width of {folder}; "
            "correct the recipe."
        )
    tower = imported.image_tower(with_weights=with_weights)
    return ImportedTrunk(tower, mean=images.mean, std=images.std, size_px=images.size_px)


@torch.no_grad()
def start_as_imported(head: nn.Module, encoder_name: str) -> None:
    """Let a linear head begin as that of the imported model, in place: its scale, its bias, no projection.

    Raises
    ------
    InputError
        If the image encoder is no imported one, or the head is of another kind or width.
    """
    folder = imported_folder_of(encoder_name)
    if folder is None or not isinstance(head, LinearHead):
        raise InputError(
            f"head.init is 'folder' with the image encoder {encoder_name!r}; expected a linear head and an "
            "encoder called imported:FOLDER; set head.init to 'none'."
        )
    said = ImportedFolder.open(folder).manifest.head
    if head.proj.weight.shape != (said.dim, said.text_dim):
        raise InputError(
            f"head.dim and head.text_dim are {list(head.proj.weight.shape)}; expected "
            f"{[said.dim, said.text_dim]} as in {folder}; correct the recipe."
        )
    nn.init.eye_(head.proj.weight)
    nn.init.zeros_(head.proj.bias)
    head.log_logit_scale.fill_(math.log(said.logit_scale))
    head.logit_bias.fill_(said.logit_bias)
