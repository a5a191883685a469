"""Names as a list and one by one, on a model folder of a few kilobytes."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from benchmarks.overlap.lists import OverlapList
from benchmarks.overlap.measure import (
    METHODS,
    heads_alone,
    meanings_alone,
    measure_list,
    run_pixels,
    summarize,
)
from benchmarks.overlap.tables import tables
from benchmarks.zero_shot.baseline import TextSide, unit

from hyperclip.runtime.specialize import load

NAMES = ("cat", "dog", "bag")
N_CONCEPTS, DIM = 6, 5


def make_text_side() -> TextSide:
    """Random vectors in place of MiniLM's."""
    rng = np.random.default_rng(0)
    concepts = unit(rng.normal(size=(N_CONCEPTS, DIM)))

    def vectors(names: Sequence[str], wnids: Any = None) -> Any:
        return unit(np.random.default_rng(len(names)).normal(size=(len(names), DIM)))

    return cast(
        TextSide,
        SimpleNamespace(
            names=vectors,
            vectors=vectors,
            to_clip=unit,
            concept_names_KE=concepts,
            concepts_KE=concepts,
            clip_concepts_KF=concepts,
        ),
    )


def test_names_alone_have_the_texts_of_their_own_lists(tiny_folder: Path) -> None:
    model = load(tiny_folder)

    texts = meanings_alone(model, NAMES)

    assert texts.class_names == NAMES
    for index, name in enumerate(NAMES):
        alone = model.texts([name])
        assert texts.name_texts[index] == alone.name_texts[0]
        assert texts.meanings[index] == alone.meanings[0]
    model.generate(texts)  # the parts fit together


def test_heads_alone_do_not_see_the_other_names(tiny_folder: Path) -> None:
    model = load(tiny_folder)

    head, bias = heads_alone(model, NAMES)
    other_head, other_bias = heads_alone(model, ("hat", *NAMES[1:]))

    np.testing.assert_array_equal(head[1:], other_head[1:])
    np.testing.assert_array_equal(bias[1:], other_bias[1:])


def test_recalls_are_those_of_the_files(tiny_folder: Path) -> None:
    model = load(tiny_folder)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (18, 20, 20, 3), dtype=np.uint8)
    target = np.repeat(np.arange(3), 6)
    size_px = model.manifest.images.size_px
    _, neutral = run_pixels(model.specialize(NAMES[:2], context="neutral"), pixels)

    found = measure_list(
        OverlapList(NAMES, (("a",), ("b",), ("c",))),
        target,
        model=model,
        pixels=pixels,
        image_size_px=size_px,
        neutral_ND=neutral,
        concept_logits_NK=rng.normal(size=(18, N_CONCEPTS)).astype(np.float32),
        text=make_text_side(),
    )

    assert set(found) == set(METHODS)
    for method, context in (("own_file", "own"), ("neutral", "neutral")):
        logits, _ = model.specialize(NAMES, context=context).run_pixels(pixels)
        expected = [(logits.argmax(axis=1) == i)[target == i].mean() for i in range(3)]
        np.testing.assert_allclose(found[method], expected)


def test_tables_show_the_mean_and_its_interval() -> None:
    recalls = [{method: np.array([0.5, share]) for method in METHODS} for share in (0.3, 0.5, 0.7)]
    found = summarize(recalls)

    assert found["mean_recall"]["own_file"]["mean"] == pytest.approx(0.5)
    assert found["standard_error"]["own_file"] == pytest.approx(np.std([0.4, 0.5, 0.6], ddof=1) / 3**0.5)
    assert found["first_name_recall"]["conse"]["mean"] == 0.5
    assert found["chance"] == 0.5
    made = tables({"metrics": {"families": {"kind": found}, "micro": {"families": {"kind": found}}}})
    assert "| chance | 50.0 | 50.0 |" in made["recall"]
    low, high = (100 * found["mean_recall"]["own_file"][end] for end in ("low", "high"))
    assert 40 - 1e-9 <= low < 50 < high <= 60 + 1e-9
    assert f"**50.0 [{low:.1f}, {high:.1f}]**" in made["recall"]
    assert "| floor for a model | 85.0 | – |" in made["recall"]
    assert made["micro_recall"] == made["recall"]
    assert made["differences"].count("+0.0 [+0.0, +0.0]") == 5
