"""A pruned HyperCLIP is exported like any other, and still specialized to new names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="exporting needs PyTorch: pip install 'hyperclip[train]'")
pytest.importorskip("torch_pruning", reason="needs torch-pruning: pip install 'hyperclip[train]'")
pytest.importorskip("onnxscript", reason="exporting needs onnxscript: pip install 'hyperclip[train]'")

import torch
from torch.nn import functional

from hyperclip.models.channel_removal import model_groups, remove_channels
from hyperclip.runtime.specialize import load
from tiny_encoder import make_model, write_model_folder

pytestmark = pytest.mark.torch
NAMES = ["cat", "dog", "fox"]


def test_a_pruned_model_is_exported_and_specialized_to_new_names(tmp_path: Path) -> None:
    (tmp_path / "dense").mkdir()
    (tmp_path / "pruned").mkdir()
    dense_folder = write_model_folder(make_model(), tmp_path / "dense")
    model = make_model()
    groups = model_groups(model)
    remove_channels(model, groups, {g.name: torch.arange(1, g.n_channels, 2) for g in groups})

    folder = write_model_folder(model, tmp_path / "pruned")

    n_dense, n_pruned = (load(one).neutral_parameters.size for one in (dense_folder, folder))
    assert n_pruned == model.image_encoder.n_generated < n_dense
    sizes = [(one / "encoder.onnx").stat().st_size for one in (dense_folder, folder)]
    assert sizes[1] < 0.8 * sizes[0]

    micro = load(folder)
    texts = micro.texts(NAMES, templates=["{}"])
    class_text = functional.normalize(torch.from_numpy(micro.embed_text(NAMES)), dim=-1)
    gray = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    images = torch.from_numpy(gray).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        delta = model.generate(class_text[None])
        assert delta is not None
        wanted = model.image_encoder.final_parameters(delta)[0].numpy()
        embedding = functional.normalize(model.image_encoder(images, delta), dim=-1).numpy()
        neutral = functional.normalize(model.image_encoder(images), dim=-1).numpy()
    # Weights are stored in float16.
    np.testing.assert_allclose(micro.generate(texts).parameters, wanted, atol=2e-2)
    found = micro.specialize(NAMES, templates=["{}"]).embed(list(gray))
    np.testing.assert_allclose(found, embedding, atol=2e-2)
    assert np.abs(embedding - neutral).max() > 0.05  # the names matter
