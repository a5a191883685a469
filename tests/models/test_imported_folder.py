"""Towers of imported CLIPs are built again from their folder, whatever they are made of."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("open_clip")
pytest.importorskip("transformers")

import torch
from benchmarks.import_clip.small_models import SETTINGS, open_clip_weights, write_hugging_face
from safetensors.torch import load_file

from hyperclip.bundle import write_bundle
from hyperclip.export.import_clip import load_source
from hyperclip.export.import_open_clip import import_open_clip, import_open_clip_folder
from hyperclip.export.import_weights import weights_of
from hyperclip.export.imported import ImportedClip
from hyperclip.models import ImageEncoder, ImageEncoderConfig
from hyperclip.models.imported_folder import SOURCE, WEIGHTS, is_imported, load_imported
from tiny_bundle import make_files, make_manifest

pytestmark = pytest.mark.torch

KINDS = [
    "causal",
    "folder",
    *(
        pytest.param(kind, marks=pytest.mark.slow)
        for kind in ("sigmoid", "class_token", "residual", "many_branches", "clip", "siglip")
    ),
]


def open_clip_folder(place: Path) -> Path:
    """What open_clip itself writes, as far as it needs it."""
    folder = place / "of-open-clip"
    folder.mkdir()
    weights = open_clip_weights("quick_gelu", place)
    (folder / "open_clip_model.safetensors").write_bytes(weights.read_bytes())
    config = {"model_cfg": SETTINGS["quick_gelu"], "preprocess_cfg": {"resize_mode": "squash"}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


def loaded(kind: str, place: Path) -> ImportedClip:
    if kind in SETTINGS:
        return import_open_clip("ViT-B-32", weights=open_clip_weights(kind, place), settings=SETTINGS[kind])
    if kind == "folder":
        return import_open_clip_folder(open_clip_folder(place))
    if kind == "siglip":
        pytest.importorskip("sentencepiece")
    return load_source(str(write_hugging_face(kind, place / kind)))


def write_folder(clip: ImportedClip, out: Path) -> int:
    """Write a model folder whose graphs are another model's; return the width of the towers."""
    dim = clip.reference.text_vectors(["a"]).shape[1]
    said = make_manifest()
    head = dataclasses.replace(said.head, kind="linear", dim=dim, text_dim=dim)
    manifest = dataclasses.replace(said, images=clip.images, text=clip.text, head=head)
    settings = json.dumps(clip.settings).encode()
    write_bundle(out, manifest, {**make_files(), SOURCE: settings, WEIGHTS: weights_of(clip)})
    return dim


@pytest.mark.parametrize("kind", KINDS)
def test_towers_come_back_as_they_were(kind: str, tmp_path: Path) -> None:
    clip = loaded(kind, tmp_path)
    dim = write_folder(clip, tmp_path / "out")

    image_tower, text_tower = load_imported(tmp_path / "out")

    size_px, length = clip.images.size_px, clip.text.context_length
    images = torch.rand(2, 3, size_px, size_px, generator=torch.Generator().manual_seed(0))
    ids = torch.from_numpy(clip.reference.tokens(["a cat", "a photo of two dogs"]))
    assert ids.shape[1] == length
    with torch.no_grad():
        mean, std = (torch.tensor(v)[:, None, None] for v in (clip.images.mean, clip.images.std))
        wanted = clip.image_tower((images - mean) / std)
        torch.testing.assert_close(image_tower((images - mean) / std), wanted, rtol=0, atol=1e-5)
        mask = torch.ones_like(ids)
        torch.testing.assert_close(text_tower(ids, mask), clip.text_tower(ids, mask), rtol=0, atol=1e-5)
        # Blocks of several branches were fused into one convolution, norms and all.
        generates = "pointwise" if kind == "many_branches" else "norms"
        config = ImageEncoderConfig(
            name=f"imported:{tmp_path / 'out'}", init="folder", embedding_dim=dim, generates=(generates,)
        )
        encoder = ImageEncoder(config).eval()
        found = encoder(images * 2 - 1)  # as training normalizes pictures
        zeros = encoder(images * 2 - 1, torch.zeros(1, encoder.n_generated))
        random = torch.Generator().manual_seed(1)
        deltas = 0.2 * torch.randn(2, encoder.n_generated, generator=random)
        together = encoder(images * 2 - 1, deltas)
        alone = torch.cat([encoder(images[i : i + 1] * 2 - 1, deltas[i : i + 1]) for i in range(2)])
    span = float(wanted.abs().max())
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4 * span)
    torch.testing.assert_close(zeros, wanted, rtol=0, atol=1e-4 * span)
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-4 * span)
    assert (together - wanted).abs().max() > 1e-3 * span


def test_a_start_at_random_is_another_model(tmp_path: Path) -> None:
    dim = write_folder(loaded("causal", tmp_path), tmp_path / "out")
    name = f"imported:{tmp_path / 'out'}"
    torch.manual_seed(0)
    one = ImageEncoder(ImageEncoderConfig(name=name, embedding_dim=dim)).state_dict()
    other = ImageEncoder(ImageEncoderConfig(name=name, init="folder", embedding_dim=dim)).state_dict()
    assert {key: value.shape for key, value in one.items()} == {k: v.shape for k, v in other.items()}
    assert any(not torch.equal(value, other[key]) for key, value in one.items())


def test_weights_that_fit_float16_take_half_the_room(tmp_path: Path) -> None:
    clip = loaded("causal", tmp_path)
    with torch.no_grad():
        for parameter in clip.text_tower.parameters():
            parameter.copy_(parameter.half().float())
    write_folder(clip, tmp_path / "out")
    state = load_file(tmp_path / "out" / WEIGHTS)
    assert {value.dtype for name, value in state.items() if name.startswith("text.")} == {torch.float16}
    assert torch.float32 in {value.dtype for name, value in state.items() if name.startswith("image.")}
    _, text_tower = load_imported(tmp_path / "out")
    for name, value in text_tower.state_dict().items():
        assert torch.equal(value, clip.text_tower.state_dict()[name]), name


def test_other_folders_are_no_imported_models(tmp_path: Path) -> None:
    assert not is_imported(tmp_path)
    write_bundle(tmp_path / "tiny", make_manifest(), make_files())
    assert not is_imported(tmp_path / "tiny")
