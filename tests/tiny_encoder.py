"""A HyperCLIP around the smallest encoder that we name, as a finished run and as a model folder."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

from tiny_bundle import DIM, TEXT_DIM, make_files, make_manifest, make_tokenizer

if TYPE_CHECKING:
    from hyperclip.models import HyperCLIP

ABOUT = """
name = "micro"
version = "0.0.2"
licence = "Apache-2.0"
commercial_use = "A toy."
origin = "Random numbers."
size_px = 64
sizes_px = [64, 96]
temperature = 0.8
"""


def make_model() -> HyperCLIP:
    """A model with random weights and a hypernetwork that says something."""
    import torch

    from hyperclip.models import (
        HeadConfig,
        HyperCLIP,
        HyperCLIPConfig,
        HypernetworkConfig,
        ImageEncoderConfig,
        TextEncoder,
        TextEncoderConfig,
    )

    torch.manual_seed(0)
    text = TextEncoderConfig(
        vocab_size=96, context_length=12, width=16, n_layers=1, n_heads=2, mlp_ratio=2, text_dim=TEXT_DIM
    )
    config = HyperCLIPConfig(
        image_encoder=ImageEncoderConfig(name="compact_20k", embedding_dim=DIM),
        head=HeadConfig(kind="linear", dim=DIM, text_dim=TEXT_DIM),
        hypernetwork=HypernetworkConfig(text_dim=TEXT_DIM, hidden_dim=16, bottleneck_dim=4, n_heads=2),
    )
    model = HyperCLIP(config, text_encoder=TextEncoder(text)).eval()
    with torch.no_grad():  # constants that are equal would be stored once, which training prevents
        for parameter in model.image_encoder.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    assert model.hypernetwork is not None
    torch.nn.init.normal_(model.hypernetwork.out.weight, std=0.3)
    return model


def write_run(model: HyperCLIP, folder: Path) -> Path:
    """Write what a finished run of a model leaves, and the run of its text encoder beside it."""
    from safetensors.torch import save_file

    from hyperclip.models import TextEncoder
    from hyperclip.train.recipe import to_toml

    text_run, run = folder / "text", folder / "run"
    text_run.mkdir()
    run.mkdir()
    encoder = model.text_encoder
    assert isinstance(encoder, TextEncoder)
    (text_run / "text_encoder.json").write_text(json.dumps(dataclasses.asdict(encoder.config)))
    (text_run / "tokenizer.json").write_bytes(make_tokenizer())
    save_file({k: v.contiguous() for k, v in encoder.state_dict().items()}, text_run / "weights.safetensors")
    (run / "model.json").write_text(json.dumps({"model": dataclasses.asdict(model.config)}))
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, run / "weights.safetensors")
    recipe = {"run": {"objective": "hyperclip"}, "hyperclip": {"text_run": str(text_run)}}
    (run / "recipe.toml").write_text(to_toml(recipe))
    return run


def write_model_folder(model: HyperCLIP, folder: Path) -> Path:
    """Export a model, its text side shared with the tiny bundle's; returns the folder."""
    from hyperclip.bundle import write_bundle
    from hyperclip.export.bundle import export_described

    run = write_run(model, folder)
    (folder / "about.toml").write_text(ABOUT)
    write_bundle(folder / "tiny", make_manifest(), make_files())
    export_described(run, folder / "about.toml", folder / "micro", shares=folder / "tiny")
    return folder / "micro"
