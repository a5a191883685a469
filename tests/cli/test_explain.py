"""`hyperclip explain`: which texts decide, in a table, as JSON, as a picture; or one sentence."""

import json
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="adapting needs scikit-learn: pip install 'hyperclip[adapt]'")

from command_line import assert_one_sentence, save_shades

LOOKS = {"cat": ["a red thing", "warm colors"], "dog": ["a green thing"], "fish": ["a blue thing", "water"]}


@pytest.fixture
def explained(run, model_folder: Path, tmp_path: Path) -> Path:
    """A classifier that `slr_avd` adapted to pictures of three colors, in the working folder."""
    colors = {"cat": (200, 60, 60), "dog": (60, 200, 60), "fish": (60, 60, 200)}
    for seed, (name, color) in enumerate(colors.items()):
        save_shades(tmp_path / "shades" / name, color, 5, seed=seed)
    (tmp_path / "looks.json").write_text(json.dumps(LOOKS), encoding="utf-8")
    outcome = run(
        "adapt", model_folder, tmp_path / "shades", "-o", "explained.onnx", "--method", "slr_avd",
        "--descriptions", tmp_path / "looks.json",
    )  # fmt: skip
    assert outcome.code == 0, outcome.stderr
    return Path("explained.onnx")


def test_reasons_are_texts_that_were_given(run, explained: Path, model_folder: Path, tmp_path: Path) -> None:
    picture = tmp_path / "shades" / "dog" / "0.png"
    outcome = run("explain", explained, picture, "--model", model_folder, "--json")
    assert outcome.code == 0, outcome.stderr
    value = json.loads(outcome.stdout.splitlines()[-1])
    known = {*LOOKS, *(text for texts in LOOKS.values() for text in texts)}
    assert value["label"] in LOOKS
    assert value["decisive"]
    assert {reason["text"] for reason in value["decisive"]} <= known
    control = value["control"]
    assert control["n"] == 15
    assert len(control["random_phrases"]) >= 7
    assert control["n_draws_as_good"] == sum(
        accuracy >= control["texts"] for accuracy in control["random_phrases"]
    )
    assert control["words_carry"] is (control["n_draws_as_good"] == 0)
    for entry in value["classes"]:
        total = entry["rest"] + sum(part["value"] for part in entry["contributions"])
        assert total == pytest.approx(entry["logit"], abs=1e-3)


def test_the_verdict_on_the_words_is_said(run, explained: Path, model_folder: Path, tmp_path: Path) -> None:
    outcome = run("explain", explained, tmp_path / "shades" / "cat" / "1.png", "--model", model_folder)
    assert outcome.code == 0, outcome.stderr
    assert "andom phrases" in outcome.stdout


def test_a_picture_of_the_reasons_is_drawn(run, explained: Path, model_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    outcome = run(
        "explain", explained, tmp_path / "shades" / "cat" / "1.png", "--model", model_folder,
        "--picture", "why.png",
    )  # fmt: skip
    assert outcome.code == 0, outcome.stderr
    assert Path("why.png").read_bytes().startswith(b"\x89PNG")


def test_a_file_without_reasons_is_one_sentence(run, classifier_file: Path, tmp_path: Path) -> None:
    save_shades(tmp_path / "one", (1, 2, 3), 1, seed=0)
    outcome = run("explain", classifier_file, tmp_path / "one" / "0.png")
    assert_one_sentence(outcome, "slr_avd")


def test_a_picture_that_is_none_is_one_sentence(run, explained: Path, model_folder: Path) -> None:
    Path("broken.png").write_bytes(b"nothing")
    outcome = run("explain", explained, "broken.png", "--model", model_folder)
    assert_one_sentence(outcome, "broken.png")
