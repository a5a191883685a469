"""Contributions add up to the logits of the file, and the control decides what is said about the words."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hyperclip.adapt import EmbeddedPictures, adapt_classifier
from hyperclip.adapt.explain import Contribution, Explanation, class_reasons, explain_picture
from hyperclip.adapt.text_features import TextFeatures, class_texts_of, random_control, text_features
from hyperclip.adapt.word_control import FEWEST_DRAWS, N_DRAWS, verdict
from hyperclip.errors import InputError
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.specialize import Model, load
from tiny_bundle import DIM, Pictures, make_files, make_manifest

NAMES = ("cat", "dog", "rocket")
DESCRIPTIONS = {"cat": ["whiskers", "a cat's face"], "dog": ["long ears", "whiskers"], "rocket": ["smoke"]}


@pytest.fixture
def model(tiny_folder: Path) -> Model:
    """A tiny model, for each kind of head."""
    return load(tiny_folder, n_threads=1)


@pytest.fixture
def before(model: Model) -> Classifier:
    """A classifier from names alone."""
    return model.specialize(NAMES)


@pytest.fixture
def texts(model: Model, before: Classifier) -> TextFeatures:
    """Its prompts and descriptions."""
    return text_features(model, class_texts_of(model, before.metadata), DESCRIPTIONS)


def adapt(
    before: Classifier, model: Model, texts: TextFeatures, *, shots: int = 6, share: float = 0.75
) -> Classifier:
    """Return the classifier with a sparse head for random points around class means."""
    rng = np.random.default_rng(0)
    target = np.repeat(np.arange(3), shots)
    points = 2 * rng.normal(size=(3, DIM))[target] + rng.normal(size=(len(target), DIM))
    pictures = EmbeddedPictures(embeddings=points.astype(np.float32), target=target)
    more = {
        "texts": texts,
        "control": lambda draw: random_control(model, texts, seed=draw),
        "shares": (share,),
    }
    return adapt_classifier(before, pictures, method="slr_avd", **more).classifier


def test_every_text_is_a_unit_row_once_and_knows_its_classes(texts: TextFeatures) -> None:
    assert texts.texts[3:] == ("whiskers", "a cat's face", "long ears", "smoke")
    assert texts.classes == ((0,), (1,), (2,), (0, 1), (0,), (1,), (2,))
    assert texts.n_descriptions == 4
    np.testing.assert_allclose(np.linalg.norm(texts.rows, axis=1), 1)


def test_the_control_keeps_the_prompts_and_the_number_of_words(model: Model, texts: TextFeatures) -> None:
    control = random_control(model, texts)
    assert control.texts[:3] == texts.texts[:3]
    np.testing.assert_array_equal(control.rows[:3], texts.rows[:3])
    assert [len(text.split()) for text in control.texts] == [len(text.split()) for text in texts.texts]
    assert not set(control.texts[3:]) & set(texts.texts)
    assert control.texts == random_control(model, texts).texts
    assert control.texts != random_control(model, texts, seed=1).texts


def test_contributions_and_the_rest_are_the_logits(
    model: Model, before: Classifier, texts: TextFeatures, pictures: Pictures
) -> None:
    classifier = adapt(before, model, texts)
    scale = classifier.metadata.adaptation.zero_shot_scale
    for picture in pictures:
        found = explain_picture(classifier, model, picture)
        logits = classifier.decision_function(picture)[0]
        order = [NAMES.index(name) for name in found.class_names]
        np.testing.assert_allclose(found.logits, logits[order], rtol=1e-6)
        assert list(found.logits) == sorted(logits, reverse=True)
        assert sum(found.probabilities) == pytest.approx(1, abs=1e-5)
        # Independently: the rest is what names alone say, and a constant of the class.
        names_alone = scale * before.decision_function(picture)[0][order]
        constants = np.array(found.rest) - names_alone
        expected = constant_parts(classifier, before, model, pictures[0])[order]
        np.testing.assert_allclose(constants, expected, rtol=1e-3, atol=1e-3)
    assert any(found.contributions)


def constant_parts(classifier: Classifier, before: Classifier, model: Model, picture) -> np.ndarray:
    """Return what each class gets always, from one picture."""
    found = explain_picture(classifier, model, picture)
    order = [NAMES.index(name) for name in found.class_names]
    parts = np.empty(3)
    parts[order] = found.rest
    return parts - classifier.metadata.adaptation.zero_shot_scale * before.decision_function(picture)[0]


def test_what_decides_adds_up_to_the_difference_of_the_best_two(
    model: Model, before: Classifier, texts: TextFeatures, pictures: Pictures
) -> None:
    found = explain_picture(adapt(before, model, texts), model, pictures[1])
    decisive = found.against()
    total = sum(item.value for item in decisive) + found.rest[0] - found.rest[1]
    assert total == pytest.approx(found.logits[0] - found.logits[1], rel=1e-5, abs=1e-6)
    sizes = [abs(item.value) for item in decisive]
    assert sizes == sorted(sizes, reverse=True)


def test_the_explanation_is_the_same_after_saving(
    model: Model, before: Classifier, texts: TextFeatures, pictures: Pictures, tmp_path: Path
) -> None:
    classifier = adapt(before, model, texts)
    classifier.save(tmp_path / "better.onnx")
    again = explain_picture(Classifier.load(tmp_path / "better.onnx"), model, pictures[0])
    assert again == explain_picture(classifier, model, pictures[0])


def test_a_prompt_and_a_description_of_the_same_words_are_two_texts() -> None:
    def part(kind: str, value: float) -> Contribution:
        return Contribution(text="cat", kind=kind, written_for=("cat",), names_class=True, value=value)

    found = Explanation(
        class_names=("cat", "dog"),
        probabilities=(0.9, 0.1),
        logits=(3.0, 0.5),
        rest=(0.0, 0.0),
        contributions=((part("prompt", 2.0), part("description", 1.0)), (part("description", 0.5),)),
        words=None,
    )
    assert [item.value for item in found.against()] == [2.0, 0.5]


def test_texts_with_a_class_name_are_marked(
    model: Model, before: Classifier, texts: TextFeatures, pictures: Pictures
) -> None:
    found = explain_picture(adapt(before, model, texts), model, pictures[0])
    marks = {item.text: item.names_class for row in found.contributions for item in row}
    expected = {"whiskers": False, "a cat's face": True, "long ears": False, "smoke": False}
    assert marks
    for text, is_marked in marks.items():
        assert is_marked == expected.get(text, True)  # the others are prompts


def test_the_reasons_of_a_class_are_its_largest_weights(
    model: Model, before: Classifier, texts: TextFeatures
) -> None:
    classifier = adapt(before, model, texts)
    reasons = classifier.metadata.adaptation.reasons
    for entry, row in zip(class_reasons(classifier, n_texts=2), reasons.coefficients, strict=True):
        positive = sorted((value for _, value in row if value > 0), reverse=True)[:2]
        assert [item.value for item in entry.texts] == positive


def test_the_file_says_what_the_control_did(model: Model, before: Classifier, texts: TextFeatures) -> None:
    words = adapt(before, model, texts).metadata.adaptation.reasons.words
    assert words.n == 18
    assert FEWEST_DRAWS <= len(words.random) <= N_DRAWS


def test_one_picture_of_each_class_leaves_the_words_unjudged(
    model: Model, before: Classifier, texts: TextFeatures, pictures: Pictures
) -> None:
    found = explain_picture(adapt(before, model, texts, shots=1), model, pictures[0])
    assert found.words is None
    assert verdict(found.words).startswith("Nothing is known about whether the words matter")


def test_a_file_without_reasons_is_refused(model: Model, before: Classifier, pictures: Pictures) -> None:
    with pytest.raises(InputError, match="comes from names alone and holds no texts that decide; expected"):
        explain_picture(before, model, pictures[0])


def test_another_model_is_refused(
    model: Model, before: Classifier, texts: TextFeatures, pictures: Pictures, tmp_path: Path
) -> None:
    from hyperclip.bundle import write_bundle

    kind = model.manifest.head.kind
    manifest = replace(make_manifest(kind=kind), name="other")
    write_bundle(tmp_path / "other", manifest, {**make_files(kind=kind), "README.md": b"# other\n"})
    with pytest.raises(InputError, match=r"was made from the model tiny 0\.0\.1, not from this other"):
        explain_picture(adapt(before, model, texts), load(tmp_path / "other"), pictures[0])
