"""Training that starts from an imported CLIP: the first step answers as that model does."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install 'hyperclip[train]'")
pytest.importorskip("onnxscript", reason="exporting needs onnxscript: pip install 'hyperclip[train]'")
pytest.importorskip("open_clip")
pytest.importorskip("transformers")

import torch
from benchmarks.import_clip.small_models import SETTINGS, open_clip_weights, write_hugging_face
from PIL import Image
from safetensors.torch import load_file, save

from hyperclip import load
from hyperclip.bundle import read_bundle, write_bundle
from hyperclip.data.augment import normalize_images
from hyperclip.errors import InputError
from hyperclip.export.bundle import export_described, load_run
from hyperclip.export.import_clip import load_source, write_imported
from hyperclip.export.import_open_clip import import_open_clip
from hyperclip.models import HeadConfig, HyperCLIP, HyperCLIPConfig, HypernetworkConfig, ImageEncoderConfig
from hyperclip.models.imported_folder import SOURCE, WEIGHTS, load_imported
from hyperclip.models.imported_image import OUR_MEAN, OUR_STD
from hyperclip.runtime.preprocess import fit_image
from hyperclip.train import fit
from hyperclip.train.class_texts import ClassTexts, load_text_encoder
from hyperclip.train.hyperclip_batches import IMAGE_MEAN, IMAGE_STD

pytestmark = pytest.mark.torch

DIM, SIZE_PX = 24, 64
NAMES = ["cat", "golden retriever", "cup of coffee", "rocket"]
ABOUT = """
name = "my-clip"
version = "1"
licence = "unknown"
commercial_use = "A toy."
origin = "Random numbers."
"""
KINDS = ("causal", "two_way", pytest.param("transformers", marks=pytest.mark.slow))


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A small CLIP, imported with its weights."""
    place = tmp_path_factory.mktemp("imports")
    shown = place / "shown"
    shown.mkdir()
    for index, picture in enumerate(pictures()):
        picture.resize((90 + 20 * index, 80)).save(shown / f"{index}.png")

    def folder_of(kind: str) -> Path:
        out = place / f"{kind}-model"
        if not out.exists():
            if kind == "transformers":
                clip = load_source(str(write_hugging_face("clip", place / "hf")))
            else:
                clip = import_open_clip(
                    "ViT-B-32", weights=open_clip_weights(kind, place), settings=SETTINGS[kind]
                )
            write_imported(clip, out, is_trainable=True, pictures=shown)
        return out

    return folder_of


def pictures() -> list[Image.Image]:
    """Noise."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
    return [Image.fromarray(one) for one in pixels]


def as_batch(images: list[Image.Image], folder: Path) -> torch.Tensor:
    """Pictures as a batch has them: cut as the model folder says, normalized as ours are."""
    spec = read_bundle(folder).manifest.images
    pixels = np.stack([fit_image(image, spec=spec) for image in images])
    scaled = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    return normalize_images(scaled, IMAGE_MEAN, IMAGE_STD)


def model_section(folder: Path) -> dict[str, Any]:
    return {
        "image_encoder": {"name": f"imported:{folder}", "init": "folder", "embedding_dim": DIM},
        "head": {"dim": DIM, "text_dim": DIM, "init": "folder"},
        "hypernetwork": {"text_dim": DIM, "hidden_dim": 16, "bottleneck_dim": 8},
    }


def make_model(folder: Path) -> tuple[HyperCLIP, ClassTexts]:
    """The model before the first step, and how it reads names."""
    section = model_section(folder)
    config = HyperCLIPConfig(
        image_encoder=ImageEncoderConfig(**section["image_encoder"]),
        head=HeadConfig(**section["head"]),
        hypernetwork=HypernetworkConfig(**section["hypernetwork"]),
    )
    encoder, tokenizer = load_text_encoder(folder)
    return HyperCLIP(config, text_encoder=encoder).eval(), ClassTexts(encoder, tokenizer, None)


def make_recipe(folder: Path, world: Path, *, n_steps: int = 3) -> dict[str, Any]:
    plain = {"min_area": 1.0, "max_stretch": 1.0, "color": 0.0, "low_resolution": 0.0, "blur": 0.0}
    return {
        "run": {"objective": "hyperclip", "n_steps": n_steps, "seed": 1, "log_every": 1},
        "optimizer": {
            "peak_lr": 1e-3, "warmup_steps": 0, "lr_factors": {"image_encoder.": 0.1, "text_encoder.": 0.1},
        },
        "hyperclip": {
            "classes": str(world / "classes.json"), "text_knowledge": str(world), "meanings": "",
            "text_run": str(folder), "n_held_out_classes": 0, "model": model_section(folder),
            "tasks": {"n_max": 6, "min_inner_leaves": 2, "max_inner_share": 0.5, "empty_context": 0.0},
            "data": {
                "batch_size": 12, "is_batch_fixed": True, "sizes_px": [SIZE_PX], "n_tasks": 2,
                "augment": plain,
                "sets": [{"cache": str(world / "cache"), "share": 1.0, "n_held_out": 12}],
            },
            "evaluation": {
                "cache": str(world / "cache"), "n_images": 12, "size_px": SIZE_PX, "n_tasks": 2,
                "n_classes": 3,
            },
        },
    }  # fmt: skip


def losses(run: Path) -> list[float]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_step_answers_as_the_imported_model(kind: str, imported: Callable[[str], Path]) -> None:
    folder = imported(kind)
    model, texts = make_model(folder)
    images = pictures()
    wanted = load(folder).specialize(NAMES).decision_function(images)

    class_emb = torch.from_numpy(texts.embed(NAMES, [None] * len(NAMES)))
    with torch.no_grad():
        found = model(as_batch(images, folder), class_emb).numpy()

    assert model.image_encoder.n_generated > 0
    span = np.ptp(wanted, axis=1)
    assert (span > 1e-3).all()  # the answers do depend on the names
    assert (np.abs(found - wanted).max(axis=1) <= 1e-4 * span).all()  # float32 rounding in another order


def test_pictures_come_as_training_normalizes_them() -> None:
    assert IMAGE_MEAN == (OUR_MEAN,) * 3
    assert IMAGE_STD == (OUR_STD,) * 3


@pytest.fixture(scope="module")
def finished(
    imported: Callable[[str], Path], world: Path, write_recipe: Callable[[dict[str, Any]], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Path]:  # fmt: skip
    """A run of three steps that started from an imported model."""
    place = tmp_path_factory.mktemp("finished")

    def run_of(kind: str) -> Path:
        out = place / kind
        if not out.exists():
            fit(write_recipe(make_recipe(imported(kind), world)), out=out)
        return out

    return run_of


def test_a_run_moves_the_hypernetwork_and_leaves_the_text_tower_alone(
    finished: Callable[[str], Path], imported: Callable[[str], Path]
) -> None:
    state = load_file(finished("causal") / "weights.safetensors")
    start, _ = make_model(imported("causal"))
    before = start.state_dict()

    assert state["hypernetwork.out.weight"].abs().max() > 0
    moved = {name for name, value in state.items() if not torch.equal(value, before[name])}
    assert any(name.startswith("image_encoder.trunk.tower.") for name in moved)
    assert "text_encoder.proj.weight" in moved
    assert not any(name.startswith("text_encoder.tower.") for name in moved)
    assert all(np.isfinite(losses(finished("causal"))))


def test_factors_of_zero_leave_all_but_the_hypernetwork_as_imported(
    imported: Callable[[str], Path], world: Path, write_recipe: Callable[[dict[str, Any]], Path],
    tmp_path: Path,
) -> None:  # fmt: skip
    recipe = make_recipe(imported("causal"), world)
    recipe["optimizer"]["lr_factors"] = {"image_encoder.": 0.0, "text_encoder.": 0.0, "head.": 0.0}
    fit(write_recipe(recipe), out=tmp_path / "run")

    state = load_file(tmp_path / "run" / "weights.safetensors")
    before = make_model(imported("causal"))[0].state_dict()
    moved = {name for name, value in state.items() if not torch.equal(value, before[name])}
    assert moved
    assert all(name.startswith("hypernetwork.") for name in moved)


def test_names_are_read_in_the_folders_template_and_meanings_as_they_are(
    imported: Callable[[str], Path], world: Path
) -> None:
    encoder, tokenizer = load_text_encoder(imported("causal"))
    alone = ClassTexts(encoder, tokenizer, None)
    explained = ClassTexts(encoder, tokenizer, world / "meanings.jsonl")

    assert alone.texts_of("cat", "n1") == ("a photo of a cat.", "a photo of a cat.")
    assert explained.texts_of("cat", "n1") == ("a photo of a cat.", "cat: a kind of animal")
    unit = load(imported("causal")).embed_text(["a photo of a cat."])
    np.testing.assert_allclose(alone.embed(["cat"], ["n1"]), unit, rtol=0, atol=1e-5)  # float32 rounding


def test_an_interrupted_run_goes_on_as_if_it_had_not_stopped(
    finished: Callable[[str], Path], imported: Callable[[str], Path], world: Path,
    write_recipe: Callable[[dict[str, Any]], Path], tmp_path: Path,
) -> None:  # fmt: skip
    recipe = write_recipe(make_recipe(imported("causal"), world))
    fit(recipe, out=tmp_path / "run", stop_after=1)
    fit(recipe, out=tmp_path / "run")

    whole = load_file(finished("causal") / "weights.safetensors")
    resumed = load_file(tmp_path / "run" / "weights.safetensors")
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


@pytest.mark.parametrize("kind", ["causal", pytest.param("two_way", marks=pytest.mark.slow)])
def test_a_run_becomes_a_model_folder_again(
    kind: str, finished: Callable[[str], Path], imported: Callable[[str], Path], tmp_path: Path
) -> None:
    run, source = finished(kind), read_bundle(imported(kind)).manifest
    (tmp_path / "about.toml").write_text(ABOUT)

    manifest = export_described(run, tmp_path / "about.toml", tmp_path / "my-clip")

    assert manifest.n_generated > 0
    assert manifest.text == source.text
    assert (manifest.images.size_px, manifest.images.resize) == (SIZE_PX, source.images.resize)
    assert (tmp_path / "my-clip" / "tokenizer.json").read_bytes() == (
        imported(kind) / "tokenizer.json"
    ).read_bytes()
    images, names = pictures(), ["dog", "teapot", "red car"]
    model, tokenizer = load_run(run)
    texts = ClassTexts(model.text_encoder, tokenizer, None)  # type: ignore[arg-type]
    with torch.no_grad():
        class_emb = torch.from_numpy(texts.embed(names, [None] * 3))
        wanted = model(as_batch(images, tmp_path / "my-clip"), class_emb).numpy()
    found = load(tmp_path / "my-clip").specialize(names).decision_function(images)
    assert (np.abs(found - wanted).max(axis=1) <= 1e-2 * np.ptp(wanted, axis=1)).all()  # float16 weights


def test_a_folder_without_weights_is_one_sentence(imported: Callable[[str], Path], tmp_path: Path) -> None:
    bundle = read_bundle(imported("causal"))
    files = {name: bundle.read(name) for name in bundle.manifest.files if name != WEIGHTS}
    write_bundle(tmp_path / "bare", bundle.manifest, files)

    with pytest.raises(InputError, match=r"has no weights to train from .*again with --trainable"):
        load_imported(tmp_path / "bare")
    with pytest.raises(InputError, match="again with --trainable"):
        load_text_encoder(tmp_path / "bare")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda files: files.update({WEIGHTS: save({"image.a": torch.zeros(1)})}), "does not fit the image"),
        (lambda files: files.update({WEIGHTS: b"damaged"}), "does not fit the image tower"),
        (lambda files: files.update({SOURCE: b'{"library": "other"}'}), "does not say what builds"),
        (lambda files: files.pop(SOURCE), "without source.json"),
        (lambda files: _rename(files, "hf-hub:some/model"), "cannot be built"),
    ],
)  # fmt: skip
def test_a_folder_that_does_not_fit_is_one_sentence(
    change: Callable[[dict[str, bytes]], object], words: str, imported: Callable[[str], Path], tmp_path: Path
) -> None:
    bundle = read_bundle(imported("causal"))
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    change(files)
    write_bundle(tmp_path / "changed", bundle.manifest, files)

    with pytest.raises(InputError, match=words) as caught:
        load_imported(tmp_path / "changed")
    assert "\n" not in str(caught.value)


def _rename(files: dict[str, bytes], name: str) -> None:
    """Ask for another architecture."""
    files[SOURCE] = json.dumps(json.loads(files[SOURCE]) | {"name": name}).encode()


def test_a_damaged_byte_of_the_weights_is_seen(imported: Callable[[str], Path], tmp_path: Path) -> None:
    bundle = read_bundle(imported("causal"))
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    write_bundle(tmp_path / "damaged", bundle.manifest, files)
    data = bytearray(files[WEIGHTS])
    data[-1] ^= 1
    (tmp_path / "damaged" / WEIGHTS).write_bytes(data)

    with pytest.raises(InputError, match=r"cannot be used.*SHA-256 differs"):
        load_imported(tmp_path / "damaged")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s["data"].update(sizes_px=[32, 64]), r"pictures of \[32, 64\] px; expected 64 alone"),
        (lambda s: s["evaluation"].update(size_px=32), r"pictures of \[32, 64\] px; expected 64 alone"),
        (lambda s: _narrow(s["model"]), "embedding_dim is 16; expected 24"),
        (lambda s: s["model"]["image_encoder"].update(init="timm"), "init is 'timm'; expected 'folder'"),
        (lambda s: s["model"]["image_encoder"].update(name="imported:gone"), "model gone cannot be used"),
        (lambda s: s["model"]["head"].update(init="all"), "head.init is 'all'"),
        (lambda s: s["model"]["head"].update(kind="log_mixture"), "'folder' for a linear one"),
        (lambda s: s["model"]["head"].update(dim=16), "head.dim"),
    ],
)  # fmt: skip
def test_a_recipe_that_cannot_work_is_one_sentence(
    change: Callable[[dict[str, Any]], object], words: str, imported: Callable[[str], Path], world: Path
) -> None:
    from hyperclip.train.hyperclip_objective import HyperCLIPObjective, ObjectiveConfig, from_recipe

    section = copy.deepcopy(make_recipe(imported("causal"), world)["hyperclip"])
    change(section)
    with pytest.raises(InputError, match=words) as caught:
        HyperCLIPObjective(from_recipe(ObjectiveConfig, section), seed=0)
    assert "\n" not in str(caught.value)


def _narrow(model: dict[str, Any]) -> None:
    """Ask for another width."""
    model["image_encoder"]["embedding_dim"] = model["head"]["dim"] = 16


def test_only_an_imported_encoder_gives_a_head_its_start() -> None:
    config = HyperCLIPConfig(
        image_encoder=ImageEncoderConfig(name="compact_20k", embedding_dim=8),
        head=HeadConfig(dim=8, text_dim=8, init="folder"),
    )
    with pytest.raises(InputError, match="an encoder called imported:FOLDER"):
        HyperCLIP(config)
