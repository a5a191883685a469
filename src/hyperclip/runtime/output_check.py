"""What a model of the bundle gives is used only if it has the promised shape and finite values."""

import numpy as np
import numpy.typing as npt

from hyperclip.bundle.strict import quote
from hyperclip.errors import BundleError

__all__ = ["checked_output"]


def checked_output(
    array: npt.NDArray[np.generic], name: str, shape: tuple[int, ...], *, where: str
) -> npt.NDArray[np.float32]:
    """Return an output of a model, float32 of the given shape.

    Parameters
    ----------
    array : ndarray
        What the model gave.
    name : str
        Of the output.
    shape : tuple of int
        What it must be, as ``model.json`` says.
    where : str
        What to call the model in messages.

    Raises
    ------
    BundleError
        If the shape or the type is another one, or a value is not finite.
    """
    if array.shape != shape or array.dtype != np.float32:
        raise BundleError(
            f"{where} gives {quote(name)} of shape {array.shape} and type {array.dtype}; expected {shape} "
            "and float32 as model.json says; get the model again."
        )
    if not np.isfinite(array).all():
        raise BundleError(
            f"{where} gives {quote(name)} with values that are not finite; expected numbers; use other class "
            "names or get the model again."
        )
    return np.asarray(array, np.float32)
