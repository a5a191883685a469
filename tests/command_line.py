"""What tests of the command line need beside fixtures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

MAX_STDERR_BYTES = 1500


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it printed."""

    code: int
    stdout: str
    stderr: str


def save_pictures(folder: Path, names: Sequence[str], *, seed: int = 0) -> None:
    """Write small random pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for name in names:
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(folder / name)


def assert_one_sentence(outcome: Outcome, *words: str) -> None:
    """Check that a command failed with one short line that says these words."""
    assert outcome.code == 1
    assert outcome.stderr.count("\n") == 1
    assert outcome.stderr.endswith("\n")
    assert len(outcome.stderr.encode()) < MAX_STDERR_BYTES
    assert "Traceback" not in outcome.stderr
    for word in words:
        assert word in outcome.stderr


def save_shades(folder: Path, color: tuple[int, int, int], n_images: int, *, seed: int) -> None:
    """Write noisy pictures of one color."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for number in range(n_images):
        noise = rng.normal(0, 25, (24, 24, 3))
        pixels = np.clip(np.array(color) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
