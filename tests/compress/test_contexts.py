"""Lists of names to be judged under, and the parameters that they generate."""

from pathlib import Path

import numpy as np

from hyperclip.bundle import write_bundle
from hyperclip.bundle.read import read_bundle
from hyperclip.compress.contexts import context_parameters, sample_contexts
from hyperclip.compress.measure import EVERYDAY
from hyperclip.runtime.specialize import load
from hyperclip.zoo import find_bundle
from tiny_bundle import make_files, make_manifest


def test_lists_are_words_of_the_glossary_of_many_lengths() -> None:
    bundle = read_bundle(find_bundle("small"))
    lists = sample_contexts(bundle, n_contexts=40, rng=np.random.default_rng(0))
    again = sample_contexts(bundle, n_contexts=40, rng=np.random.default_rng(0))
    assert lists == again
    lengths = [len(names) for names in lists]
    assert min(lengths) <= 4
    assert max(lengths) >= 30
    assert all(2 <= n <= 50 for n in lengths)
    assert all(len({name.casefold() for name in names}) == len(names) for names in lists)
    assert len({name for names in lists for name in names}) > 200


def test_without_a_glossary_everyday_words_serve(tmp_path: Path) -> None:
    write_bundle(tmp_path / "tiny", make_manifest(), make_files())
    lists = sample_contexts(read_bundle(tmp_path / "tiny"), n_contexts=5, rng=np.random.default_rng(1))
    assert {name for names in lists for name in names} <= set(EVERYDAY)


def test_parameters_are_those_of_each_list(tmp_path: Path) -> None:
    write_bundle(tmp_path / "tiny", make_manifest(), make_files())
    model = load(tmp_path / "tiny")
    told: list[tuple[int, int, str]] = []
    values = context_parameters(
        model, [("cat", "dog"), ("a", "b", "c")], on_progress=lambda *args: told.append(args)
    )
    assert values.shape == (2, model.manifest.n_generated)
    np.testing.assert_array_equal(values[1], model.generate(model.texts(["a", "b", "c"])).parameters)
    assert np.abs(values[0] - values[1]).max() > 0.01
    assert told[-1] == (2, 2, "lists of names")
    assert context_parameters(model, []).shape == (0, model.manifest.n_generated)
