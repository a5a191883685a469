"""Wanda as a method: what it needs, and that dead inputs cost nothing in a whole graph."""

import numpy as np
import pytest

from hyperclip.compress.contract import CompressionData
from hyperclip.compress.prune_graph import prune_graph
from hyperclip.compress.settings import PruneConfig
from hyperclip.compress.wanda import WandaConfig, compress, wanda_score
from hyperclip.errors import InputError
from hyperclip.runtime.classifier import Classifier
from small_graphs import batches, convolutions, pictures, stored


def test_it_says_that_it_needs_pictures() -> None:
    with pytest.raises(InputError, match="no pictures, and wanda looks"):
        compress(Classifier(), CompressionData(), WandaConfig())


def test_the_score_is_weight_times_norm() -> None:
    score = wanda_score(np.array([[2.0, -3.0]]), np.array([[4.0, 0.0]]))
    assert score.tolist() == [[8.0, 0.0]]


def test_channels_that_are_never_alive_are_removed_first_and_cost_nothing() -> None:
    model = convolutions()
    arrays = stored(model)
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "up.bias")
    values = arrays["up.bias"].copy()
    dead = [1, 4, 7, 10]
    values[dead] = -1e6  # behind it comes a Relu, so these channels of r1 are 0
    bias.raw_data = values.tobytes()
    depthwise = next(tensor for tensor in model.graph.initializer if tensor.name == "dw.bias")
    values = arrays["dw.bias"].copy()
    values[dead] = -1.0  # and those of r2 as well
    depthwise.raw_data = values.tobytes()
    config = PruneConfig(sparsity=0.25, repair="none", keep=("up", "group", "proj"))
    pruned, _ = prune_graph(
        model, batches(pictures(6), 3), blank={"images": pictures(1)}, score=wanda_score, config=config,
        part="model", until="embedding",
    )  # fmt: skip
    zeros = stored(pruned)["down"].reshape(8, 16) == 0
    assert [set(np.flatnonzero(row)) for row in zeros] == [set(dead)] * 8
    import onnxruntime as ort

    dense, thin = (
        ort.InferenceSession(item.SerializeToString(), providers=["CPUExecutionProvider"]).run(
            None, {"images": pictures(6)}
        )[0]
        for item in (model, pruned)
    )
    np.testing.assert_allclose(thin, dense, rtol=1e-6)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sparsity": 1.0}, "below 1"),
        ({"sparsity": float("nan")}, "below 1"),
        ({"pattern": "4:4"}, "write 2:4"),
        ({"sparsity": 0.5, "pattern": "2:4"}, "one of the two"),
        ({"granularity": "row"}, "granularity is 'row'; expected output or layer or cumulative"),
        ({"repair": "weights"}, "repair is 'weights'; expected moments or mean or none"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        WandaConfig(**settings)  # type: ignore[arg-type]


def test_the_share_is_one_half_unless_said_otherwise() -> None:
    assert WandaConfig().share == 0.5
    assert WandaConfig(pattern="1:4").share == 0.75
    assert WandaConfig(pattern="1:4").to_values()["sparsity"] is None
