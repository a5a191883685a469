"""A world small enough to train in: six classes, their pictures, their words, and a text encoder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tiny_training import (
    CLASSES,
    NAMES,
    PARENTS,
    STRANGERS,
    TEXT_DIM,
    make_text_recipe,
    meaning,
    write_text_targets,
)

IMAGE_PX = 32
N_IMAGES, N_HELD_OUT = 48, 12


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tensors here are so small that threads only wait for one another."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def real_log() -> None:
    """Let a test have curves and TensorBoard, which cost more than training what is trained here."""


@pytest.fixture(autouse=True)
def lean_log(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    from hyperclip.train import log

    if "real_log" not in request.fixturenames:
        monkeypatch.setattr(log, "draw_curves", lambda rows, path: None)
        monkeypatch.setattr(log, "_open_tensorboard", lambda folder, first_step: None)


@pytest.fixture(scope="session")
def write_recipe(tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, Any]], Path]:
    """Write a recipe and return its path."""
    from hyperclip.train.recipe import to_toml

    folder = tmp_path_factory.mktemp("recipes")

    def write(values: dict[str, Any]) -> Path:
        path = folder / f"{len(list(folder.iterdir()))}.toml"
        path.write_text(to_toml(values), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def text_targets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `hyperclip.data.text_targets` writes, for eleven nouns and random vectors."""
    return write_text_targets(tmp_path_factory.mktemp("text_targets"))


@pytest.fixture(scope="session")
def text_recipe(text_targets: Path) -> dict[str, Any]:
    """A text encoder of a few thousand weights, for twenty steps."""
    return make_text_recipe(text_targets)


@pytest.fixture(scope="session")
def text_run(tmp_path_factory: pytest.TempPathFactory, text_recipe: dict[str, Any], write_recipe) -> Path:
    """The finished run of the text encoder."""
    from hyperclip.train import fit

    return fit(write_recipe(text_recipe), out=tmp_path_factory.mktemp("runs") / "text")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class list, WordNet's files, meanings, and a cache in which each class has a color of its own."""
    import pyarrow
    import pyarrow.parquet

    from hyperclip.bundle import ImageSpec
    from hyperclip.data.cache import build_cache

    folder = tmp_path_factory.mktemp("world")
    nouns = {
        "wnid": list(NAMES),
        "lemmas": [[name] for name in NAMES.values()],
        "sense_rank": [[1]] * len(NAMES),
        "lexname": ["artifact"] * len(NAMES),
    }
    pyarrow.parquet.write_table(pyarrow.table(nouns), folder / "wordnet-nouns.parquet")
    (folder / "hierarchy.json").write_text(json.dumps(PARENTS))
    classes = [{"wnid": wnid, "name": name, "synonyms": []} for wnid, name in CLASSES.items()]
    (folder / "classes.json").write_text(json.dumps(classes))
    (folder / "meanings.jsonl").write_text(
        "".join(
            json.dumps({"wnid": wnid, "texts": {name: meaning(wnid, name)}}) + "\n"
            for wnid, name in NAMES.items()
            if wnid not in STRANGERS
        )
    )
    rng = np.random.default_rng(0)
    colors = rng.integers(40, 216, (len(CLASSES), 1, 1, 3))
    labels = np.arange(N_IMAGES) % len(CLASSES)
    pixels = colors[labels] + rng.integers(-40, 41, (N_IMAGES, IMAGE_PX, IMAGE_PX, 3))
    spec = ImageSpec(
        size_px=IMAGE_PX, resize="crop", crop_ratio=1.0, interpolation="bicubic",
        mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5),
    )  # fmt: skip
    records = [(image, int(label)) for image, label in zip(pixels.astype(np.uint8), labels, strict=True)]
    build_cache(records, folder / "cache", spec=spec, class_names=list(CLASSES.values()))
    return folder


@pytest.fixture(scope="session")
def hyperclip_recipe(world: Path, text_run: Path) -> dict[str, Any]:
    """The smallest encoder that we name, on tasks; the arms change `hyperclip.model.hypernetwork`."""
    plain = {"min_area": 1.0, "max_stretch": 1.0, "color": 0.0, "low_resolution": 0.0, "blur": 0.0}
    return {
        "run": {"objective": "hyperclip", "n_steps": 20, "seed": 1, "log_every": 1, "evaluate_every": 20},
        "optimizer": {"peak_lr": 2e-3, "warmup_steps": 2},
        "hyperclip": {
            "classes": str(world / "classes.json"), "text_knowledge": str(world),
            "meanings": str(world / "meanings.jsonl"), "text_run": str(text_run),
            "n_held_out_classes": 0, "freeze_statistics_after": -1, "context_leaf_weight": 0.5,
            "model": {
                "image_encoder": {"name": "mobilenetv4_conv_small_050", "embedding_dim": 16},
                "head": {"dim": 16, "text_dim": TEXT_DIM},
                "hypernetwork": {"text_dim": TEXT_DIM, "hidden_dim": 16, "bottleneck_dim": 8},
            },
            "tasks": {"n_max": 6, "min_inner_leaves": 2, "max_inner_share": 0.5},
            "data": {
                "batch_size": 16, "is_batch_fixed": True, "sizes_px": [IMAGE_PX], "n_tasks": 3,
                "augment": plain,
                "sets": [{"cache": str(world / "cache"), "share": 1.0, "n_held_out": N_HELD_OUT}],
            },
            "evaluation": {
                "cache": str(world / "cache"), "n_images": N_HELD_OUT, "size_px": IMAGE_PX,
                "n_tasks": 2, "n_classes": 3,
            },
        },
    }  # fmt: skip


@pytest.fixture
def world_copy(world: Path, tmp_path: Path) -> Path:
    """A world of its own, for tests that damage it."""
    return Path(shutil.copytree(world, tmp_path / "world"))
