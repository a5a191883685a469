"""Figures of matplotlib without its global state, and names as its font can draw them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from hyperclip.errors import MissingExtraError
from hyperclip.evaluate.typography import drawable_with

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["label", "new_figure", "rendered"]

DPI = 150


def new_figure(width_in: float, height_in: float) -> "Figure":
    """Return a figure of its own, which no global state of pyplot knows."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "matplotlib":
            raise  # a broken install must not look like a missing extra
        raise MissingExtraError(
            "This picture needs matplotlib, which is not installed; run `pip install 'hyperclip[report]'`."
        ) from error
    layout = ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.15)  # inches
    figure = Figure(figsize=(width_in, height_in), dpi=DPI, facecolor="white", layout=layout)
    FigureCanvasAgg(figure)
    return figure


def rendered(figure: "Figure") -> Image.Image:
    """Return the pixels of a figure."""
    canvas: Any = figure.canvas
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def label(name: str, *, n_chars: int = 28) -> str:
    """Return a name as matplotlib's own font can draw it, shortened."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        return name  # `new_figure` says what is missing
    font = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    text = " ".join(drawable_with(str(font), name[:200]).split())
    return text if len(text) <= n_chars else f"{text[: n_chars - 1].rstrip()}…"
