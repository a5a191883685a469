"""Image encoders that a training starts from or learns from."""

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from hyperclip.errors import InputError
from hyperclip.models import HyperCLIPConfig, ImageEncoder, mix_weights

__all__ = ["load_average", "load_hypernetwork", "load_image_encoder", "untouched_encoder"]


def load_average(encoder: ImageEncoder, runs: Sequence[Path], *, share: float = 1.0) -> None:
    """Fill an image encoder with the mean of several runs' weights, mixed with those that it has, in place.

    Runs that went different ways from one start are often better together than each alone.

    Parameters
    ----------
    encoder, share
        As in `load_image_encoder`.
    runs : sequence of Path
        At least one.

    References
    ----------
    Wortsman et al., "Model soups", arXiv 2203.05482.
    """
    if not runs:
        raise InputError("There is no run to start from; expected at least one; name it in start_from.")
    before = copy.deepcopy(encoder)
    load_image_encoder(encoder, runs[0])
    for n_done, run in enumerate(runs[1:], start=1):
        other = copy.deepcopy(before)
        load_image_encoder(other, run)
        mix_weights(encoder, other, share=n_done / (n_done + 1))
    mix_weights(encoder, before, share=share)


def load_image_encoder(
    encoder: ImageEncoder, run: Path, *, share: float = 1.0, head: nn.Module | None = None
) -> None:
    """Fill an image encoder from a run, mixed with the weights that it has, in place.

    Parameters
    ----------
    encoder : ImageEncoder
        Of the run's architecture.
    run : Path
        Folder of a finished run of the `hyperclip` objective.
    share : float
        Share of the run's weights, see `hyperclip.models.mix_weights`.
    head : torch.nn.Module, optional
        Filled with the run's head, where given.

    Raises
    ------
    InputError
        If the run is not finished, or holds another encoder or head.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = run / "weights.safetensors"
    prefix = "image_encoder."
    before = copy.deepcopy(encoder)
    try:
        state = load_file(path)
        encoder.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
        if head is not None:
            head.load_state_dict(
                {k.removeprefix("head."): v for k, v in state.items() if k.startswith("head.")}
            )
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"start_from is {str(run)!r}, whose weights.safetensors cannot be read "
            f"({type(error).__name__}); expected a finished run; finish that one first."
        ) from error
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"{path} holds another image encoder or head ({reason}); expected that of this recipe; "
            "use the same."
        ) from error
    mix_weights(encoder, before, share=share)


def load_hypernetwork(hypernetwork: nn.Module, run: Path) -> None:
    """Fill a hypernetwork with that of a finished run; raises `InputError` where there is no such."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    prefix = "hypernetwork."
    try:
        state = load_file(run / "weights.safetensors")
        hypernetwork.load_state_dict(
            {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        )
    except (OSError, SafetensorError, RuntimeError) as error:
        raise InputError(
            f"hypernetwork_from is {str(run)!r}, which holds no such hypernetwork ({type(error).__name__}); "
            "expected a finished run with the same sizes; choose another."
        ) from error


def untouched_encoder(config: HyperCLIPConfig) -> ImageEncoder:
    """The image encoder as `image_encoder.init` names it, which never learns: a teacher of concept logits.

    Raises
    ------
    InputError
        If the start is not trained, or the embedding does not hold the logits of concepts.
    """
    encoder = config.image_encoder
    if encoder.init == "none" or not config.head.is_mixture:
        raise InputError(
            f"A set has a teacher_weight, with init {encoder.init!r} and a {config.head.kind!r} head; "
            "expected a trained start whose embedding is the concepts' logits; set teacher_weight to 0."
        )
    return ImageEncoder(encoder).eval().requires_grad_(False).to(memory_format=torch.channels_last)
