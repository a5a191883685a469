"""How far the zero-shot head can be trusted, judged by pictures that it never saw. NumPy alone."""

from hyperclip.adapt.folds import best_temperatures
from hyperclip.adapt.shots import Shots

__all__ = ["trust_in_zero_shot"]


def trust_in_zero_shot(shots: Shots) -> float:
    """Return what to multiply zero-shot logits by before anything is added to them, in (0, 1].

    It is one over the temperature that suits the given pictures best: near 0 where names tell nothing
    about them, 1 where the logits are as sure as they may be. The pictures are many times fewer than
    those that the logits' own temperature comes from, so it is never more than 1.
    """
    temperature_H, _ = best_temperatures(shots.zero_shot[None], shots.target)
    return 1.0 / max(1.0, float(temperature_H[0]))
