"""``hyperclip compress``: a file for a file, a folder for a folder, a report beside it, one sentence else."""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from command_line import assert_one_sentence, save_pictures
from hyperclip.bundle.read import read_bundle
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.specialize import load
from hyperclip.zoo import find_bundle


def zeros_by_name(data: bytes) -> dict[str, float]:
    """Return the share of zeros in each stored array."""
    tensors = onnx.ModelProto.FromString(data).graph.initializer
    return {tensor.name: float((onnx.numpy_helper.to_array(tensor) == 0).mean()) for tensor in tensors}


def test_a_classifier_file_gives_a_smaller_classifier_file(run, classifier_file: Path) -> None:
    before = classifier_file.read_bytes()
    outcome = run("compress", "pets.onnx", "--method", "magnitude", "--sparsity", "0.5", "-o", "small.onnx")
    assert outcome.code == 0, outcome.stderr
    assert classifier_file.read_bytes() == before
    small = Classifier.load("small.onnx")  # compares the fingerprint
    assert small.metadata.class_names == ("cat", "dog", "猫 [red]")
    assert "magnitude" in small.metadata.licence.origin
    assert zeros_by_name(small.to_bytes())["projection.weight32"] == 0.5
    assert zeros_by_name(before)["projection.weight32"] == 0


def test_the_report_says_what_was_gained_and_lost(run, classifier_file: Path, labeled: Path) -> None:
    save_pictures(labeled / "cat", [f"{number}.png" for number in range(2, 6)], seed=4)
    outcome = run(
        "compress", "pets.onnx", "--data", labeled, "--sparsity", "0.5", "-o", "small.onnx", "--json"
    )
    assert outcome.code == 0, outcome.stderr
    printed = json.loads(outcome.stdout)
    report = json.loads(Path("small.report.json").read_text(encoding="utf-8"))
    assert printed["report"]["json"] == "small.report.json"
    assert report["method"] == "wanda"
    assert report["settings"]["sparsity"] == 0.5
    assert report["n_calibration_images"] == 4
    assert report["n_images"] == 4
    assert report["has_labels"] is True
    for side in ("before", "after"):
        assert 0 <= report[side]["accuracy"] <= 1
        assert 0 <= report[side]["calibration_error"] <= 1
        assert set(report[side]["corrupted"]) == {
            "gaussian_noise",
            "motion_blur",
            "fog",
            "contrast",
            "jpeg_compression",
        }
    assert report["before"]["size_bytes"] == classifier_file.stat().st_size
    assert report["after"]["size_bytes"] == Path("small.onnx").stat().st_size
    assert report["after"]["gzip_bytes"] < report["after"]["size_bytes"]
    assert report["after"]["n_nonzero"] < report["before"]["n_nonzero"]
    assert report["after"]["multiply_adds"] == report["before"]["multiply_adds"] > 0
    assert report["latency"]["low"] <= report["latency"]["ratio"] <= report["latency"]["high"]
    pruned = [layer for layer in report["layers"] if not layer["note"]]
    assert [layer["sparsity"] for layer in pruned] == [0.5]
    assert any("Zeros stay in the file" in note for note in report["notes"])


def test_pictures_without_labels_give_agreement(run, classifier_file: Path, photos: Path) -> None:
    outcome = run("compress", "pets.onnx", "--data", photos, "-o", "small.onnx", "--json")
    assert outcome.code == 0, outcome.stderr
    value = json.loads(outcome.stdout)
    assert value["has_labels"] is False
    assert value["before"]["accuracy"] is None
    assert 0 <= value["agreement"] <= 1
    assert value["before"]["corrupted"]["fog"] == 1


def test_a_model_gives_a_model_folder(run, model_folder: Path, labeled: Path) -> None:
    outcome = run("compress", model_folder, "--data", labeled, "--sparsity", "0.5", "-o", "thin", "--json")
    assert outcome.code == 0, outcome.stderr
    dense, thin = read_bundle(model_folder), read_bundle("thin")  # sizes and checksums are verified
    assert thin.fingerprint != dense.fingerprint
    assert zeros_by_name(thin.files["encoder.onnx"])["projection.weight"] == 0.5
    before, after = (
        {t.name: onnx.numpy_helper.to_array(t) for t in onnx.ModelProto.FromString(data).graph.initializer}
        for data in (dense.files["encoder.onnx"], thin.files["encoder.onnx"])
    )
    assert after["projection.weight"].dtype == np.float16
    for parameter in dense.manifest.generated:
        np.testing.assert_array_equal(after[parameter.name], before[parameter.name])
    assert load("thin").specialize(["a", "b"]).metadata.model.fingerprint == thin.fingerprint
    assert Path("thin.report.json").exists()


@pytest.mark.torch
def test_channels_go_from_a_model_that_is_still_specialized(run, photos: Path) -> None:
    pytest.importorskip("torch_pruning", reason="needs torch-pruning: pip install 'hyperclip[train]'")
    for number in range(24):
        Image.new("RGB", (80, 64), (10 * number, 90, 250 - 10 * number)).save(photos / f"more{number}.png")
    outcome = run(
        "compress", "micro", "--method", "adasap", "--channels", "0.5", "--steps", "3", "--data", photos,
        "-o", "narrow", "--json",
    )  # fmt: skip
    assert outcome.code == 0, outcome.stderr
    value = json.loads(outcome.stdout)
    assert value["settings"]["n_steps"] == 3
    assert value["after"]["multiply_adds"] < 0.5 * value["before"]["multiply_adds"]
    dense, narrow = read_bundle(find_bundle("micro")), read_bundle("narrow")
    assert len(narrow.files["encoder.onnx"]) < 0.6 * len(dense.files["encoder.onnx"])
    assert narrow.manifest.shares == dense.manifest.shares
    classifier = load("narrow").specialize(["newt", "sofa", "tuba"])
    assert classifier.metadata.model.fingerprint == narrow.fingerprint
    assert Path("narrow.report.json").exists()


def test_full_judges_by_fifteen_corruptions(run, classifier_file: Path, photos: Path) -> None:
    outcome = run("compress", "pets.onnx", "--data", photos, "--full", "-o", "small.onnx", "--json")
    assert len(json.loads(outcome.stdout)["after"]["corrupted"]) == 15


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_without_the_extra_the_command_says_what_it_left_out(
    run, classifier_file: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    if package == "matplotlib":
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    outcome = run("compress", "pets.onnx", "--method", "magnitude", "-o", "small.onnx")
    assert outcome.code == 0
    left_out = {"matplotlib": "small.report.png", "jinja2": "small.report.html"}[package]
    assert f"{left_out} was left out: " in outcome.stderr
    assert "hyperclip[report]" in outcome.stderr
    assert not Path(left_out).exists()
    assert Path("small.report.json").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--method", "wanda"), ("no pictures", "--data")),
        (("--method", "shrink"), ("shrink", "wanda, magnitude")),
        (("--method", "magnitude", "--sparsity", "1"), ("sparsity is 1", "0.5 removes")),
        (("--method", "magnitude", "--sparsity", "-0.1"), ("sparsity is -0.1",)),
        (("--method", "magnitude", "--pattern", "4:2"), ("4:2", "write 2:4")),
        (("--method", "magnitude", "--pattern", "2:4", "--sparsity", "0.5"), ("one of the two",)),
        (("--method", "magnitude", "--pattern", "7:16"), ("No layer", "no multiple of 16")),
        (("--method", "wanda", "--data", "nowhere"), ("nowhere", "cannot be opened")),
    ],
)
def test_bad_arguments_end_in_one_sentence(
    run, classifier_file: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    outcome = run("compress", "pets.onnx", *arguments, "-o", "small.onnx")
    last = type(outcome)(outcome.code, outcome.stdout, outcome.stderr.splitlines(keepends=True)[-1])
    assert_one_sentence(last, *words)
    assert not Path("small.onnx").exists()
    assert not Path("small.report.json").exists()


def test_the_input_is_not_overwritten(run, classifier_file: Path) -> None:
    before = classifier_file.read_bytes()
    outcome = run("compress", "pets.onnx", "--method", "magnitude", "-o", "./pets.onnx")
    assert_one_sentence(outcome, "is the input")
    assert classifier_file.read_bytes() == before


def test_a_model_cannot_become_a_file(run, model_folder: Path) -> None:
    outcome = run("compress", model_folder, "--method", "magnitude", "-o", "small.onnx")
    assert_one_sentence(outcome, "gives a model folder")


def test_labels_must_meet_all_or_none(run, classifier_file: Path, labeled: Path) -> None:
    save_pictures(labeled / "rocket", ["1.png"])
    outcome = run("compress", "pets.onnx", "--data", labeled, "-o", "small.onnx")
    assert_one_sentence(outcome, "lacks 1 of the data set's 3 names: 'rocket'")


def test_an_unreadable_picture_is_named(run, classifier_file: Path, photos: Path) -> None:
    (photos / "bad.png").write_bytes(b"junk")
    outcome = run("compress", "pets.onnx", "--data", photos, "-o", "small.onnx")
    assert_one_sentence(outcome, "bad.png")


@pytest.mark.torch
def test_a_transformer_folder_gives_a_transformer_folder(run, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from tiny_transformer import TEXTS, write_model

    write_model("gpt2", tmp_path / "gpt2")
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    outcome = run("compress", "gpt2", "--data", "texts.txt", "--sparsity", "0.5", "-o", "thin", "--json")
    assert outcome.code == 0, outcome.stderr
    value = json.loads(outcome.stdout)
    assert value["n_calibration_texts"] == 20
    assert value["settings"]["repair"] == "none"  # as in the paper
    assert value["unit"] == "texts"
    assert 0 <= value["agreement"] <= 1
    assert any(note.startswith("Perplexity on 20 texts") for note in value["notes"])
    assert Path("thin/model.safetensors").stat().st_size == Path("gpt2/model.safetensors").stat().st_size
    assert Path("thin/tokenizer.json").exists()
    assert Path("thin.report.html").exists()


def test_one_picture_calibrates_and_nothing_is_left_to_judge_by(
    run, classifier_file: Path, tmp_path: Path
) -> None:
    save_pictures(tmp_path / "one" / "cat", ["1.png"])
    outcome = run("compress", "pets.onnx", "--data", "one", "-o", "small.onnx", "--json")
    assert outcome.code == 0, outcome.stderr
    value = json.loads(outcome.stdout)
    assert value["n_calibration_images"] == 1
    assert value["n_images"] == 0
    assert value["agreement"] is None
    assert value["has_labels"] is False


def test_duplicates_are_pictures_like_others(run, classifier_file: Path, tmp_path: Path) -> None:
    import shutil

    save_pictures(tmp_path / "same", ["1.png"])
    for number in range(2, 7):
        shutil.copy(tmp_path / "same" / "1.png", tmp_path / "same" / f"{number}.png")
    outcome = run("compress", "pets.onnx", "--data", "same", "-o", "small.onnx", "--json")
    assert outcome.code == 0, outcome.stderr
    value = json.loads(outcome.stdout)
    assert value["n_calibration_images"] == 3
    assert value["n_images"] == 3
    assert value["agreement"] in (0.0, 1.0)


def test_a_summary_is_printed_without_json(run, classifier_file: Path, labeled: Path) -> None:
    outcome = run("compress", "pets.onnx", "--data", labeled, "-o", "small.onnx")
    for words in (
        "Wrote small.onnx.",
        "(gzip)",
        "of all weights",
        "of before",
        "accuracy",
        "same answer",
        "5 kinds",
    ):
        assert words in outcome.stdout
