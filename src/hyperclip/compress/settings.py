"""What decides how weights are zeroed; the same for every score."""

import dataclasses
from dataclasses import dataclass
from fnmatch import fnmatchcase

from hyperclip.compress.masks import GRANULARITIES, check_sparsity, parse_pattern
from hyperclip.compress.weight_layers import MAX_STEM_CHANNELS, WeightLayer
from hyperclip.errors import InputError

__all__ = ["DEFAULT_SPARSITY", "REPAIRS", "PruneConfig"]

DEFAULT_SPARSITY = 0.5
REPAIRS = ("moments", "mean", "none")


@dataclass(frozen=True, kw_only=True)
class PruneConfig:
    """How to zero weights; a subclass a score.

    Parameters
    ----------
    sparsity : float, in [0, 1), optional
        Share of the weights of every pruned layer to remove; 0.5 where no pattern is given either.
    pattern : str, optional
        ``N:M`` instead: N of every M consecutive inputs of an output are kept.
    granularity : {"output", "layer", "cumulative"}
        Where scores are compared with one another; a pattern always compares within its run. The last is
        the variant of Wanda whose outputs lose more or less; see `hyperclip.compress.masks.smallest_mask`.
    is_sequential : bool
        Whether later layers see the inputs that pruned ones before them give, as they will really get
        them; otherwise all layers see those of the dense model.
    repair : {"moments", "mean", "none"}
        Needs data but no labels. ``mean`` sets biases so that the mean of every output channel over the
        calibration data stays what it was. ``moments`` also scales the weights of every channel so that
        its standard deviation does; a network with BatchNorm gets as much where its statistics are
        estimated anew. Both reach layers that are not pruned, where one before them was.
    prunes_depthwise, prunes_stem : bool
        Depthwise convolutions and the first one hold few weights and lose much by them.
    keep : tuple of str
        Patterns such as ``blocks.0.*`` of names of layers to leave dense.

    Raises
    ------
    InputError
        If a value cannot be used.
    """

    sparsity: float | None = None
    pattern: str | None = None
    granularity: str = "output"
    is_sequential: bool = True
    repair: str = "moments"
    prunes_depthwise: bool = False
    prunes_stem: bool = False
    keep: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.sparsity is not None and self.pattern is not None:
            raise InputError(
                f"Both the sparsity {self.sparsity} and the pattern {self.pattern} are given; expected one "
                "of the two; leave the other out."
            )
        if self.sparsity is not None:
            check_sparsity(self.sparsity)
        if self.pattern is not None:
            parse_pattern(self.pattern)
        for name, value, choices in (
            ("granularity", self.granularity, GRANULARITIES),
            ("repair", self.repair, REPAIRS),
        ):
            if value not in choices:
                raise InputError(
                    f"{name} is {str(value)[:40]!r}; expected {' or '.join(choices)}; choose one of these."
                )

    @property
    def share(self) -> float:
        """The sparsity that is asked for, by number or by pattern."""
        if self.pattern is not None:
            pattern = parse_pattern(self.pattern)
            return 1 - pattern.n_kept / pattern.n_run
        return DEFAULT_SPARSITY if self.sparsity is None else self.sparsity

    def reason_to_keep(self, layer: WeightLayer, *, is_first: bool) -> str:
        """Return why a layer stays dense, or ""."""
        if layer.obstacle:
            return layer.obstacle
        if any(fnmatchcase(layer.name, glob) for glob in self.keep):
            return "kept as asked"
        if layer.kind == "depthwise Conv" and not self.prunes_depthwise:
            return "depthwise"
        if is_first and layer.kind == "Conv" and layer.shape[1] <= MAX_STEM_CHANNELS and not self.prunes_stem:
            return "first convolution"
        if self.pattern is not None:
            n_run = parse_pattern(self.pattern).n_run
            n_along = layer.shape[0] if layer.transposed else layer.shape[1]
            if n_along % n_run:
                return f"{n_along} inputs are no multiple of {n_run}"
        return ""

    def to_values(self) -> dict[str, object]:
        """Return all settings as JSON can hold them."""
        values = dataclasses.asdict(self)
        return {**values, "keep": list(self.keep), "sparsity": None if self.pattern else self.share}
