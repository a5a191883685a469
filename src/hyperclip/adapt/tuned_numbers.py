"""What fine-tuning changed in a classifier's graph, at any share between nothing and all. NumPy alone.

Legend: F channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["ChannelChange", "TunedNumbers"]

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class ChannelChange:
    """What became of the channels that one convolution makes: ``(1 + scale) * channel + shift``.

    Parameters
    ----------
    weight, bias : str
        Names of the convolution's constants; the bias is "" where it has none.
    scale : ndarray of shape (F,), float32
    shift : ndarray of shape (F,), float32
        Zeros where there is no bias to take it up.
    """

    weight: str
    bias: str
    scale: FloatArray
    shift: FloatArray


@dataclass(frozen=True, kw_only=True)
class TunedNumbers:
    """All that a training changed: scales and shifts of channels, and the head.

    Parameters
    ----------
    before : mapping of str to ndarray, float32
        The constants as they were.
    channels : tuple of ChannelChange
    head : mapping of str to ndarray, float32
        What was added to the constants of the head.
    """

    before: Mapping[str, FloatArray]
    channels: tuple[ChannelChange, ...]
    head: Mapping[str, FloatArray]

    def constants(self, share: float) -> dict[str, FloatArray]:
        """Return the changed constants with so much of the change in them, by name.

        Scales and shifts are folded into weights and biases. Everything is linear in the share: at 0
        the constants as they were, to the bit, at 1 those of the trained network.

        References
        ----------
        M. Wortsman and others, "Robust fine-tuning of zero-shot models", arXiv 2109.01903.
        """
        made: dict[str, FloatArray] = {}
        for change in self.channels:
            gain_F = 1.0 + share * change.scale.astype(np.float64)
            weight = self.before[change.weight]
            made[change.weight] = (weight * gain_F.reshape(-1, *(1,) * (weight.ndim - 1))).astype(np.float32)
            if change.bias:
                bias_F = self.before[change.bias] * gain_F + share * change.shift.astype(np.float64)
                made[change.bias] = bias_F.astype(np.float32)
        for name, added in self.head.items():
            made[name] = (self.before[name] + share * added.astype(np.float64)).astype(np.float32)
        return made
