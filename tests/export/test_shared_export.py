"""Exporting an image encoder that shares another model's text side."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="exporting needs PyTorch: pip install 'hyperclip[train]'")
pytest.importorskip("onnxscript", reason="exporting needs onnxscript: pip install 'hyperclip[train]'")

import torch
from safetensors.torch import save_file
from torch.nn import functional

from hyperclip.bundle import write_bundle
from hyperclip.errors import InputError
from hyperclip.export.bundle import export_described
from hyperclip.models import (
    HeadConfig,
    HyperCLIP,
    HyperCLIPConfig,
    HypernetworkConfig,
    ImageEncoderConfig,
    TextEncoder,
    TextEncoderConfig,
)
from hyperclip.runtime.specialize import load
from hyperclip.train.recipe import to_toml
from tiny_bundle import DIM, TEXT_DIM, make_files, make_manifest, make_tokenizer, write_pair

pytestmark = pytest.mark.torch

TEXT = TextEncoderConfig(
    vocab_size=96, context_length=12, width=16, n_layers=1, n_heads=2, mlp_ratio=2, text_dim=TEXT_DIM
)
HYPERNETWORK = HypernetworkConfig(text_dim=TEXT_DIM, hidden_dim=16, bottleneck_dim=4, n_heads=2)
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


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads of small tensors only wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def write_run(
    folder: Path, *, dim: int = DIM, hypernetwork: HypernetworkConfig | None = None
) -> tuple[Path, HyperCLIP]:
    """Write what a finished run leaves, with random weights, and a text side of no use to anybody."""
    torch.manual_seed(0)
    text_run, run = folder / "text", folder / "run"
    text_run.mkdir()
    run.mkdir()
    encoder = TextEncoder(TEXT)
    (text_run / "text_encoder.json").write_text(json.dumps(dataclasses.asdict(TEXT)))
    (text_run / "tokenizer.json").write_bytes(make_tokenizer())
    save_file(encoder.state_dict(), text_run / "weights.safetensors")
    config = HyperCLIPConfig(
        image_encoder=ImageEncoderConfig(name="compact_20k", embedding_dim=dim),
        head=HeadConfig(kind="linear", dim=dim, text_dim=TEXT_DIM),
        hypernetwork=hypernetwork,
    )
    model = HyperCLIP(config, text_encoder=encoder).eval()
    with torch.no_grad():  # constants that are equal would be stored once, which training prevents
        for parameter in model.image_encoder.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    if model.hypernetwork is not None:
        torch.nn.init.normal_(model.hypernetwork.out.weight, std=0.3)
    (run / "model.json").write_text(json.dumps({"model": dataclasses.asdict(config)}))
    save_file(
        {key: value.contiguous() for key, value in model.state_dict().items()}, run / "weights.safetensors"
    )
    recipe = {"run": {"objective": "hyperclip"}, "hyperclip": {"text_run": str(text_run)}}
    (run / "recipe.toml").write_text(to_toml(recipe))
    (folder / "about.toml").write_text(ABOUT)
    return run, model


def test_only_the_image_encoder_is_written(tmp_path: Path) -> None:
    run, model = write_run(tmp_path)
    terms = {**make_files(), "LICENSE-words.txt": b"free\n"}
    lender = write_bundle(tmp_path / "tiny", make_manifest(), terms)

    manifest = export_described(run, tmp_path / "about.toml", tmp_path / "micro", shares=tmp_path / "tiny")

    assert {path.name for path in (tmp_path / "micro").iterdir()} == {
        "model.json", "encoder.onnx", "recipe.toml",
    }  # fmt: skip
    assert manifest.shares is not None
    assert manifest.shares.bundle == "tiny"
    names = ("LICENSE-words.txt", "specializer.onnx", "tokenizer.json")
    assert dict(manifest.shares.files) == {name: lender.files[name] for name in names}
    assert manifest.generated == ()
    assert manifest.text == lender.text
    assert manifest.head == dataclasses.replace(lender.head, temperature=0.8)
    classifier = load(tmp_path / "micro").specialize(["cat", "dog"])
    gray = np.full((1, 64, 64, 3), 128, np.uint8)
    with torch.no_grad():
        embedding = model.image_encoder(torch.full((1, 3, 64, 64), 128 / 255 * 2 - 1))
        expected = functional.normalize(embedding, dim=-1).numpy()  # as a linear head wants it
    # Weights are stored in float16.
    np.testing.assert_allclose(classifier.embed(list(gray)), expected, atol=1e-2 * np.abs(expected).max())


def test_a_hypernetwork_is_written_beside_its_encoder(tmp_path: Path) -> None:
    run, model = write_run(tmp_path, hypernetwork=HYPERNETWORK)
    write_bundle(tmp_path / "tiny", make_manifest(), make_files())

    manifest = export_described(run, tmp_path / "about.toml", tmp_path / "micro", shares=tmp_path / "tiny")

    assert "hypernetwork.onnx" in manifest.files
    assert manifest.n_generated == model.image_encoder.n_generated
    micro = load(tmp_path / "micro")
    texts = micro.texts(["cat", "dog", "fox"], templates=["{}"])
    class_text = functional.normalize(torch.from_numpy(micro.embed_text(["cat", "dog", "fox"])), dim=-1)
    with torch.no_grad():
        delta = model.generate(class_text[None])
        assert delta is not None
        expected = model.image_encoder.final_parameters(delta)[0].numpy()
    # Weights are stored in float16.
    np.testing.assert_allclose(micro.generate(texts).parameters, expected, atol=2e-2)
    assert np.abs(expected - micro.neutral_parameters).max() > 0.1


def test_embeddings_must_be_as_wide_as_the_shared_head(tmp_path: Path) -> None:
    run, _ = write_run(tmp_path, dim=DIM + 1)
    write_bundle(tmp_path / "tiny", make_manifest(), make_files())
    with pytest.raises(InputError, match=r"embedding_dim = 11; expected 10 as in the model 'tiny'"):
        export_described(run, tmp_path / "about.toml", tmp_path / "micro", shares=tmp_path / "tiny")
    assert not (tmp_path / "micro").exists()


def test_a_model_that_cannot_be_found_again_is_not_shared(tmp_path: Path) -> None:
    run, _ = write_run(tmp_path)
    write_bundle(tmp_path / "renamed", make_manifest(), make_files())
    with pytest.raises(InputError, match="rename the folder to 'tiny'"):
        export_described(run, tmp_path / "about.toml", tmp_path / "out", shares=tmp_path / "renamed")
    write_pair(tmp_path)
    with pytest.raises(InputError, match="itself shares files of 'tiny'"):
        export_described(run, tmp_path / "about.toml", tmp_path / "out", shares=tmp_path / "micro")
