"""Small convolutional image encoders of our own, for pictures of 64 to 96 px.

For devices of the microcontroller class, and for studying what conditioning gives where the encoder
is the bottleneck. Networks made for 224 px shrink a picture by 32 and leave two by two values of
one of 64 px; these shrink it by 16, spend most multiplications on maps of a quarter to an eighth of
the side, and have nothing but what every device runs well: 3 x 3 and 1 x 1 convolutions, BatchNorm,
ReLU6, additions.

Legend: B images in a batch, F channels, H W pixels, D embedding dim.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from hyperclip.errors import InputError

__all__ = ["COMPACT_ENCODERS", "CompactEncoder", "CompactSize", "StageSize"]


@dataclass(frozen=True, kw_only=True)
class StageSize:
    """Blocks of one width; the first of them may change width and halve the sides."""

    width: int
    n_blocks: int = 1
    stride: int = 1
    expansion: int = 3
    """Channels inside a block for each channel of its input; 1 leaves the widening convolution out."""


@dataclass(frozen=True, kw_only=True)
class CompactSize:
    """Widths of one encoder from the picture to the embedding."""

    stem: int
    stages: tuple[StageSize, ...]
    last: int
    """Channels that are averaged over the picture and projected to the embedding."""


COMPACT_ENCODERS = {
    "compact_20k": CompactSize(
        stem=12,
        stages=(
            StageSize(width=16, stride=2, expansion=1),
            StageSize(width=16, expansion=2),
            StageSize(width=24, stride=2, n_blocks=2),
            StageSize(width=40, stride=2, expansion=2),
        ),
        last=64,
    ),
    "compact_60k": CompactSize(
        stem=16,
        stages=(
            StageSize(width=24, stride=2, expansion=1),
            StageSize(width=24, expansion=2),
            StageSize(width=40, stride=2, n_blocks=3),
            StageSize(width=64, stride=2, expansion=2),
        ),
        last=128,
    ),
    "compact_150k": CompactSize(
        stem=16,
        stages=(
            StageSize(width=24, stride=2, expansion=1),
            StageSize(width=32, n_blocks=2),
            StageSize(width=56, stride=2, n_blocks=3),
            StageSize(width=88, stride=2, n_blocks=2, expansion=2),
        ),
        last=192,
    ),
    # Narrow at the end, so that 1,000 concept logits fit: 137,000 parameters with them.
    "compact_concepts": CompactSize(
        stem=16,
        stages=(
            StageSize(width=24, stride=2, expansion=1),
            StageSize(width=32, n_blocks=2),
            StageSize(width=48, stride=2, n_blocks=3),
            StageSize(width=72, stride=2, expansion=2),
        ),
        last=64,
    ),
    "compact_500k": CompactSize(
        stem=24,
        stages=(
            StageSize(width=32, stride=2, expansion=1),
            StageSize(width=40, n_blocks=2),
            StageSize(width=72, stride=2, n_blocks=4, expansion=4),
            StageSize(width=136, stride=2, n_blocks=3),
        ),
        last=288,
    ),
}
"""By name; a number is about that of the parameters with an embedding of 64 to 128."""


class CompactEncoder(nn.Module):
    """Pictures to embeddings: a stem, stages of inverted residual blocks, an average, a projection.

    Parameters
    ----------
    name : str
        One of `COMPACT_ENCODERS`.
    embedding_dim : int
        D.

    Raises
    ------
    InputError
        If there is no such encoder.

    References
    ----------
    The block is that of Sandler et al., "MobileNetV2", arXiv 1801.04381; widths and strides are ours.
    """

    def __init__(self, name: str, *, embedding_dim: int) -> None:
        super().__init__()
        if name not in COMPACT_ENCODERS:
            raise InputError(
                f"There is no compact encoder {name!r}; expected one of {', '.join(COMPACT_ENCODERS)}; "
                "choose one of them."
            )
        size = COMPACT_ENCODERS[name]
        self.stem = _convolution(3, size.stem, kernel=3, stride=2)
        blocks: list[nn.Module] = []
        width = size.stem
        for stage in size.stages:
            for i in range(stage.n_blocks):
                blocks.append(_Block(width, stage, stride=stage.stride if i == 0 else 1))
                width = stage.width
        self.blocks = nn.Sequential(*blocks)
        self.last = _convolution(width, size.last, kernel=1)
        self.projection = nn.Linear(size.last, embedding_dim)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                module.weight.data.mul_(module.groups**0.5)  # fan_out of PyTorch counts all groups

    def forward(self, images_B3HW: Tensor) -> Tensor:
        """Embed normalized pictures (B, 3, H, W); sides that are multiples of 16 lose no pixels.

        Returns
        -------
        Tensor of shape (B, D)
        """
        maps_BFHW = self.last(self.blocks(self.stem(images_B3HW)))
        embedding: Tensor = self.projection(maps_BFHW.mean(dim=(2, 3)))
        return embedding


class _Block(nn.Module):
    """Widen (1 x 1), filter each channel (3 x 3), narrow (1 x 1); added to the input where sizes agree."""

    def __init__(self, width_in: int, stage: StageSize, *, stride: int) -> None:
        super().__init__()
        inner = width_in * stage.expansion
        layers = [] if stage.expansion == 1 else [_convolution(width_in, inner, kernel=1)]
        layers.append(_convolution(inner, inner, kernel=3, stride=stride, groups=inner))
        layers.append(_convolution(inner, stage.width, kernel=1, activated=False))
        self.layers = nn.Sequential(*layers)
        self.is_residual = stride == 1 and width_in == stage.width

    def forward(self, x_BFHW: Tensor) -> Tensor:
        out: Tensor = self.layers(x_BFHW)
        return x_BFHW + out if self.is_residual else out


def _convolution(
    width_in: int, width: int, *, kernel: int, stride: int = 1, groups: int = 1, activated: bool = True
) -> nn.Sequential:
    """A convolution without bias, BatchNorm and, where wanted, ReLU6."""
    layers = nn.Sequential()
    layers.add_module(
        "conv",
        nn.Conv2d(width_in, width, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False),
    )
    layers.add_module("norm", nn.BatchNorm2d(width))
    if activated:
        layers.add_module("act", nn.ReLU6(inplace=True))
    return layers
