"""What every way of making a model smaller has in common: a model and data in, a model and a report out.

A method is one file with a frozen config dataclass and a function
``compress(model, data, config, *, on_progress)``, one test file, and one row of `METHODS`. The model that
comes in is never changed. Modules are imported when their method is used, so that pruning a file loads no
PyTorch.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hyperclip.errors import InputError

if TYPE_CHECKING:
    from hyperclip.bundle.read import Bundle
    from hyperclip.runtime.classifier import Classifier
    from hyperclip.runtime.preprocess import ImageSource

__all__ = [
    "METHODS",
    "CompressionData",
    "Layer",
    "Method",
    "MethodReport",
    "OnProgress",
    "compress",
    "method",
    "method_of",
]

OnProgress = Callable[[int, int, str], None]
"""Called now and then with steps done, steps in all, and what a step is, in the plural."""


@dataclass(frozen=True, kw_only=True)
class CompressionData:
    """What a method may look at: never the pictures on which the result is judged.

    Parameters
    ----------
    images : tuple of ImageSource
        Paths, bytes of image files, PIL images or uint8 arrays of shape (height, width, 3), RGB.
    target : ndarray of shape (n_images,), int64, optional
        Index of each picture's class in `class_names`; None where nothing is known of them, so that a
        method which needs labels takes the model's own answers.
    class_names : tuple of str
        What `target` points into.
    texts : tuple of str
        What the text encoder of a bundle is calibrated on.
    image_size_px : int, optional
        Side of the square that the encoder of a bundle sees; by default the bundle's own.
    """

    images: "tuple[ImageSource, ...]" = ()
    target: npt.NDArray[np.int64] | None = None
    class_names: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    image_size_px: int | None = None

    def __post_init__(self) -> None:
        if self.target is not None and np.shape(self.target) != (len(self.images),):
            raise InputError(
                f"There are {len(self.images)} pictures and a target of shape {np.shape(self.target)}; "
                "expected one class index a picture; pass both from the same data set."
            )


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer with weights, before and after.

    Parameters
    ----------
    name : str
        Of the layer in the model.
    part : str
        Which graph it lies in: ``classifier``, ``encoder.onnx``, ``specializer.onnx`` or ``model``.
    kind : str
        ``Conv``, ``depthwise Conv``, ``Gemm``, ``MatMul`` or ``Linear``.
    shape_before, shape_after : tuple of int
        Of the weights; the same where channels stay.
    n_nonzero_before, n_nonzero_after : int
        Weights that are not zero.
    macs_before, macs_after : int
        Multiply-adds for one picture or one text token, zeros counted like other weights: that is what
        ordinary kernels do. 0 where they are not known.
    note : str
        Why the layer was left as it is, or "".
    """

    name: str
    part: str
    kind: str
    shape_before: tuple[int, ...]
    shape_after: tuple[int, ...]
    n_nonzero_before: int
    n_nonzero_after: int
    macs_before: int = 0
    macs_after: int = 0
    note: str = ""

    @property
    def sparsity(self) -> float:
        """Share of the remaining shape's weights that are zero, in [0, 1]."""
        size = int(np.prod(self.shape_after))
        return 1 - self.n_nonzero_after / size if size else 0.0


@dataclass(frozen=True, kw_only=True)
class MethodReport:
    """What a method did; `hyperclip.compress.measure` adds what came of it.

    Parameters
    ----------
    method : str
        A key of `METHODS`.
    settings : mapping of str to object
        Everything that decided the result, as JSON can hold it.
    layers : tuple of Layer
        Every layer with weights, in execution order.
    n_calibration_images, n_calibration_texts : int
        How much data the method looked at.
    notes : tuple of str
        Sentences for the reader of the report.
    """

    method: str
    settings: Mapping[str, object]
    layers: tuple[Layer, ...]
    n_calibration_images: int = 0
    n_calibration_texts: int = 0
    notes: tuple[str, ...] = field(default=())

    def to_values(self) -> dict[str, Any]:
        """Return plain dicts and lists for JSON."""
        values = asdict(self)
        for item, layer in zip(values["layers"], self.layers, strict=True):
            item["sparsity"] = layer.sparsity
        return values


@dataclass(frozen=True, kw_only=True)
class Method:
    """One row of the table of methods."""

    module: str  # holds `compress(model, data, config, *, on_progress)`
    config: str  # name of the frozen dataclass in it whose fields are the method's settings
    summary: str  # one line for --help and the documentation
    options: tuple[str, ...]  # fields that the command line sets, there without n_
    needs_images: bool  # whether it cannot do without pictures
    n_images: int = 128  # how many pictures it is given at most; methods that train want more


METHODS: dict[str, Method] = {
    "wanda": Method(
        module="hyperclip.compress.wanda",
        config="WandaConfig",
        summary="zeros where weight times input is smallest, by output; no retraining",
        options=("sparsity", "pattern", "granularity"),
        needs_images=True,
    ),
    "magnitude": Method(
        module="hyperclip.compress.magnitude",
        config="MagnitudeConfig",
        summary="zeros where weights are smallest; no retraining, the baseline",
        options=("sparsity", "pattern", "granularity"),
        needs_images=False,
    ),
    "adasap": Method(
        module="hyperclip.compress.adasap",
        config="AdaSAPConfig",
        summary="removes channels and trains the rest for flat minima (needs PyTorch)",
        options=("channels", "importance", "n_steps"),
        needs_images=True,
        n_images=2000,
    ),
}


class _Loaded(NamedTuple):
    """The two things in a method's module."""

    compress: Callable[..., tuple[Any, MethodReport]]
    config: type[Any]


def method(name: str) -> _Loaded:
    """Import a method and return its function and its config class; raises `InputError` for other names."""
    row = METHODS.get(name)
    if row is None:
        raise InputError(
            f"The method is {name!r}; expected one of {', '.join(METHODS)}; choose one of these."
        )
    module = import_module(row.module)
    return _Loaded(module.compress, getattr(module, row.config))


def compress(
    model: "Classifier | Bundle",
    data: CompressionData,
    config: Any,
    *,
    on_progress: OnProgress | None = None,
) -> "tuple[Classifier | Bundle, MethodReport]":
    """Make a model smaller with the method that the config belongs to.

    Parameters
    ----------
    model : Classifier or Bundle
        Never changed.
    data : CompressionData
        May be empty where the method needs none.
    config : object
        An instance of the config class of one of `METHODS`, such as `WandaConfig`.
    on_progress : callable, optional
        See `OnProgress`.

    Returns
    -------
    model : Classifier or Bundle
        Of the same kind, with the same classes or generated parameters.
    report : MethodReport

    Raises
    ------
    InputError
        If no method has such a config, or the data do not suffice.
    BundleError
        If the model is damaged.
    """
    run = method(method_of(config)).compress
    result: tuple[Classifier | Bundle, MethodReport] = run(model, data, config, on_progress=on_progress)
    return result


def method_of(config: Any) -> str:
    """Return the name of the method that a config belongs to; raises `InputError` where there is none."""
    for name, row in METHODS.items():
        if type(config).__module__ == row.module and type(config).__name__ == row.config:
            return name
    raise InputError(
        f"The config is a {type(config).__name__}; expected one of "
        f"{', '.join(row.config for row in METHODS.values())}; make one of these."
    )
