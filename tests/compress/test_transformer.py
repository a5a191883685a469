"""Wanda on Hugging Face transformers: exact counts, block by block, against torchao, files in and out."""

import json
from pathlib import Path

import numpy as np
import pytest

from hyperclip.compress.magnitude import MagnitudeConfig
from hyperclip.compress.wanda import WandaConfig
from hyperclip.errors import InputError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.torch

from hyperclip.compress.transformer import prune_transformer  # noqa: E402
from hyperclip.compress.transformer_files import (  # noqa: E402
    Transformer,
    architecture_of,
    load_transformer,
    save_transformer,
    token_batches,
)
from hyperclip.compress.transformer_measure import next_tokens, text_vectors  # noqa: E402
from tiny_transformer import TEXTS, write_model, write_tokenizer  # noqa: E402

RAW = WandaConfig(sparsity=0.5, repair="none")


@pytest.fixture(params=["bert", "gpt2", "llama"])
def transformer(request: pytest.FixtureRequest, tmp_path: Path) -> Transformer:
    """Return a tiny encoder or causal language model."""
    return load_transformer(write_model(request.param, tmp_path / request.param))


def linear_weights(model: Transformer) -> dict[str, np.ndarray]:
    """Return the weights of linear layers inside blocks as (n_outputs, n_inputs)."""
    found = {}
    for name, module in model.model.named_modules():
        is_conv1d = type(module).__name__ == "Conv1D"
        if (isinstance(module, torch.nn.Linear) or is_conv1d) and any(
            part.isdigit() for part in name.split(".")
        ):
            weight = module.weight.detach().numpy()
            found[name] = weight.T if is_conv1d else weight
    return found


def test_each_output_of_each_linear_layer_loses_its_share(transformer: Transformer) -> None:
    before = {name: weight.copy() for name, weight in linear_weights(transformer).items()}
    pruned, report = prune_transformer(transformer, TEXTS, RAW)
    after = linear_weights(pruned)
    assert len(after) == len(report.layers) >= 12
    for name, weight in after.items():
        assert ((weight == 0).sum(axis=1) == weight.shape[1] // 2).all(), name
        np.testing.assert_array_equal(weight[weight != 0], before[name][weight != 0])
        np.testing.assert_array_equal(linear_weights(transformer)[name], before[name])  # not touched
    assert {layer.sparsity for layer in report.layers} == {0.5}


def test_what_is_no_linear_layer_of_a_block_stays(transformer: Transformer) -> None:
    pruned, _ = prune_transformer(transformer, TEXTS, RAW)
    before, after = transformer.model.state_dict(), pruned.model.state_dict()
    assert list(before) == list(after)
    inside = {f"{name}.weight" for name in linear_weights(transformer)}
    for name, tensor in before.items():
        if name not in inside:
            assert torch.equal(after[name], tensor), name


def test_the_masks_are_those_of_the_paper_block_by_block(transformer: Transformer) -> None:
    """An independent walk: prune a block, then run the whole model again to see what the next one gets."""
    import copy

    pruned, _ = prune_transformer(transformer, TEXTS, RAW)
    model = copy.deepcopy(transformer.model)
    modules = dict(model.named_modules())
    names = list(linear_weights(transformer))
    blocks = sorted({next(part for part in name.split(".") if part.isdigit()) for name in names})
    for block in blocks:
        inside = [name for name in names if block in name.split(".")]
        squares = {name: 0.0 for name in inside}
        hooks = []
        for name in inside:

            def count(_: object, inputs: tuple, __: object, name: str = name, total: dict = squares) -> None:
                total[name] = total[name] + inputs[0].flatten(0, -2).double().square().sum(0).numpy()

            hooks.append(modules[name].register_forward_hook(count))
        with torch.no_grad():
            for ids in token_batches(transformer, TEXTS):
                model(input_ids=ids)
        for hook in hooks:
            hook.remove()
        for name in inside:
            weight = modules[name].weight.data
            is_conv1d = type(modules[name]).__name__ == "Conv1D"
            matrix = weight.T if is_conv1d else weight
            score = np.abs(matrix.double().numpy()) * np.sqrt(squares[name])
            order = np.argsort(score, axis=1, kind="stable")[:, : matrix.shape[1] // 2]
            for row, columns in enumerate(order):
                matrix[row, columns] = 0
            np.testing.assert_array_equal(linear_weights(pruned)[name] == 0, matrix.numpy() == 0)


def test_sequential_differs_from_dense_calibration_only_from_the_second_block_on(
    transformer: Transformer,
) -> None:
    one, _ = prune_transformer(transformer, TEXTS, WandaConfig(sparsity=0.6, repair="none"))
    other, _ = prune_transformer(
        transformer, TEXTS, WandaConfig(sparsity=0.6, repair="none", is_sequential=False)
    )
    differs = {
        name: (weight != linear_weights(other)[name]).any() for name, weight in linear_weights(one).items()
    }
    assert not any(value for name, value in differs.items() if "0" in name.split("."))
    assert any(differs.values())


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:WandaSparsifier got semi_structured")
@pytest.mark.parametrize(("share", "n_run"), [(0.5, None), (0.3, None), (0.5, 4), (0.5, 8)])
def test_the_mask_is_torchaos_where_it_groups_alike(share: float, n_run: int | None) -> None:
    """It ranks over the whole layer, as granularity="layer" does, or over runs of 4 or 8.

    Its observer leaves out the square root (torchao 0.18.0: `norm` is the sum of squares), so it gets inputs
    whose squares sum to the norms that we see. It is not in an extra: 26 MB, and it leans on parts of PyTorch
    that are announced to go.
    """
    reason = "torchao is an oracle that no extra brings: pip install --no-deps torchao"
    sparsifier = pytest.importorskip("torchao.sparsity", reason=reason).WandaSparsifier
    from hyperclip.compress.masks import Pattern, pattern_mask, smallest_mask
    from hyperclip.compress.wanda import wanda_score

    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(24, 12))
    inputs = torch.randn(64, 24) * torch.linspace(0.1, 3, 24)
    weight = model[0].weight.detach().double().numpy().copy()
    pruner = sparsifier(sparsity_level=share, semi_structured_block_size=n_run)
    pruner.prepare(model, [{"tensor_fqn": "0.weight"}])
    model(inputs / inputs.norm(dim=0).sqrt())
    pruner.step()
    pruner.squash_mask()
    score = wanda_score(weight, np.broadcast_to(inputs.double().norm(dim=0).numpy(), weight.shape))
    expected = model[0].weight.detach().numpy() == 0
    if n_run is None:
        found = smallest_mask(score, share, granularity="layer")
    else:
        found = pattern_mask(score, Pattern(n_run // 2, n_run))
    assert expected.sum() == int(288 * share)
    np.testing.assert_array_equal(found, expected)


def test_pattern_magnitude_and_kept_layers(transformer: Transformer) -> None:
    first = next(iter(linear_weights(transformer)))
    config = MagnitudeConfig(pattern="2:4", repair="none", keep=(first,))
    pruned, report = prune_transformer(transformer, [], config)
    assert report.layers[0].note == "kept as asked"
    for name, weight in linear_weights(pruned).items():
        zeros = (weight.reshape(-1, 4) == 0).sum(axis=1)
        assert (zeros == (0 if name == first else 2)).all()


def test_repair_brings_the_outputs_closer_where_there_are_biases(tmp_path: Path) -> None:
    dense = load_transformer(write_model("gpt2", tmp_path / "gpt2"))
    ids = token_batches(dense, TEXTS)
    error = {}
    for repair in ("none", "mean"):
        pruned, _ = prune_transformer(dense, TEXTS, WandaConfig(sparsity=0.5, repair=repair))
        with torch.no_grad():
            shift = [(pruned.model(batch).logits - dense.model(batch).logits).flatten(0, 1) for batch in ids]
        error[repair] = float(torch.cat(shift).mean(dim=0).norm())
    assert error["mean"] < error["none"]


def test_a_saved_folder_reads_as_the_same_model(transformer: Transformer, tmp_path: Path) -> None:
    pruned, _ = prune_transformer(transformer, TEXTS, RAW)
    save_transformer(pruned, tmp_path / "out")
    again = load_transformer(tmp_path / "out")
    for name, tensor in pruned.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], tensor), name
    if transformer.is_causal:
        np.testing.assert_array_equal(next_tokens(again, TEXTS)[0], next_tokens(pruned, TEXTS)[0])
    else:
        np.testing.assert_allclose(text_vectors(again, TEXTS), text_vectors(pruned, TEXTS), atol=1e-6)
    with pytest.raises(InputError, match="not empty"):
        save_transformer(pruned, tmp_path / "out")


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    folder = write_model("bert", tmp_path / "bert")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="safetensors"):
        load_transformer(folder)


def test_models_of_two_stacks_are_refused(tmp_path: Path) -> None:
    config = transformers.T5Config(vocab_size=32, d_model=8, d_ff=8, num_layers=1, num_heads=1, d_kv=8)
    transformers.T5ForConditionalGeneration(config).save_pretrained(tmp_path / "t5")
    write_tokenizer(tmp_path / "t5")
    with pytest.raises(InputError, match="an encoder and a decoder"):
        load_transformer(tmp_path / "t5")


def test_without_texts_wanda_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give a file"):
        prune_transformer(load_transformer(write_model("bert", tmp_path / "bert")), [], RAW)


def test_architecture_is_read_from_the_config_alone(tmp_path: Path) -> None:
    assert architecture_of(tmp_path) is None
    (tmp_path / "config.json").write_text("{")
    assert architecture_of(tmp_path) is None
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["BertModel"]}))
    assert architecture_of(tmp_path) == "BertModel"
    (tmp_path / "model.json").write_text("{}")  # a bundle
    assert architecture_of(tmp_path) is None
