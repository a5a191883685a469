"""Any timm image encoder or a compact one, with generated norms and an embedding of our own width.

Legend: B images in a batch, D embedding dim, H W pixels, P generated parameters, R context rows.
"""

from dataclasses import dataclass
from pathlib import Path

import timm
import torch
from torch import Tensor, nn

from hyperclip.errors import InputError
from hyperclip.models.compact import COMPACT_ENCODERS, CompactEncoder
from hyperclip.models.conditioned_norm import ConditionedNorm, condition_norms
from hyperclip.models.conditioned_weight import ConditionedPointwise, condition_pointwise
from hyperclip.models.depthwise import use_quick_depthwise
from hyperclip.models.imported_image import ImportedTrunk, build_imported_trunk, imported_folder_of
from hyperclip.models.padding import make_padding_constant
from hyperclip.models.start_weights import load_package_weights, load_weights_file

__all__ = ["ImageEncoder", "ImageEncoderConfig", "mix_weights"]

_GENERATES = ("norms", "pointwise")  # in the order of the layout


@dataclass(frozen=True, kw_only=True)
class ImageEncoderConfig:
    """Which encoder, how it starts and how wide its embedding is."""

    name: str = "tf_efficientnet_lite0"
    """Any name that timm knows; `compact_20k`, `compact_60k`, `compact_150k`, `compact_500k`; or
    `imported:FOLDER`, the image tower of a CLIP that was imported with ``--trainable``."""
    init: str = "none"
    """`none`, `timm` (downloads), `package` (see `load_package_weights`), `folder` (the weights of
    `imported:FOLDER`), or a weights file."""
    embedding_dim: int = 1000
    """D. At 1000, pretrained weights keep their classifier: the embedding is then 1,000 concept logits."""
    generates: tuple[str, ...] = ("norms",)
    """What a task can change: `norms` (scales and shifts), `pointwise` (weights of 1 x 1 convolutions)."""

    def __post_init__(self) -> None:
        if self.embedding_dim < 1:
            raise InputError(f"embedding_dim is {self.embedding_dim}; expected at least 1; try 256.")
        wrong = sorted(set(self.generates) - set(_GENERATES))
        if wrong or not self.generates or len(set(self.generates)) != len(self.generates):
            raise InputError(
                f"generates is {list(self.generates)}; expected some of {list(_GENERATES)}, each once; "
                "correct the list."
            )
        if self.name in COMPACT_ENCODERS:
            if self.init in ("timm", "package"):
                raise InputError(
                    f"init is {self.init!r}; expected 'none' or a weights file for {self.name}, which has no "
                    "published weights; train it first."
                )
        elif imported_folder_of(self.name) is not None:
            if self.init not in ("none", "folder"):
                raise InputError(
                    f"init is {self.init!r}; expected 'folder' or 'none' for {self.name!r}; choose one."
                )
        elif not timm.is_model(self.name):
            near = ", ".join([*COMPACT_ENCODERS, *timm.list_models(f"*{self.name.split('_')[0]}*")[:5]])
            raise InputError(
                f"Image encoder {self.name!r} is not known to timm; expected a timm model name or a compact "
                f"encoder; try one of: {near}."
            )


class ImageEncoder(nn.Module):
    """An image encoder that can be told its task.

    Parameters
    ----------
    config : ImageEncoderConfig
        Architecture, start and width.

    Attributes
    ----------
    layout : list of (name, size, offset)
        The P generated parameters in order.
    n_generated : int
        P.
    n_norm_parameters : int
        How many of them, the first, are scales and shifts; the others are weights.
    fixed_size_px : int or None
        Side of the pictures, where the encoder takes no others.
    """

    def __init__(self, config: ImageEncoderConfig) -> None:
        super().__init__()
        self.config = config
        trunk = _build_trunk(config)
        self.fixed_size_px = trunk.size_px if isinstance(trunk, ImportedTrunk) else None
        if config.init == "package":
            load_package_weights(trunk, config.name)
        elif config.init not in ("none", "timm") and not isinstance(trunk, ImportedTrunk):
            load_weights_file(trunk, Path(config.init))
        make_padding_constant(trunk)
        use_quick_depthwise(trunk)
        self._slot, norm_layout = condition_norms(trunk)
        self.layout = norm_layout if "norms" in config.generates else []
        self.n_norm_parameters = sum(size for _, size, _ in self.layout)
        if "pointwise" in config.generates:
            self.layout = self.layout + condition_pointwise(trunk, self._slot, self.n_norm_parameters)
        self.trunk = trunk
        self.n_generated = sum(size for _, size, _ in self.layout)

    def forward(
        self, images_B3HW: Tensor, delta_RP: Tensor | None = None, context_index_B: Tensor | None = None
    ) -> Tensor:
        """Embed images, each under its own context.

        Parameters
        ----------
        images_B3HW : Tensor of shape (B, 3, H, W), float
            Normalized RGB.
        delta_RP : Tensor of shape (R, P), float, optional
            Generated changes, a row a context: of scales (relative), of shifts (added) and of weights
            (added, in units of 1 / sqrt(C)); zeros, or None, give the neutral encoder.
        context_index_B : Tensor of shape (B,), int64, optional
            Row of each image; may be left out where R is 1 or B.

        Returns
        -------
        Tensor of shape (B, D)

        Raises
        ------
        InputError
            If the rows are not P wide, or there is not one row for all images or one for each.
        """
        if delta_RP is None:
            with self._slot.filled(None):
                neutral: Tensor = self.trunk(images_B3HW)
            return neutral
        self._check_rows(len(images_B3HW), delta_RP, context_index_B)
        rows_BP: Tensor | None = None
        if self.n_norm_parameters:
            norms_RP = delta_RP[:, : self.n_norm_parameters]
            rows_BP = (
                norms_RP.expand(len(images_B3HW), -1)
                if context_index_B is None
                else norms_RP[context_index_B]
            )
        if self.n_norm_parameters == self.n_generated:
            with self._slot.filled(rows_BP):
                embedding: Tensor = self.trunk(images_B3HW)
            return embedding
        return self._embed_by_context(images_B3HW, rows_BP, delta_RP, context_index_B)

    def _embed_by_context(
        self, images_B3HW: Tensor, rows_BP: Tensor | None, delta_RP: Tensor, context_index_B: Tensor | None
    ) -> Tensor:
        """Embed with generated weights: images of one context are brought together, and back at the end."""
        index_B = context_index_B
        if index_B is None:
            index_B = torch.arange(len(images_B3HW), device=delta_RP.device) % len(delta_RP)
        n_images = torch.bincount(index_B, minlength=len(delta_RP)).tolist()
        order_B = torch.argsort(index_B, stable=True)
        is_sorted = bool((index_B[1:] >= index_B[:-1]).all())
        if not is_sorted:
            images_B3HW = _reordered(images_B3HW, order_B)
            rows_BP = None if rows_BP is None else rows_BP[order_B]
        with self._slot.filled(rows_BP, self._weight_deltas(delta_RP), n_images):
            embedding: Tensor = self.trunk(images_B3HW)
        return embedding if is_sorted else embedding[torch.argsort(order_B)]

    def _check_rows(self, n_images: int, delta_RP: Tensor, context_index_B: Tensor | None) -> None:
        if delta_RP.shape[-1] != self.n_generated:
            raise InputError(
                f"The context rows have {delta_RP.shape[-1]} values; expected {self.n_generated}; "
                "generate them with the hypernetwork that was made for this encoder."
            )
        if context_index_B is not None:
            n_rows = len(context_index_B)
        else:
            n_rows = n_images if len(delta_RP) == 1 else len(delta_RP)
        if n_rows != n_images:
            raise InputError(
                f"There are {n_rows} context rows for {n_images} images; expected one row, or "
                "one an image; say with context_index_B which row each image takes."
            )

    def _weight_deltas(self, delta_RP: Tensor) -> dict[int, Tensor]:
        """The changes of each convolution by its place; split at once, as that has one backward pass."""
        entries = [(size, offset) for _, size, offset in self.layout if offset >= self.n_norm_parameters]
        weights_RP = delta_RP[:, self.n_norm_parameters :]
        parts = torch.split(weights_RP, [size for size, _ in entries], dim=1)
        return {offset: part for (_, offset), part in zip(entries, parts, strict=True)}

    def norms(self) -> list[ConditionedNorm]:
        """All conditioned norms, in the order of the layout."""
        return [module for module in self.modules() if isinstance(module, ConditionedNorm)]

    def freeze_statistics(self, frozen: bool = True) -> None:
        """Let BatchNorm use its running statistics in training too, as deployment does."""
        for norm in self.norms():
            norm.are_statistics_frozen = frozen

    def refresh_layout(self) -> None:
        """Give the generated parameters new sizes and places after channels were removed."""
        offset = 0
        layout: list[tuple[str, int, int]] = []
        for name, _, _ in self.layout:
            layer = self.trunk.get_submodule(name.rpartition(".")[0])
            if isinstance(layer, ConditionedNorm):
                size = layer.n_channels
                if name.endswith(".scale"):
                    layer.offset = offset
            else:
                assert isinstance(layer, ConditionedPointwise)
                size, layer.offset = layer.weight.numel(), offset
            layout.append((name, size, offset))
            offset += size
        self.layout, self.n_generated = layout, offset
        self.n_norm_parameters = sum(size for name, size, _ in layout if name.endswith((".scale", ".shift")))

    def pointwise(self) -> list[ConditionedPointwise]:
        """All convolutions with generated weights, in the order of the layout."""
        return [module for module in self.modules() if isinstance(module, ConditionedPointwise)]

    def base_parameters(self) -> Tensor:
        """The learnt scales, shifts and weights in the order of the layout, shape (P,)."""
        norms = self.norms() if self.n_norm_parameters else []
        parts: list[Tensor] = [part for norm in norms for part in (norm.norm.weight, norm.norm.bias)]
        parts += [conv.weight for conv in self.pointwise()]
        return torch.cat([part.flatten() for part in parts])

    def final_parameters(self, delta_RP: Tensor) -> Tensor:
        """Turn generated changes into final scales, shifts and weights, shape (R, P)."""
        base, is_scale = self.base_parameters(), self.scale_mask().to(delta_RP.device)
        units = self.weight_units()
        if units:
            sizes = [self.n_norm_parameters, *(conv.weight.numel() for conv in self.pointwise())]
            parts = torch.split(delta_RP, sizes, dim=1)
            scaled = [unit * part for unit, part in zip(units, parts[1:], strict=True)]
            delta_RP = torch.cat([parts[0], *scaled], dim=1)
        return torch.where(is_scale, base * (1 + delta_RP), base + delta_RP)

    def scale_mask(self) -> Tensor:
        """Which of the P parameters are scales, bool of shape (P,)."""
        parts = [torch.full((size,), name.endswith(".scale")) for name, size, _ in self.layout]
        return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.bool)

    def weight_units(self) -> list[float]:
        """What the generated changes of each convolution are multiplied by, in the order of the layout."""
        return [conv.unit for conv in self.pointwise()]


def _reordered(images_B3HW: Tensor, order_B: Tensor) -> Tensor:
    """Images in another order and the same memory format."""
    is_last = images_B3HW.is_contiguous(memory_format=torch.channels_last)
    picked = images_B3HW[order_B]
    return picked.contiguous(memory_format=torch.channels_last) if is_last else picked


def _build_trunk(config: ImageEncoderConfig) -> nn.Module:
    if config.name in COMPACT_ENCODERS:
        return CompactEncoder(config.name, embedding_dim=config.embedding_dim)
    folder = imported_folder_of(config.name)
    if folder is not None:
        is_filled = config.init == "folder"
        return build_imported_trunk(folder, embedding_dim=config.embedding_dim, with_weights=is_filled)
    trunk: nn.Module = timm.create_model(
        config.name, pretrained=config.init == "timm", num_classes=config.embedding_dim
    )
    return trunk


@torch.no_grad()
def mix_weights(encoder: ImageEncoder, other: ImageEncoder, *, share: float) -> None:
    """Replace weights and statistics by ``share * own + (1 - share) * other``, in place.

    Between a pretrained encoder and the same one trained further, with frozen statistics, accuracy on
    what training did not show is often better than at either end.

    Parameters
    ----------
    encoder, other : ImageEncoder
        Of the same architecture; `other` is left as it is.
    share : float
        In [0, 1]; 1 changes nothing.

    Raises
    ------
    InputError
        If the share is out of range or the encoders differ.

    References
    ----------
    Wortsman et al., "Robust fine-tuning of zero-shot models", arXiv 2109.01903 (there with `alpha`).
    """
    own, others = encoder.state_dict(), other.state_dict()
    if not 0 <= share <= 1:
        raise InputError(f"The share of trained weights is {share}; expected a number in [0, 1]; correct it.")
    if {k: v.shape for k, v in own.items()} != {k: v.shape for k, v in others.items()}:
        raise InputError("The two image encoders differ; expected the same architecture; check their names.")
    for key, value in own.items():
        if value.is_floating_point():
            value.copy_(share * value + (1 - share) * others[key])
