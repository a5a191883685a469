"""Which trainings there are, where they lie, and how they are started."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.result_file import REPOSITORY

__all__ = ["ARMS", "Training", "finished", "trainings"]

ARMS = ("siglip", "hyper", "token", "hyper_weights", "token_weights")
RECIPES = REPOSITORY / "recipes" / "claim"


class Training(NamedTuple):
    """One arm with one seed on one encoder."""

    encoder: str
    arm: str
    seed: int

    @property
    def key(self) -> str:
        """How results name it."""
        return f"{self.encoder}/{self.arm}-{self.seed}"

    @property
    def recipe(self) -> Path:
        """The arm's recipe."""
        return RECIPES / f"{self.arm}.toml"

    @property
    def overrides(self) -> list[str]:
        """What the recipe is told."""
        return [f"run.seed={self.seed}", f'hyperclip.model.image_encoder.name="{self.encoder}"']

    def folder(self, runs: Path) -> Path:
        """Its run folder."""
        return runs / self.encoder / f"{self.arm}-{self.seed}"

    def is_finished(self, runs: Path) -> bool:
        """Whether its weights are written, which a training does last."""
        return (self.folder(runs) / "weights.safetensors").is_file()


def trainings(encoders: Sequence[str], arms: Sequence[str], seeds: Sequence[int]) -> Iterator[Training]:
    """Yield the trainings of a table, a whole seed of all arms before the next."""
    for encoder in encoders:
        for seed in seeds:
            for arm in arms:
                yield Training(encoder, arm, seed)


def finished(runs: Path, encoders: Sequence[str], arms: Sequence[str]) -> list[Training]:
    """Return the trainings that are done, by encoder, seed and arm."""
    found = []
    for encoder in encoders:
        for arm in arms:
            folders = (runs / encoder).glob(f"{arm}-*")
            seeds = sorted(
                int(folder.name[len(arm) + 1 :])
                for folder in folders
                if folder.name[len(arm) + 1 :].isdigit()
            )
            done = (Training(encoder, arm, seed) for seed in seeds)
            found += [training for training in done if training.is_finished(runs)]
    return sorted(found, key=lambda one: (encoders.index(one.encoder), one.seed, arms.index(one.arm)))
