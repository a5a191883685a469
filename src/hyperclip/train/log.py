"""What a run writes down: one JSON object a line, TensorBoard, curves as a picture."""

import json
import os
from pathlib import Path
from typing import Any

from hyperclip.evaluate.draw import draw_curves

__all__ = ["RunLog", "read_log"]


def read_log(path: Path) -> list[dict[str, Any]]:
    """Read a JSONL log; a last line cut short by a kill is left out."""
    rows = []
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                continue
    return rows


class RunLog:
    """Figures of one run.

    Parameters
    ----------
    folder : Path
        The run folder.
    first_step : int
        Rows of an interrupted run at or beyond this step are dropped, since they come again.
    """

    def __init__(self, folder: Path, *, first_step: int) -> None:
        self._path = folder / "metrics.jsonl"
        self._folder = folder
        self.rows = [row for row in read_log(self._path) if row["step"] <= first_step]
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text("".join(json.dumps(row) + "\n" for row in self.rows), encoding="utf-8")
        os.replace(temporary, self._path)
        self._writer = _open_tensorboard(folder / "tensorboard", first_step)

    def write(self, step: int, values: dict[str, float]) -> None:
        """Add one row."""
        row = {"step": step, **{k: round(float(v), 6) for k, v in values.items()}}
        self.rows.append(row)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        if self._writer is not None:
            for key, value in values.items():
                self._writer.add_scalar(key, value, step)

    def draw(self) -> None:
        """Draw every logged figure against the step, as ``curves.png``."""
        draw_curves(self.rows, self._folder / "curves.png")

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
