"""How many channels go at a step of the schedule, and which."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperclip.errors import InputError
from hyperclip.models.channel_groups import ChannelGroup

__all__ = ["PruningConfig", "choose_channels", "removed_share"]

_CRITERIA = ("magnitude", "taylor", "latency", "random")
_LARGEST_SHARE = 0.8  # of a layer, where layers compete


@dataclass(frozen=True, kw_only=True)
class PruningConfig:
    """How many channels are taken out of the image encoder, when, and which."""

    channels: float = 0.0
    """Share of the prunable channels to remove, in [0, 1); 0 removes none."""
    importance: str = "magnitude"
    """`magnitude`, `taylor`, `latency` (Taylor for each measured millisecond) or `random` (a control)."""
    start_share: float = 0.2
    """When removal begins, as a share of all steps: before that, weights only get ready for it."""
    end_share: float = 0.4
    """When the last channels go; after that, the rest learns."""
    every: int = 30
    """Steps between removals."""
    round_to: int = 8
    """Widths are multiples of it, which kernels compute best."""

    def __post_init__(self) -> None:
        if not 0 <= self.channels < 1:
            raise InputError(f"pruning.channels is {self.channels}; expected a share in [0, 1); try 0.5.")
        if self.importance not in _CRITERIA:
            raise InputError(
                f"pruning.importance is {self.importance!r}; expected one of {', '.join(_CRITERIA)}; "
                "choose one."
            )
        if not 0 <= self.start_share <= self.end_share <= 1:
            raise InputError(
                f"pruning.start_share and end_share are {self.start_share} and {self.end_share}; expected "
                "0 <= start <= end <= 1; try 0.2 and 0.4."
            )
        for key in ("every", "round_to"):
            if getattr(self, key) < 1:
                raise InputError(f"pruning.{key} is {getattr(self, key)}; expected at least 1; raise it.")

    @property
    def compares_layers(self) -> bool:
        """Whether layers compete for channels; lengths of weights of different layers do not compare."""
        return self.importance in ("taylor", "latency")

    def is_due(self, step: int, n_steps: int) -> bool:
        """Whether channels are removed after this step (counted from 1)."""
        first, last = self._first(n_steps), self.last_step(n_steps)
        return self.channels > 0 and (
            step == last or (first <= step < last and (step - first) % self.every == 0)
        )

    def _first(self, n_steps: int) -> int:
        return max(1, math.ceil(self.start_share * n_steps))

    def last_step(self, n_steps: int) -> int:
        """After which step the whole share is gone."""
        return max(self._first(n_steps), min(n_steps, math.ceil(self.end_share * n_steps)))

    def share_at(self, step: int, n_steps: int) -> float:
        """Share that is gone after a step: quickly at first, then ever more slowly."""
        first, last = self._first(n_steps), self.last_step(n_steps)
        if step >= last:
            return self.channels
        progress = (step - first + self.every) / (last - first + self.every)
        return removed_share(self.channels, progress)


def removed_share(share: float, progress: float) -> float:
    """The cubic schedule ``share * (1 - (1 - progress)^3)``.

    References
    ----------
    Zhu and Gupta, "To prune, or not to prune", arXiv 1710.01878.
    """
    return float(share * (1 - (1 - min(max(progress, 0.0), 1.0)) ** 3))


def choose_channels(
    groups: Sequence[ChannelGroup],
    scores: Mapping[str, Tensor],
    *,
    n_dense: Mapping[str, int],
    share: float,
    round_to: int,
    compares_layers: bool,
) -> dict[str, Tensor]:
    """Choose the channels to keep.

    Parameters
    ----------
    groups : sequence of ChannelGroup
        As they are now.
    scores : mapping of str to Tensor of shape (n_channels,)
        Importance by the name of the group.
    n_dense : mapping of str to int
        Channels before anything was removed.
    share : float
        Of the dense model's channels that are to be gone.
    round_to : int
        Widths become multiples of it, at least one multiple (or what the layer had, if that was less).
    compares_layers : bool
        The least important channels of all layers go, at most 80 % of a layer; otherwise every layer loses
        the same share.

    Returns
    -------
    dict of str to Tensor of shape (n_kept,), int64
        Positions in rising order, for groups that lose something.
    """
    widths = (
        _competing(groups, scores, n_dense, share, round_to)
        if compares_layers
        else _even(groups, n_dense, share, round_to)
    )
    kept = {}
    for group in groups:
        n_kept = widths[group.name]
        if n_kept < group.n_channels:
            order = torch.argsort(scores[group.name], descending=True, stable=True)
            kept[group.name] = order[:n_kept].sort().values.cpu()
    return kept


def _even(
    groups: Sequence[ChannelGroup], n_dense: Mapping[str, int], share: float, round_to: int
) -> dict[str, int]:
    """The same share of each layer; what rounding gives to one is taken from the next."""
    widths, debt = {}, 0.0
    for group in groups:
        wanted = n_dense[group.name] * (1 - share) - debt
        least = min(round_to, n_dense[group.name])
        width = max(least, math.floor(wanted / round_to + 0.5) * round_to)
        width = min(width, group.n_channels)
        debt += width - n_dense[group.name] * (1 - share)
        widths[group.name] = width
    return widths


def _competing(
    groups: Sequence[ChannelGroup], scores: Mapping[str, Tensor], n_dense: Mapping[str, int], share: float,
    round_to: int,
) -> dict[str, int]:  # fmt: skip
    """Remove the least important blocks of `round_to` channels, wherever they are."""
    widths = {group.name: group.n_channels for group in groups}
    n_to_go = share * sum(n_dense.values()) - sum(n_dense[name] - n for name, n in widths.items())
    blocks: list[tuple[float, int, int, str]] = []
    for place, group in enumerate(groups):
        dense = n_dense[group.name]
        least = max(min(round_to, dense), math.ceil((1 - _LARGEST_SHARE) * dense))
        rising = scores[group.name].sort().values.double()
        start, width = 0, group.n_channels
        highest = 0.0
        while True:
            size = width % round_to or round_to
            if width - size < least:
                break
            # A block of a layer cannot go before those below it, so its price is at least theirs.
            highest = max(highest, float(rising[start : start + size].mean()))
            blocks.append((highest, place, size, group.name))
            start, width = start + size, width - size
    for _, _, size, name in sorted(blocks, key=lambda block: block[:2]):
        if n_to_go < size / 2:
            break
        widths[name] -= size
        n_to_go -= size
    return widths
