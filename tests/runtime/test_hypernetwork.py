"""A hypernetwork of the bundle's own, and what it must give."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import numpy_helper

from hyperclip.bundle import write_bundle
from hyperclip.errors import BundleError
from hyperclip.runtime.hypernetwork import Hypernetwork
from hyperclip.runtime.specialize import load
from tiny_bundle import TEXT_DIM, Pictures, make_files, make_hypernetwork, make_manifest, write_pair

MANIFEST = make_manifest()


def class_text(n_classes: int = 3) -> npt.NDArray[np.float32]:
    """Return vectors of some classes that are not of unit length."""
    return np.random.default_rng(2).normal(0, 3, (n_classes, TEXT_DIM)).astype(np.float32)


def test_it_reads_unit_vectors() -> None:
    model = make_hypernetwork()
    given = class_text()
    unit = given / np.linalg.norm(given, axis=1, keepdims=True)
    (spread,) = (
        numpy_helper.to_array(tensor)
        for tensor in onnx.ModelProto.FromString(model).graph.initializer
        if tensor.name == "spread"
    )
    generated = Hypernetwork(model, MANIFEST, n_threads=1).generate(given)
    np.testing.assert_allclose(generated, unit.mean(axis=0) @ spread, rtol=1e-5, atol=1e-6)
    zero = Hypernetwork(model, MANIFEST).generate(np.zeros((2, TEXT_DIM), np.float32))
    np.testing.assert_array_equal(zero, 0)


def test_another_number_of_values_is_refused() -> None:
    with pytest.raises(BundleError, match=r"hypernetwork\.onnx gives 'generated' of shape \(31,\)"):
        Hypernetwork(make_hypernetwork(n_generated=31), MANIFEST).generate(class_text())


def test_values_that_are_not_finite_are_refused() -> None:
    model = onnx.ModelProto.FromString(make_hypernetwork())
    for tensor in model.graph.initializer:
        if tensor.name == "spread":
            tensor.CopyFrom(numpy_helper.from_array(np.full((TEXT_DIM, 32), np.inf, np.float32), "spread"))
    with pytest.raises(BundleError, match="not finite"):
        Hypernetwork(model.SerializeToString(), MANIFEST).generate(class_text())


@pytest.mark.parametrize("name", ["class_text", "generated"])
def test_other_inputs_or_outputs_are_refused(name: str) -> None:
    model = onnx.ModelProto.FromString(make_hypernetwork())
    for value in [*model.graph.input, *model.graph.output]:
        value.name = "other" if value.name == name else value.name
    for node in model.graph.node:
        node.input[:] = ["other" if item == name else item for item in node.input]
        node.output[:] = ["other" if item == name else item for item in node.output]
    with pytest.raises(BundleError, match=r"expected \['class_text'\] to \['generated'\]"):
        Hypernetwork(model.SerializeToString(), MANIFEST)


def test_it_wins_over_what_the_specializer_generates(tmp_path: Path) -> None:
    write_bundle(tmp_path / "plain", make_manifest(), make_files())
    write_bundle(
        tmp_path / "own", make_manifest(), {**make_files(), "hypernetwork.onnx": make_hypernetwork()}
    )
    plain, own = load(tmp_path / "plain"), load(tmp_path / "own")
    texts = plain.texts(["cat", "dog"])
    np.testing.assert_array_equal(own.generate(texts).head, plain.generate(texts).head)
    assert np.abs(own.generate(texts).parameters - plain.generate(texts).parameters).max() > 0.01


def test_a_model_that_shares_generates_with_its_own(tmp_path: Path, pictures: Pictures) -> None:
    manifest = write_pair(tmp_path, hypernetwork=make_hypernetwork())
    model = load(tmp_path / "micro", n_threads=1)
    assert model.manifest.n_generated == manifest.n_generated == 32
    one, two = (model.generate(model.texts(names)).parameters for names in (["cat", "dog"], ["x", "y", "z"]))
    assert np.abs(one - two).max() > 0.01
    again = model.generate(model.texts(["dog", "cat"])).parameters
    np.testing.assert_array_equal(one, again)  # the classes are a set
    names = ["cat", "dog"]
    own = model.specialize(names).decision_function(pictures)
    neutral = model.specialize(names, context="neutral").decision_function(pictures)
    assert np.abs(own - neutral).max() > 1e-4
