"""Interpolation between the zero-shot head and the linear probe. scikit-learn."""

from collections.abc import Sequence

from hyperclip.adapt.adapter import Adapter
from hyperclip.adapt.linear_probe import STRENGTHS, logistic_heads
from hyperclip.adapt.shots import Head, Prior, Shots
from hyperclip.adapt.trust import trust_in_zero_shot
from hyperclip.bundle.strict import quote
from hyperclip.errors import InputError

__all__ = ["SHARES", "Wise", "check_shares"]

SHARES = (0.25, 0.5, 0.75, 1.0)
DEFAULT_SHARE = 2
DEFAULT_STRENGTH = 1


def check_shares(shares: Sequence[float]) -> None:
    """Refuse shares that are none: a head is interpolated, never extrapolated."""
    if not shares or not all(0 <= share <= 1 for share in shares):
        raise InputError(
            f"shares is {quote(shares)}; expected at least one number, each from 0 to 1; use (0.5, 1.0) or "
            "the like."
        )


class Wise(Adapter):
    """``(1 - share) * trust * zero_shot + share * linear_probe``.

    The trust is what the given pictures say about the zero-shot head; see `trust_in_zero_shot`.

    Parameters
    ----------
    prior : Prior
        The zero-shot head.
    features : {"raw", "unit", "centered_unit"}
        What to read of an embedding.
    shares : tuple of float
        Of the linear probe, in [0, 1]; cross-validation chooses. Where it cannot, the third.
    strengths : tuple of float
        Inverse penalties of the linear probe, chosen likewise.
    balance : bool
        Whether every class weighs the same, however many pictures it has.

    References
    ----------
    M. Wortsman and others, "Robust fine-tuning of zero-shot models", arXiv 2109.01903: the case of a
    linear classifier.
    """

    name = "wise"
    needs_prior = True

    def __init__(
        self,
        prior: Prior | None = None,
        features: str = "raw",
        shares: tuple[float, ...] = SHARES,
        strengths: tuple[float, ...] = STRENGTHS,
        balance: bool = True,
    ) -> None:
        self.prior = prior
        self.features = features
        self.shares = shares
        self.strengths = strengths
        self.balance = balance

    def _heads(self, shots: Shots) -> list[Head]:
        check_shares(self.shares)
        probes = logistic_heads(shots, self.strengths, balance=self.balance)
        trust = trust_in_zero_shot(shots)
        return [
            probe.mixed(share, trust=trust, settings=(("share", share), *probe.settings))
            for share in self.shares
            for probe in probes
        ]

    def _default(self) -> int:
        share = min(DEFAULT_SHARE, len(self.shares) - 1)
        return share * len(self.strengths) + min(DEFAULT_STRENGTH, len(self.strengths) - 1)
