"""Prune a Hugging Face transformer, block by block as in the paper (needs PyTorch).

Legend: B texts in a batch, T tokens, K inputs and O outputs of a linear layer.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hyperclip.compress.contract import Layer, MethodReport, OnProgress
from hyperclip.compress.magnitude import MagnitudeConfig, magnitude_score
from hyperclip.compress.masks import parse_pattern, pattern_mask, smallest_mask
from hyperclip.compress.settings import PruneConfig
from hyperclip.compress.transformer_files import Transformer, token_batches
from hyperclip.compress.wanda import wanda_score
from hyperclip.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["prune_transformer"]

SMALLEST_STD, MAX_SCALE = 1e-6, 10.0

Array = npt.NDArray[np.float64]


def prune_transformer(
    transformer: Transformer,
    texts: Sequence[str],
    config: PruneConfig,
    *,
    on_progress: OnProgress | None = None,
) -> tuple[Transformer, MethodReport]:
    """Prune the linear layers inside the blocks; embeddings, norms, biases and the head stay.

    All data go through one block; its layers are pruned by what they saw; the data go through the pruned
    block and on to the next.

    Parameters
    ----------
    transformer : Transformer
        Not changed.
    texts : sequence of str
        Calibration data. May be empty for `MagnitudeConfig`.
    config : PruneConfig
        A `MagnitudeConfig` scores by magnitude, every other one as Wanda. The repair ``none`` is the
        paper's; the others need a bias in a layer, and leave those without one as they are.
    on_progress : callable, optional
        See `hyperclip.compress.contract.OnProgress`; a step is a block.

    Returns
    -------
    transformer : Transformer
    report : MethodReport

    Raises
    ------
    InputError
        If there are no texts for Wanda, no blocks, or nothing that can be pruned.

    References
    ----------
    M. Sun, Z. Liu, A. Bair, J. Z. Kolter, "A simple and effective pruning approach for large language
    models", ICLR 2024, algorithm 1.
    """
    import torch

    is_magnitude = isinstance(config, MagnitudeConfig)
    if not texts and not is_magnitude:
        raise InputError(
            "There are no texts, and wanda looks at what the layers see; expected at least one; give a file "
            "with a text a line (--data), or take the method magnitude."
        )
    model = copy.deepcopy(transformer.model)
    name, blocks = _blocks(model)
    work = _BlockPruning(config, magnitude_score if is_magnitude else wanda_score)
    with torch.no_grad():
        batches = token_batches(transformer, texts) if texts else []
        calls = _calls(model, blocks, batches)
        states: list[Any] | None = [call[0] for call in calls[0]] if config.is_sequential and calls else None
        for index, block in enumerate(blocks):
            if states is not None:
                calls[index] = [(state, *call[1:]) for state, call in zip(states, calls[index], strict=True)]
            outputs = work.prune(block, f"{name}.{index}", calls[index] if calls else [])
            states = outputs if config.is_sequential and calls else None
            if on_progress is not None:
                on_progress(index + 1, len(blocks), "blocks")
    if not any(not layer.note for layer in work.layers):
        raise InputError(
            "No linear layer of the model can be pruned; expected at least one; take another pattern."
        )
    report = MethodReport(
        method="magnitude" if is_magnitude else "wanda",
        settings=config.to_values(),
        layers=tuple(work.layers),
        n_calibration_texts=len(texts),
        notes=(
            "Zeros stay in the file as numbers: it has the same bytes, and ordinary kernels take the same "
            "time. It gets smaller when it is compressed, such as for a download.",
            "Only linear layers inside the blocks were pruned: embeddings, norms and the head are as before.",
        ),
    )
    smaller = Transformer(
        folder=transformer.folder,
        model=model,
        tokenizer=transformer.tokenizer,
        is_causal=transformer.is_causal,
    )
    return smaller, report


def _blocks(model: "nn.Module") -> "tuple[str, list[nn.Module]]":
    """Return the list of blocks that holds most of the weights, and its name."""
    from torch import nn

    lists = [
        (sum(parameter.numel() for parameter in module.parameters()), name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList)
    ]
    if not lists:
        raise InputError(
            f"The model {type(model).__name__} has no list of blocks; expected a transformer; take another."
        )
    _, name, module = max(lists, key=lambda item: item[0])
    return name, list(module)


_Call = tuple[Any, tuple[Any, ...], dict[str, Any], bool]
"""Hidden states, other arguments, named arguments, and whether the states are one of the named."""


def _calls(model: "nn.Module", blocks: "list[nn.Module]", batches: "list[Tensor]") -> list[list[_Call]]:
    """Run the dense model once and record with what each block is called, batch by batch."""
    if not batches:
        return []
    found: list[list[_Call]] = [[] for _ in blocks]

    def recorder(index: int) -> Callable[..., None]:
        def record(_: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
            if arguments:
                found[index].append((arguments[0], arguments[1:], dict(named), False))
            else:
                rest = {key: value for key, value in named.items() if key != "hidden_states"}
                found[index].append((named["hidden_states"], (), rest, True))

        return record

    hooks = [
        block.register_forward_pre_hook(recorder(index), with_kwargs=True)
        for index, block in enumerate(blocks)
    ]
    has_cache = hasattr(model.config, "use_cache")
    try:
        for ids in batches:
            model(input_ids=ids, **({"use_cache": False} if has_cache else {}))
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _run(block: "nn.Module", call: _Call) -> Any:
    """Call a block as the model does and return the hidden states."""
    state, others, named, is_named = call
    result = block(hidden_states=state, **named) if is_named else block(state, *others, **named)
    return result[0] if isinstance(result, tuple) else result


class _BlockPruning:
    """Prunes block after block and remembers what became of the layers."""

    def __init__(self, config: PruneConfig, score: Callable[[Array, Array | None], Array]) -> None:
        self._config = config
        self._score = score
        self.layers: list[Layer] = []

    def prune(self, block: "nn.Module", name: str, calls: list[_Call]) -> list[Any]:
        """Prune one block; return the hidden states that leave it, if there are calls."""
        linears = {f"{name}.{inner}": module for inner, module in block.named_modules() if _is_linear(module)}
        dense = _Sums(linears)
        with dense.watching():
            for call in calls:
                _run(block, call)
        pruned = []
        for full_name, module in linears.items():
            self.layers.append(self._prune_layer(full_name, module, dense.norms(module)))
            if not self.layers[-1].note:
                pruned.append(module)
        if calls and self._config.repair != "none":
            now = _Sums(linears)
            with now.watching():
                for call in calls:
                    _run(block, call)
            for module in pruned:
                _repair(module, dense.moments(module), now.moments(module), self._config.repair)
        return [_run(block, call) for call in calls]

    def _prune_layer(self, name: str, module: Any, norms: Array | None) -> Layer:
        """Zero weights of one linear layer."""
        import torch

        weight = _matrix(module)
        n_outputs, n_inputs = weight.shape
        note = ""
        if any(fnmatchcase(name, glob) for glob in self._config.keep):
            note = "kept as asked"
        elif self._config.pattern is not None and n_inputs % parse_pattern(self._config.pattern).n_run:
            note = f"{n_inputs} inputs are no multiple of {parse_pattern(self._config.pattern).n_run}"
        n_before = int((weight != 0).sum())
        if not note:
            values = weight.double().numpy()
            spread = None if norms is None else np.broadcast_to(norms, values.shape)
            score = self._score(values, spread)
            if self._config.pattern is not None:
                mask = pattern_mask(score, parse_pattern(self._config.pattern))
            else:
                mask = smallest_mask(score, self._config.share, granularity=self._config.granularity)
            weight[torch.from_numpy(mask)] = 0  # a view of the module's own
        shape = (n_outputs, n_inputs)
        return Layer(
            name=name, part="model", kind="Linear", shape_before=shape, shape_after=shape,
            n_nonzero_before=n_before, n_nonzero_after=int((weight != 0).sum()),
            macs_before=n_outputs * n_inputs, macs_after=n_outputs * n_inputs, note=note,
        )  # fmt: skip


def _is_linear(module: "nn.Module") -> bool:
    """Tell whether a module is a linear layer, as PyTorch or as GPT-2 writes it."""
    from torch import nn

    return isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"


def _matrix(module: Any) -> Any:
    """Return the weights as (O, K), a view."""
    weight = module.weight.detach()
    return weight.T if type(module).__name__ == "Conv1D" else weight


class _Sums:
    """What linear layers see and give while a block runs: sums in float64."""

    def __init__(self, linears: dict[str, Any]) -> None:
        self._modules = list(linears.values())
        self._squares: dict[int, Any] = {}
        self._outputs: dict[int, list[Any]] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count everything that goes through the layers meanwhile."""
        hooks = [module.register_forward_hook(self._count) for module in self._modules]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _count(self, module: Any, arguments: tuple[Any, ...], output: Any) -> None:
        x = arguments[0].reshape(-1, arguments[0].shape[-1]).double()
        y = output.reshape(-1, output.shape[-1]).double()
        key = id(module)
        self._squares[key] = self._squares.get(key, 0) + x.square().sum(dim=0)
        sums = [len(y), y.sum(dim=0), y.square().sum(dim=0)]
        old = self._outputs.get(key)
        self._outputs[key] = sums if old is None else [a + b for a, b in zip(old, sums, strict=True)]

    def norms(self, module: Any) -> Array | None:
        """Return the norm of each input, shape (K,); zeros for a layer that nothing went through."""
        if not self._squares:
            return None
        squares = self._squares.get(id(module))
        return np.zeros(_matrix(module).shape[1]) if squares is None else np.sqrt(squares.numpy())

    def moments(self, module: Any) -> tuple[Any, Any] | None:
        """Return mean and standard deviation of each output, shape (O,)."""
        found = self._outputs.get(id(module))
        if found is None:
            return None
        n, total, squares = found
        mean = total / n
        return mean, (squares / n - mean.square()).clamp_min(0).sqrt()


def _repair(module: Any, dense: tuple[Any, Any] | None, now: tuple[Any, Any] | None, repair: str) -> None:
    """Bring mean and, where wanted, deviation of a layer's outputs back."""
    import torch

    if dense is None or now is None or module.bias is None:
        return
    scale = torch.ones_like(now[1])
    if repair == "moments":
        usual = now[1] > SMALLEST_STD
        scale[usual] = (dense[1][usual] / now[1][usual]).clamp(1 / MAX_SCALE, MAX_SCALE)
        weight = _matrix(module)
        weight.copy_((weight.double() * scale[:, None]).to(weight.dtype))
    bias = module.bias.detach()
    old = bias.double()
    bias.copy_((old + (dense[0] - old) - scale * (now[0] - old)).to(bias.dtype))
