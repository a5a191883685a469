"""The swap test on a model folder of a few kilobytes."""

from pathlib import Path

import numpy as np
import pytest
from benchmarks.conditioning.bundled import head_logits, measure_bundled
from benchmarks.conditioning.tasks import Classes

from hyperclip.runtime.specialize import load

NAMES = ("cat", "dog", "a photo", "bag", "hat", "mat")


def make_pictures() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (24, 20, 20, 3), dtype=np.uint8), np.arange(24) % len(NAMES)


def test_head_logits_are_those_of_the_classifier_file(tiny_folder: Path) -> None:
    model = load(tiny_folder)
    pixels, _ = make_pictures()
    logits, embedding = model.specialize(NAMES).run_pixels(pixels)
    generated = model.generate(model.texts(NAMES))

    found = head_logits(embedding, generated.head, generated.bias, kind=model.manifest.head.kind)

    np.testing.assert_allclose(found, logits, atol=1e-4)  # float32 in the file


def test_a_linear_part_is_added_to_the_mixture() -> None:
    rng = np.random.default_rng(0)
    embedding, head = rng.normal(size=(5, 4)).astype(np.float32), rng.random((3, 8)).astype(np.float32)
    bias = rng.normal(size=3).astype(np.float32)

    found = head_logits(embedding, head, bias, kind="mixture_plus_linear")

    mixture = head_logits(embedding, head[:, :4], bias, kind="log_mixture")
    np.testing.assert_allclose(found, mixture + embedding @ head[:, 4:].T, rtol=1e-5)


def test_every_context_is_asked_on_the_same_pictures(tiny_folder: Path) -> None:
    model = load(tiny_folder)
    pixels, labels = make_pictures()
    classes = Classes(NAMES, ("",) * len(NAMES), (None,) * len(NAMES))
    tasks = np.array([[0, 1, 2], [3, 4, 5]])

    found = measure_bundled(model, classes, tasks, pixels, labels)

    for context, arguments in {
        "own": {},
        "neutral": {"context": "neutral"},
        "swapped": {"context": NAMES[3:]},
        "all_names": {"context": NAMES},
    }.items():
        logits, _ = model.specialize(NAMES[:3], **arguments).run_pixels(pixels[labels < 3])
        expected = (logits.argmax(axis=1) == labels[labels < 3]).mean()
        assert found["accuracy_by_task"][context][0] == pytest.approx(expected)
    assert 0 < found["change_relative_variance"] <= 1
    assert found["swapped_with"] == [1, 0]
