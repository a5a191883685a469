"""Which layers are pruned, on what inputs, and that repair brings the moments back."""

import dataclasses

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest

from hyperclip.compress.magnitude import magnitude_score
from hyperclip.compress.prune_graph import Score, prune_graph
from hyperclip.compress.settings import PruneConfig
from hyperclip.compress.wanda import wanda_score
from small_graphs import batches, convolutions, pictures, products, stored

RAW = PruneConfig(sparsity=0.5, repair="none")
PICTURES = pictures(24)
TOKENS = np.random.default_rng(5).normal(size=(10, 7, 6)).astype(np.float32) * [1, 5, 0.1, 2, 1, 9]


def prune(
    model: onnx.ModelProto, config: PruneConfig = RAW, *, score: Score = wanda_score, size: int = 8
) -> onnx.ModelProto:
    """Prune one of the graphs of `small_graphs` with inputs that fit it."""
    is_conv = model.graph.node[0].op_type == "Conv"
    inputs = PICTURES if is_conv else TOKENS.astype(np.float32)
    return prune_graph(
        model, batches(inputs, size), blank={"images": inputs[:1]}, score=score, config=config, part="model",
        until="embedding",
    )[0]  # fmt: skip


def values_of(model: onnx.ModelProto, names: list[str], inputs: npt.NDArray[np.generic]) -> list[np.ndarray]:
    """Return tensors inside a model."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = ort.InferenceSession(copy.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(names, {"images": inputs})


def test_each_output_of_each_pruned_layer_loses_its_share() -> None:
    before, after = stored(convolutions()), stored(prune(convolutions()))
    for name in ("up", "down", "group", "proj"):
        rows = after[name].reshape(len(after[name]), -1)
        assert (rows == 0).sum(axis=1).tolist() == [rows.shape[1] // 2] * len(rows), name
        kept = after[name] != 0
        np.testing.assert_array_equal(after[name][kept], before[name][kept])


def test_stem_depthwise_biases_and_types_stay_and_the_input_is_not_touched() -> None:
    model = convolutions()
    copy = model.SerializeToString(deterministic=True)
    before, after = stored(model), stored(prune(model))
    assert model.SerializeToString(deterministic=True) == copy
    assert set(after) == set(before)
    for name in ("stem", "stem.bias", "dw", "up.bias", "group.bias"):
        np.testing.assert_array_equal(after[name], before[name])
    for name, array in before.items():
        assert after[name].dtype == array.dtype
        assert after[name].shape == array.shape


def test_the_report_names_every_layer_and_why_it_stayed() -> None:
    _, layers = prune_graph(
        convolutions(), batches(PICTURES, 8), blank={"images": PICTURES[:1]}, score=wanda_score, config=RAW,
        part="model", until="embedding",
    )  # fmt: skip
    assert [(layer.name, layer.note) for layer in layers] == [
        ("stem", "first convolution"),
        ("up", ""),
        ("dw", "depthwise"),
        ("down32", ""),
        ("group", ""),
        ("proj", ""),
    ]
    by_name = {layer.name: layer for layer in layers}
    assert by_name["up"].macs_before == 16 * 8 * 9 * 11
    assert by_name["dw"].macs_after == 16 * 9 * 9 * 11
    assert by_name["group"].macs_after == 12 * 4 * 9 * 4 * 8
    assert by_name["proj"].macs_after == 60
    assert by_name["up"].sparsity == 0.5
    assert by_name["stem"].n_nonzero_after == by_name["stem"].n_nonzero_before == 216


def test_depthwise_and_stem_are_pruned_when_asked() -> None:
    after = stored(prune(convolutions(), dataclasses.replace(RAW, prunes_depthwise=True, prunes_stem=True)))
    assert ((after["dw"].reshape(16, 9) == 0).sum(axis=1) == 4).all()
    assert ((after["stem"].reshape(8, 27) == 0).sum(axis=1) == 13).all()


def test_a_layer_may_be_kept_by_name() -> None:
    after = stored(prune(convolutions(), dataclasses.replace(RAW, keep=("gr*", "up"))))
    assert np.count_nonzero(after["group"]) == after["group"].size
    assert np.count_nonzero(after["up"]) == after["up"].size
    assert np.count_nonzero(after["proj"]) == 30


def test_the_mask_is_that_of_norms_computed_by_hand() -> None:
    """Of the first pruned layer: nothing before it has changed."""
    (seen,) = values_of(convolutions(), ["r0"], PICTURES)
    norms = np.sqrt((seen.astype(np.float64) ** 2).sum(axis=(0, 2, 3)))
    weight = stored(convolutions())["up"].reshape(16, 8)
    score = np.abs(weight) * norms
    expected = np.argsort(np.argsort(score, axis=1, kind="stable"), axis=1) < 4
    np.testing.assert_array_equal(stored(prune(convolutions()))["up"].reshape(16, 8) == 0, expected)


def test_later_layers_are_scored_on_what_pruned_ones_give() -> None:
    pruned = prune(convolutions())
    (seen,) = values_of(pruned, ["r2"], PICTURES)  # everything before `down` is final
    norms = np.sqrt((seen.astype(np.float64) ** 2).sum(axis=(0, 2, 3)))
    score = np.abs(stored(convolutions())["down"].reshape(8, 16).astype(np.float64)) * norms
    expected = np.argsort(np.argsort(score, axis=1, kind="stable"), axis=1) < 8
    np.testing.assert_array_equal(stored(pruned)["down"].reshape(8, 16) == 0, expected)


def test_sequential_differs_from_dense_calibration_only_after_the_first_layer() -> None:
    config = dataclasses.replace(RAW, sparsity=0.6)
    one, other = (
        stored(prune(convolutions(), dataclasses.replace(config, is_sequential=flag)))
        for flag in (True, False)
    )
    np.testing.assert_array_equal(one["up"], other["up"])
    assert any((one[name] != other[name]).any() for name in ("down", "group", "proj"))


@pytest.mark.parametrize("size", [1, 7, 24])
def test_the_result_does_not_depend_on_the_batch_size(size: int) -> None:
    expected, found = stored(prune(convolutions(), size=8)), stored(prune(convolutions(), size=size))
    for name in expected:
        np.testing.assert_array_equal(found[name] == 0, expected[name] == 0)


def test_pruning_again_keeps_the_zeros() -> None:
    once = prune(convolutions())
    twice = prune(once)
    for name, array in stored(once).items():
        np.testing.assert_array_equal(stored(twice)[name], array)


def test_nothing_is_removed_at_sparsity_0_and_nothing_shifts() -> None:
    config = PruneConfig(sparsity=0.0)
    before, after = stored(convolutions()), stored(prune(convolutions(), config))
    for name in ("up", "dw", "down", "group", "proj"):
        np.testing.assert_allclose(after[name], before[name], rtol=2e-3)  # float16 rounds to 1 in 2,048


def test_repair_brings_mean_and_deviation_of_every_output_back() -> None:
    names = ["c1", "c2", "c3", "c4", "embedding"]
    dense = values_of(convolutions(), names, PICTURES)
    for score in (wanda_score, magnitude_score):
        pruned = prune(convolutions(), PruneConfig(sparsity=0.5), score=score)
        for name, old, new in zip(names, dense, values_of(pruned, names, PICTURES), strict=True):
            axes = (0, 2, 3) if old.ndim == 4 else (0,)
            tolerance = 3e-3 if name == "c3" else 1e-4  # c3 has float16 weights
            np.testing.assert_allclose(new.mean(axes), old.mean(axes), atol=tolerance)
            np.testing.assert_allclose(new.std(axes), old.std(axes), rtol=tolerance, atol=1e-5)


def test_mean_repair_leaves_the_weights_that_stay() -> None:
    names = ["c1", "c3", "embedding"]
    pruned = prune(convolutions(), PruneConfig(sparsity=0.5, repair="mean"))
    before, after = stored(convolutions()), stored(pruned)
    kept = after["group"] != 0
    np.testing.assert_array_equal(after["group"][kept], before["group"][kept])
    dense, now = (values_of(model, names, PICTURES) for model in (convolutions(), pruned))
    for old, new in zip(dense, now, strict=True):
        axes = (0, 2, 3) if old.ndim == 4 else (0,)
        np.testing.assert_allclose(new.mean(axes), old.mean(axes), atol=1e-5)


def test_products_with_biases_and_int8_weights_are_pruned_and_repaired() -> None:
    names = ["a1", "p2"]
    dense = values_of(products(), names, TOKENS.astype(np.float32))
    pruned = prune(products(), PruneConfig(sparsity=0.5))
    onnx.checker.check_model(pruned, full_check=True)
    after = stored(pruned)
    assert after["second.int8"].dtype == np.int8
    assert ((after["second.int8"] == 0).sum(axis=0) >= 4).all()
    assert ((after["first"] == 0).sum(axis=0) == 3).all()
    for old, new in zip(dense, values_of(pruned, names, TOKENS.astype(np.float32)), strict=True):
        np.testing.assert_allclose(new.mean((0, 1)), old.mean((0, 1)), atol=1e-5)
        np.testing.assert_allclose(new.std((0, 1)), old.std((0, 1)), rtol=1e-4)


def test_a_pattern_runs_along_input_channels() -> None:
    config = PruneConfig(pattern="2:4", repair="none")
    after = stored(prune(convolutions(), config))
    runs = np.moveaxis(after["group"], 1, -1).reshape(-1, 4)
    assert ((runs == 0).sum(axis=1) == 2).all()
    assert ((after["up"].reshape(16, 2, 4) == 0).sum(axis=2) == 2).all()
    columns = stored(prune(products(), dataclasses.replace(config, pattern="1:2")))["first"]
    assert ((columns.T.reshape(8, 3, 2) == 0).sum(axis=2) == 1).all()


def test_layers_whose_inputs_do_not_fit_a_pattern_stay_dense() -> None:
    _, layers = prune_graph(
        convolutions(), [], blank={"images": PICTURES[:1]}, score=magnitude_score,
        config=PruneConfig(pattern="4:8"), part="model", until="embedding",
    )  # fmt: skip
    assert {layer.name: layer.note for layer in layers}["proj"] == "12 inputs are no multiple of 8"
    assert {layer.name: layer.note for layer in layers}["down32"] == ""


def test_generated_and_shared_weights_are_left_alone() -> None:
    model = convolutions()
    model.graph.node[9].input[1] = "group"
    extra = onnx.helper.make_node("Conv", ["sum", "up"], ["unused"], name="again")
    model.graph.node.append(extra)
    _, layers = prune_graph(
        model, [], blank={"images": PICTURES[:1]}, score=magnitude_score, config=RAW, part="model",
        until="embedding", fixed=frozenset({"group"}),
    )  # fmt: skip
    notes = {layer.name: layer.note for layer in layers}
    assert notes["group"] == "its weights are generated"
    assert notes["up"] == "several operators share its weights"


def test_magnitude_without_data_prunes_and_repairs_nothing() -> None:
    pruned, _ = prune_graph(
        convolutions(), [], blank={"images": PICTURES[:1]}, score=magnitude_score,
        config=PruneConfig(sparsity=0.5), part="model", until="embedding",
    )  # fmt: skip
    before, after = stored(convolutions()), stored(pruned)
    np.testing.assert_array_equal(after["up.bias"], before["up.bias"])
    weight = np.abs(before["proj"])
    expected = np.argsort(np.argsort(weight, axis=1, kind="stable"), axis=1) < 6
    np.testing.assert_array_equal(after["proj"] == 0, expected)


def test_progress_counts_layers() -> None:
    seen: list[tuple[int, int, str]] = []
    prune_graph(
        convolutions(), batches(PICTURES, 8), blank={"images": PICTURES[:1]}, score=wanda_score, config=RAW,
        part="model", until="embedding", on_progress=lambda *step: seen.append(step),
    )  # fmt: skip
    assert seen[-1] == (6, 6, "layers")
