"""What a run writes down: one JSON object a line, TensorBoard, curves as a picture."""

import json
import logging
import math
import os
from pathlib import Path
from typing import Any

from hyperclip.errors import MissingExtraError
from hyperclip.evaluate.draw import draw_curves

__all__ = ["RunLog", "read_log"]

_LOGGER = logging.getLogger(__name__)


def read_log(path: Path) -> list[dict[str, Any]]:
    """Read a JSONL log; a line that a kill cut short is left out."""
    rows = []
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(row, dict) and isinstance(row.get("step"), int):
                rows.append(row)
    return rows


class RunLog:
    """Figures of one run.

    Parameters
    ----------
    folder : Path
        The run folder.
    first_step : int
        Steps of the checkpoint; rows of later ones are dropped, since they come again.
    """

    def __init__(self, folder: Path, *, first_step: int) -> None:
        self._path = folder / "metrics.jsonl"
        self._folder = folder
        self._was_warned = False
        self._n_drawn = 0
        self.rows = [row for row in read_log(self._path) if row["step"] <= first_step]
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text("".join(json.dumps(row) + "\n" for row in self.rows), encoding="utf-8")
        os.replace(temporary, self._path)
        self._writer = _open_tensorboard(folder / "tensorboard", first_step)

    def write(self, step: int, values: dict[str, float]) -> None:
        """Add one row, with seven digits of each figure that is finite."""
        finite = {key: float(value) for key, value in values.items() if math.isfinite(value)}
        row = {"step": step, **{key: float(f"{value:.7g}") for key, value in finite.items()}}
        self.rows.append(row)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        if self._writer is not None:
            for key, value in finite.items():
                self._writer.add_scalar(key, value, step)

    def draw(self) -> None:
        """Draw every logged figure against the step, as ``curves.png``, where matplotlib is installed.

        Nothing is done where nothing came since the last time.
        """
        if self._n_drawn == len(self.rows):
            return
        self._n_drawn = len(self.rows)
        try:
            draw_curves(self.rows, self._folder / "curves.png")
        except MissingExtraError as error:
            if not self._was_warned:
                _LOGGER.warning("curves.png is left out: %s", error)
                self._was_warned = True

    def close(self) -> None:
        """Flush and close."""
        if self._writer is not None:
            self._writer.close()


def _open_tensorboard(folder: Path, first_step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=first_step + 1)
