"""Imported CLIPs answer as their source does, and everything downstream works on them."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
pytest.importorskip("open_clip")
pytest.importorskip("transformers")

from benchmarks.import_clip.small_models import SETTINGS, open_clip_weights, write_hugging_face

from hyperclip import Classifier, load
from hyperclip.bundle import read_bundle
from hyperclip.errors import BundleError, InputError, MissingExtraError
from hyperclip.export.import_check import LOGIT_TOLERANCE, check_answers
from hyperclip.export.import_clip import import_clip, load_source, write_imported
from hyperclip.export.import_graphs import check_sizes
from hyperclip.export.import_open_clip import import_open_clip
from hyperclip.export.import_pictures import N_PICTURES, comparison_pictures
from hyperclip.export.imported import ImportedClip

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("imports")


def tiny(kind: str, folder: Path) -> ImportedClip:
    return import_open_clip("ViT-B-32", weights=open_clip_weights(kind, folder), settings=SETTINGS[kind])


@pytest.fixture(scope="module")
def causal(folder: Path) -> Path:
    """A small CLIP, imported."""
    out = folder / "my-clip"
    write_imported(tiny("causal", folder), out)
    return out


@pytest.mark.parametrize(
    "kind", ["quick_gelu", "two_way", "sigmoid", "class_token", "residual", "many_branches"]
)
@pytest.mark.slow
def test_open_clip_models_answer_alike(kind: str, folder: Path) -> None:
    manifest, found = write_imported(tiny(kind, folder), folder / kind)
    assert found.logits <= LOGIT_TOLERANCE
    assert found.logits_of_file <= 0.02  # the resize in the file is off by a gray level here and there
    assert (found.n_pictures, found.n_names, found.n_top1_differs) == (N_PICTURES, 20, 0)
    assert manifest.head.activation == ("sigmoid" if kind == "sigmoid" else "softmax")
    assert manifest.text.padding == (
        "longest" if kind in ("quick_gelu", "residual", "many_branches") else "context"
    )


@pytest.mark.parametrize("kind", ["clip", "siglip", "siglip2"])
@pytest.mark.slow
def test_hugging_face_models_answer_alike(kind: str, tmp_path: Path) -> None:
    if kind == "siglip":
        pytest.importorskip("sentencepiece")
    source = write_hugging_face(kind, tmp_path / kind)
    (source / "README.md").write_text("---\nlicense: cc-by-nc-4.0\ndatasets:\n- some/set\n---\nA card.\n")
    manifest, found = import_clip(str(source), tmp_path / "out")
    assert found.logits <= LOGIT_TOLERANCE
    assert manifest.images.resize == ("shortest_floor" if kind == "clip" else "squash")
    assert manifest.licence == "cc-by-nc-4.0"
    assert manifest.commercial_use.startswith("No")
    assert manifest.training_data == ("some/set",)
    assert "A card." in (tmp_path / "out" / "README.md").read_text()


def test_an_imported_model_is_a_model(causal: Path, tmp_path: Path) -> None:
    bundle = read_bundle(causal)
    assert bundle.manifest.n_generated == 0
    assert json.loads(bundle.read("source.json"))["source"] == "open_clip:ViT-B-32"
    model = load(causal)
    classifier = model.specialize(["cat", "dog", "cup of coffee"])
    classifier.save(tmp_path / "three.onnx")
    again = Classifier.load(tmp_path / "three.onnx")
    picture = comparison_pictures()[0][0]
    assert again.predict([picture])[0] in ("cat", "dog", "cup of coffee")
    assert again.metadata.licence.licence == "unknown"
    assert again.metadata.temperature is None


def test_names_in_another_order_change_nothing(causal: Path) -> None:
    model = load(causal)
    pictures = comparison_pictures()[0][:3]
    one = model.specialize(["cat", "dog", "rocket"]).decision_function(pictures)
    other = model.specialize(["rocket", "cat", "dog"]).decision_function(pictures)
    np.testing.assert_allclose(one, other[:, [1, 2, 0]], rtol=0, atol=1e-5)


def test_one_text_of_many_lengths_gets_the_same_vector(causal: Path) -> None:
    model = load(causal)
    alone = model.embed_text(["a photo of a cat."])
    together = model.embed_text(["a photo of a cat.", "a much longer text about one very small red cat"])
    np.testing.assert_allclose(alone[0], together[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("trap", "stage"),
    [
        ("squash", "pixels"), ("bilinear", "pixels"), ("mean", "pixels"), ("crop_first", "pixels"),
        ("no_antialias", "pixels"), ("end_token", "text vectors"), ("scale", "logits"), ("bias", "logits"),
        ("case", "tokens"), ("context", "tokens"),
    ],
)  # fmt: skip
def test_each_trap_is_seen(causal: Path, folder: Path, trap: str, stage: str) -> None:
    clip, bundle = tiny("causal", folder), read_bundle(causal)
    images, text, reference, changes = clip.images, clip.text, clip.reference, {}
    if trap == "squash":
        images = dataclasses.replace(images, resize="squash")
    elif trap == "bilinear":
        images = dataclasses.replace(images, interpolation="bilinear")
    elif trap == "mean":
        images = dataclasses.replace(images, mean=(0.5, 0.5, 0.5))
    elif trap == "crop_first":
        images = dataclasses.replace(images, resize="crop")
    elif trap == "no_antialias":
        reference = dataclasses.replace(reference, pixels=lambda image: _not_antialiased(clip, image))
    elif trap == "end_token":
        reference = dataclasses.replace(reference, text_vectors=lambda texts: _of_first_token(clip, texts))
    elif trap == "scale":
        changes["logit_scale"] = clip.logit_scale * 1.01
    elif trap == "bias":
        changes["logit_bias"] = -10.0
    elif trap == "case":
        changes["tokenizer_json"] = clip.tokenizer_json.replace(b'{"type":"Lowercase"}', b'{"type":"NFC"}')
        assert changes["tokenizer_json"] != clip.tokenizer_json
    elif trap == "context":
        text = dataclasses.replace(text, context_length=20)
    trapped = dataclasses.replace(clip, images=images, text=text, reference=reference, **changes)
    model = load(causal)
    if trap in ("squash", "bilinear", "mean", "crop_first"):
        manifest = dataclasses.replace(bundle.manifest, images=images)
        model = type(model)(dataclasses.replace(bundle, manifest=manifest))
    with pytest.raises(BundleError, match=f"{stage}.*nothing was written"):
        check_answers(trapped, model, comparison_pictures()[0])


def _not_antialiased(clip: ImportedClip, image: Image.Image) -> np.ndarray:
    import torch
    from torchvision.transforms import functional

    pixels = functional.resize(
        torch.from_numpy(np.array(image)).permute(2, 0, 1), [64], functional.InterpolationMode.BICUBIC,
        antialias=False,
    )  # fmt: skip
    square = functional.center_crop(pixels, [64]).numpy().transpose(1, 2, 0)
    return ((square / 255 - clip.images.mean) / clip.images.std).transpose(2, 0, 1).astype(np.float32)


def _of_first_token(clip: ImportedClip, texts: list[str]) -> np.ndarray:
    """Vectors of texts that all end at once, as if the end token were not found."""
    return clip.reference.text_vectors([""] * len(texts))


@pytest.mark.parametrize("kind", ["causal", "two_way"])
def test_a_wrong_mask_would_be_seen(kind: str, folder: Path) -> None:
    import torch

    clip = tiny(kind, folder)
    texts = ["a photo of a cat.", "a photo of a golden retriever.", "snow"]
    ids = torch.from_numpy(clip.reference.tokens(texts))
    wanted = clip.reference.text_vectors(texts)
    right = torch.nn.functional.normalize(clip.text_tower(ids, torch.ones_like(ids)), dim=-1).numpy()
    tower = clip.text_tower
    if kind == "causal":
        tower.causal_TT.zero_()
    else:
        mask = torch.full((ids.shape[1],) * 2, float("-inf")).triu(1)
        tower.tower.attn_mask = mask
    wrong = torch.nn.functional.normalize(tower(ids, torch.ones_like(ids)), dim=-1).numpy()
    assert np.abs(right - wanted).max() < 1e-5
    assert np.abs(wrong - wanted).max() > 1e-2


def test_the_other_gelu_would_be_seen(folder: Path) -> None:
    weights = open_clip_weights("causal", folder)
    exact = import_open_clip("ViT-B-32", weights=weights, settings=SETTINGS["causal"]).reference
    quick = import_open_clip("ViT-B-32", weights=weights, settings=SETTINGS["quick_gelu"]).reference
    pixels = np.stack([exact.pixels(comparison_pictures()[0][0])])
    assert np.abs(exact.image_vectors(pixels) - quick.image_vectors(pixels)).max() > 1e-3
    assert np.abs(exact.text_vectors(["a cat"]) - quick.text_vectors(["a cat"])).max() > 1e-3


def test_weights_for_another_gelu_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="open_clip:ViT-B-32-quickgelu/openai"):
        import_clip("open_clip:ViT-B-32/openai", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_tower_beyond_two_gigabytes_is_refused(folder: Path) -> None:
    import torch

    clip = tiny("causal", folder)
    large = torch.nn.Linear(1, 1, bias=False)
    large.weight = torch.nn.Parameter(torch.zeros(1).expand(600_000_000))
    with pytest.raises(InputError, match="expected at most 2 GB"):
        check_sizes(dataclasses.replace(clip, image_tower=large))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("open_clip:ViT-B-33/openai", "ViT-B-32"),
        ("open_clip:ViT-B-32/laion2c", "laion2b"),
        ("open_clip:ViT-B-32", "no weights"),
        ("nothing-of-that-name", "expected open_clip:NAME/TAG"),
    ],
)
def test_a_bad_source_is_one_sentence(source: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        import_clip(source, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_weights_of_another_shape_are_named(folder: Path) -> None:
    with pytest.raises(InputError, match=r"of another shape .*visual\.proj"):
        import_open_clip(
            "ViT-B-32", weights=open_clip_weights("causal", folder),
            settings={**SETTINGS["causal"], "embed_dim": 16},
        )  # fmt: skip


def test_missing_and_unexpected_weights_are_named(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(open_clip_weights("causal", folder))
    state["something_else"] = state.pop("ln_final.weight")
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"1 missing \(ln_final.weight\); 1 unexpected \(something_else\)"):
        import_open_clip("ViT-B-32", weights=tmp_path / "w.safetensors", settings=SETTINGS["causal"])


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    import pickle

    (tmp_path / "w.pt").write_bytes(pickle.dumps({"weights": _Harmful()}))
    with pytest.raises(InputError, match="cannot be read as plain weights"):
        load_source("open_clip:ViT-B-32", weights=tmp_path / "w.pt")
    assert not (Path.cwd() / "opened").exists()


class _Harmful:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path("opened").touch, ())


@pytest.mark.parametrize(
    ("removed", "message"),
    [
        ("config.json", "no config.json"),
        ("model.safetensors", "no safetensors"),
        ("tokenizer.json", "no tokenizer"),
        ("preprocessor_config.json", "preprocessor_config.json"),
    ],
)
def test_a_folder_says_what_it_lacks(removed: str, message: str, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors", "tokenizer.json", "preprocessor_config.json"):
        if name != removed:
            (tmp_path / name).write_text("{}")
    with pytest.raises(InputError, match=message):
        load_source(str(tmp_path))


def test_another_family_is_refused(tmp_path: Path) -> None:
    for name in ("model.safetensors", "tokenizer.json", "preprocessor_config.json"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(InputError, match="'bert' model"):
        load_source(str(tmp_path))


def test_a_folder_with_other_things_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letters.txt").write_text("dear")
    with pytest.raises(InputError, match=r"letters\.txt"):
        import_clip("open_clip:ViT-B-32/laion400m_e32", tmp_path / "out")
    assert (tmp_path / "out" / "letters.txt").read_text() == "dear"


@pytest.mark.parametrize(
    ("library", "source"), [("open_clip", "open_clip:RN50/x"), ("transformers", "hf:a/b")]
)
def test_a_missing_extra_is_named(
    library: str, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hyperclip\[import\]'"):
        import_clip(source, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("source", ["hf:nobody/nothing-of-that-name", "open_clip:ViT-B-32/laion2b_s34b_b79k"])
def test_without_a_network_it_is_one_sentence_at_once(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub
    from huggingface_hub import constants

    def fail() -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(huggingface_hub.utils, "get_session", fail)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    before = constants.HF_HUB_OFFLINE
    with pytest.raises(InputError, match=r"expected .*network that lets downloads pass"):
        load_source(source)
    assert before == constants.HF_HUB_OFFLINE
