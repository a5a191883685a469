"""The training loop: one for every objective.

A run folder holds ``recipe.toml`` (resolved), ``checkpoint.pt``, ``metrics.jsonl``, ``curves.png``,
``tensorboard/`` and ``README.md``. Calling `fit` on a folder that exists goes on where it stopped,
bit for bit: batches are functions of the step, the learning rate too, and each step seeds PyTorch.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device
from torch import Tensor, nn

from hyperclip.errors import InputError
from hyperclip.models import HyperCLIP
from hyperclip.models.channel_removal import cut_tensors
from hyperclip.train.channel_choice import PruningConfig
from hyperclip.train.channel_pruner import ChannelPruner
from hyperclip.train.checkpoint import WeightAverage, load_checkpoint, save_checkpoint
from hyperclip.train.log import RunLog
from hyperclip.train.objective import Objective, check_objective, find_objective
from hyperclip.train.recipe import (
    OptimizerConfig,
    RunConfig,
    apply_overrides,
    did_you_mean,
    from_mapping,
    read_toml,
)
from hyperclip.train.run_folder import describe_run, resolved_recipe, run_folder
from hyperclip.train.sam import SharpnessConfig

__all__ = ["fit", "learning_rate"]

_LOGGER = logging.getLogger(__name__)
OnStep = Callable[[int, int, dict[str, float]], None]


def learning_rate(step: int, n_steps: int, config: OptimizerConfig) -> float:
    """Share of the peak rate at a step: linear warm-up, then a cosine to `final_lr_share`."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(n_steps - config.warmup_steps, 1)
    low = config.final_lr_share
    return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def fit(
    recipe: Path,
    overrides: list[str] | None = None,
    out: Path | None = None,
    *,
    stop_after: int | None = None,
    on_step: OnStep | None = None,
) -> Path:
    """Train what a recipe describes, or go on with it.

    Parameters
    ----------
    recipe : Path
        TOML with the sections ``run``, ``optimizer``, ``sharpness``, ``pruning`` and one named after
        ``run.objective``.
    overrides : list of str, optional
        ``section.key=value``.
    out : Path, optional
        The run folder, whose parent must exist; by default ``runs/NAME-OF-THE-RECIPE`` in the current
        folder.
    stop_after : int, optional
        Stop after so many steps in all, with a checkpoint, as an interruption would.
    on_step : callable, optional
        Called with the step, the number of steps and the logged figures.

    Returns
    -------
    Path
        The run folder.

    Raises
    ------
    InputError
        If the recipe or what it names cannot be used, the folder holds another model's checkpoint, or
        the loss is no longer finite.
    """
    values = apply_overrides(read_toml(recipe), overrides or [])
    sections = _read_sections(values, recipe)
    run = sections.run
    folder = run_folder(recipe, out)
    if run.n_threads:
        torch.set_num_threads(run.n_threads)
    torch.manual_seed(run.seed)
    objective = find_objective(run.objective, values.get(run.objective, {}), seed=run.seed)
    folder.mkdir(parents=out is None, exist_ok=True)
    _Loop(sections, objective, folder).run(stop_after, on_step)
    return folder


class _Sections(NamedTuple):
    """What every recipe says beside its objective."""

    run: RunConfig
    optimizer: OptimizerConfig
    sharpness: SharpnessConfig
    pruning: PruningConfig


def _read_sections(values: dict[str, Any], recipe: Path) -> _Sections:
    """Read what every recipe has, and refuse sections that this one must not have."""
    if "run" not in values:
        raise InputError(
            f"The recipe {recipe} has no section [run]; expected one with objective and n_steps; add it."
        )
    run = from_mapping(RunConfig, values["run"], where="run")
    check_objective(run.objective)
    known = (*_Sections._fields, run.objective)
    for name in values:
        if name not in known:
            raise InputError(f"{name} is not a section of a recipe; {did_you_mean(name, known)}")
    return _Sections(
        run,
        from_mapping(OptimizerConfig, values.get("optimizer", {}), where="optimizer"),
        from_mapping(SharpnessConfig, values.get("sharpness", {}), where="sharpness"),
        from_mapping(PruningConfig, values.get("pruning", {}), where="pruning"),
    )


def _check_prunable(pruning: PruningConfig, model: nn.Module, n_processes: int) -> None:
    """Raise `InputError` where channels are to be removed and cannot be."""
    if pruning.channels > 0 and not isinstance(model, HyperCLIP):
        raise InputError(
            f"pruning.channels is {pruning.channels}, but this objective trains no image encoder; expected "
            "0; leave the section [pruning] out."
        )
    if pruning.channels > 0 and n_processes > 1:
        raise InputError(
            f"pruning.channels is {pruning.channels} with {n_processes} processes, which share buffers of "
            "fixed size; expected one process; train on one device."
        )


class _Loop:
    def __init__(self, sections: _Sections, objective: Objective, folder: Path) -> None:
        self._sections, self._objective, self._folder = sections, objective, folder
        run, config = self._run, self._config = sections.run, sections.optimizer
        self._accelerator = Accelerator(cpu=not torch.cuda.is_available())
        optimizer = torch.optim.AdamW(
            _parameter_groups(objective.model, config), betas=(0.9, config.beta2), eps=1e-8
        )
        _check_prunable(sections.pruning, objective.model, self._accelerator.num_processes)
        self._pruner = ChannelPruner(
            objective.model, sections.sharpness, sections.pruning, n_steps=run.n_steps, seed=run.seed
        )
        self._model, self._optimizer = self._accelerator.prepare(objective.model, optimizer)
        self._average = WeightAverage(self._unwrapped, run.ema_decay) if run.ema_decay else None
        self._first = load_checkpoint(
            folder, model=self._unwrapped, optimizer=optimizer, average=self._average, pruner=self._pruner
        )
        self._log = RunLog(folder, first_step=self._first)
        self._describe()

    def run(self, stop_after: int | None, on_step: OnStep | None) -> None:
        """Train up to the last step, or to `stop_after`."""
        last = self._run.n_steps if stop_after is None else min(stop_after, self._run.n_steps)
        try:
            if self._first < last:
                self._train(last, on_step)
            if max(last, self._first) >= self._run.n_steps:
                with self._averaged():
                    self._objective.finish(self._unwrapped, self._folder)
            self._log.draw()
            self._describe()
        finally:
            self._log.close()

    def _train(self, last: int, on_step: OnStep | None) -> None:
        last_saved = time.monotonic()
        waited = spent = 0.0
        n_timed = 0
        with ThreadPoolExecutor(max_workers=1) as ahead:
            future = ahead.submit(self._objective.batch, self._first)
            for step in range(self._first, last):
                started = time.monotonic()
                batch = future.result()
                waited += time.monotonic() - started
                if step + 1 < last:
                    future = ahead.submit(self._objective.batch, step + 1)
                figures = self._step(batch, step)
                spent += time.monotonic() - started
                n_timed += 1
                done = step + 1
                if done % self._run.log_every == 0 or done == self._run.n_steps:
                    figures |= {"seconds_per_step": spent / n_timed, "wait_share": waited / max(spent, 1e-9)}
                    self._log.write(done, figures)
                    waited = spent = 0.0
                    n_timed = 0
                    if on_step is not None:
                        on_step(done, self._run.n_steps, figures)
                if done % self._run.evaluate_every == 0 or done == self._run.n_steps:
                    self._evaluate(done, on_step)
                if done == last or time.monotonic() - last_saved > 60 * self._run.checkpoint_minutes:
                    self._save(done)
                    last_saved = time.monotonic()

    @property
    def _unwrapped(self) -> nn.Module:
        model: nn.Module = self._accelerator.unwrap_model(self._model)
        return model

    def _step(self, batch: Any, step: int) -> dict[str, float]:
        share = learning_rate(step, self._run.n_steps, self._config)
        for group in self._optimizer.param_groups:
            group["lr"] = self._config.peak_lr * share * group["lr_factor"]
        self._model.train()
        if self._accelerator.device.type != "cpu":
            batch = send_to_device(batch, self._accelerator.device)
        figures: dict[str, float] = {}

        def compute() -> Tensor:
            torch.manual_seed(self._run.seed * 1_000_003 + step)  # both passes of a sharp step see one noise
            with self._autocast():
                loss, said = self._objective.loss(self._model, batch, step)
            for key, value in said.items():
                figures.setdefault(key, value)
            _check_finite("loss", float(loss.detach()), step)
            return loss

        self._optimizer.zero_grad(set_to_none=True)
        loss = self._pruner.backward(self._unwrapped, compute, step=step, backward=self._accelerator.backward)
        norm = self._accelerator.clip_grad_norm_(self._model.parameters(), self._config.max_grad_norm)
        _check_finite("length of the gradient", float(norm), step)
        self._optimizer.step()
        if self._average is not None:
            self._average.update(self._unwrapped, step)
        self._prune(step + 1)
        return {
            "loss": float(loss),
            "grad_norm": float(norm),
            "learning_rate": self._config.peak_lr * share,
        } | figures

    def _prune(self, n_done: int) -> None:
        """Remove the channels that are due, from the optimizer's memory and the average too."""
        optimizer = getattr(self._optimizer, "optimizer", self._optimizer)
        cuts = self._pruner.prune(self._unwrapped, n_done=n_done, optimizer=optimizer)
        if self._average is not None:
            self._average.state = cut_tensors(self._average.state, cuts)

    def _evaluate(self, step: int, on_step: OnStep | None) -> None:
        with torch.no_grad(), self._averaged(), self._autocast():
            self._unwrapped.eval()
            figures = self._objective.evaluate(self._unwrapped)
        figures = {f"eval/{key}": value for key, value in figures.items()}
        self._log.write(step, figures)
        self._log.draw()
        if on_step is not None:
            on_step(step, self._run.n_steps, figures)

    def _autocast(self) -> AbstractContextManager[Any]:
        """The run's precision. Accelerate could set it too, but only once in a process."""
        is_half = self._run.precision == "bfloat16"
        return torch.autocast(self._accelerator.device.type, dtype=torch.bfloat16, enabled=is_half)

    def _describe(self) -> None:
        describe_run(
            self._folder, self._run, rows=self._log.rows,
            recipe=resolved_recipe(self._sections._asdict(), self._objective.config),
            n_parameters=sum(p.numel() for p in self._unwrapped.parameters()),
        )  # fmt: skip

    def _save(self, step: int) -> None:
        optimizer = getattr(self._optimizer, "optimizer", self._optimizer)
        save_checkpoint(
            self._folder, step=step, model=self._unwrapped, optimizer=optimizer, average=self._average,
            pruner=self._pruner,
        )  # fmt: skip

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Put the averaged weights into the model for the length of the block."""
        if self._average is None:
            yield
            return
        model = self._unwrapped
        own = {key: value.detach().clone() for key, value in model.state_dict().items()}
        model.load_state_dict(self._average.state)
        try:
            yield
        finally:
            model.load_state_dict(own)


def _check_finite(what: str, value: float, step: int) -> None:
    """Stop before a step that would spoil all weights: the last checkpoint stays good."""
    if not math.isfinite(value):
        raise InputError(
            f"The {what} is {value} at step {step}; expected a finite number; "
            "lower optimizer.peak_lr or use run.precision = 'float32'."
        )


def _parameter_groups(model: nn.Module, config: OptimizerConfig) -> list[dict[str, Any]]:
    """Group by learning-rate factor and by weight decay (none on vectors, scales and biases)."""
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    used: set[str] = set()
    for name, parameter in model.named_parameters():
        prefixes = [prefix for prefix in config.lr_factors if name.startswith(prefix)]
        used.update(prefixes)
        factor = config.lr_factors[max(prefixes, key=len)] if prefixes else 1.0
        if factor == 0 or not parameter.requires_grad:
            parameter.requires_grad_(False)
            continue
        groups.setdefault((factor, parameter.dim() > 1), []).append(parameter)
    for prefix in sorted(set(config.lr_factors) - used):
        _LOGGER.warning(
            "optimizer.lr_factors names %r, with which no parameter of this model begins.", prefix
        )
    if not groups:
        raise InputError(
            f"optimizer.lr_factors is {config.lr_factors}, which freezes every parameter; expected one that "
            "learns; raise a factor above 0."
        )
    return [
        {
            "params": parameters,
            "lr": config.peak_lr * factor,
            "lr_factor": factor,
            "weight_decay": config.weight_decay if is_matrix else 0.0,
        }
        for (factor, is_matrix), parameters in groups.items()
    ]
