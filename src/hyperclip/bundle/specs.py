"""How pictures, names and logits are treated: the three parts of ``model.json`` that describe it."""

from dataclasses import dataclass

from hyperclip.bundle.strict import (
    as_tuple,
    check_choice,
    check_integer,
    check_number,
    check_text,
    check_tuple,
    quote,
    take_fields,
)
from hyperclip.errors import BundleError

__all__ = ["HEAD_KINDS", "MAX_PROPORTION", "MIXTURE_FLOOR", "HeadSpec", "ImageSpec", "TextSpec"]

MIXTURE_FLOOR = 1e-12  # added before the logarithm of a mixture, so that no logit is -inf
MAX_PROPORTION = 8  # longer side to shorter, beyond which `shortest` first cuts off both ends
RESIZES = ("crop", "squash", "shortest", "shortest_floor")
HEAD_KINDS = ("linear", "log_mixture", "mixture_plus_linear")


@dataclass(frozen=True, kw_only=True)
class ImageSpec:
    """How a picture becomes the encoder's input.

    Parameters
    ----------
    size_px : int
        Side S of the square that the encoder sees, in pixels.
    resize : {"crop", "squash", "shortest", "shortest_floor"}
        `crop` cuts out the centered square first, `squash` changes the aspect ratio, `shortest` resizes
        the shorter side to `resize_px` first and cuts out the centered square then, as most CLIPs do:
        from half of what is left over, halves rounded to even (torchvision) or down (`shortest_floor`:
        transformers).
    crop_ratio : float
        Share of the shorter side that the cut square has, in (0, 1]; unused by `squash`.
    interpolation : {"bicubic", "bilinear"}
        Antialiased, as in Pillow.
    mean, std : tuple of 3 floats
        RGB normalization, in units of [0, 1].
    sizes_px : tuple of int
        All sides that the encoder was made for; `size_px` is one of them. Empty means only `size_px`.
    """

    size_px: int
    resize: str
    crop_ratio: float
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    sizes_px: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        where = "model.json: images"
        check_integer(self.size_px, where=f"{where}.size_px", low=8, high=2048)
        check_choice(self.resize, where=f"{where}.resize", choices=RESIZES)
        check_number(self.crop_ratio, where=f"{where}.crop_ratio", low=0.05, high=1.0)
        check_choice(self.interpolation, where=f"{where}.interpolation", choices=("bicubic", "bilinear"))
        for name, values, low in (("mean", self.mean, -10.0), ("std", self.std, 1e-4)):
            check_tuple(values, where=f"{where}.{name}", n_min=3, n_max=3)
            for value in values:
                check_number(value, where=f"{where}.{name}", low=low, high=10.0)
        if self.sizes_px == ():
            object.__setattr__(self, "sizes_px", (self.size_px,))
        check_tuple(self.sizes_px, where=f"{where}.sizes_px", n_min=1, n_max=64)
        for size_px in self.sizes_px:
            check_integer(size_px, where=f"{where}.sizes_px", low=8, high=2048)
        if self.size_px not in self.sizes_px:
            raise BundleError(
                f"{where}.size_px is {self.size_px}; expected one of sizes_px {list(self.sizes_px)}; "
                "add it to sizes_px."
            )

    @property
    def is_resized_first(self) -> bool:
        """Whether the whole picture is resized before the square is cut out."""
        return self.resize in ("shortest", "shortest_floor")

    @property
    def resize_px(self) -> int:
        """What the shorter side is resized to: `size_px` / `crop_ratio`, rounded, at least `size_px`."""
        return max(self.size_px, int(self.size_px / self.crop_ratio + 0.5))

    @classmethod
    def from_json(cls, value: object, where: str = "model.json: images") -> "ImageSpec":
        """Return the spec that a parsed JSON object describes, or raise `BundleError`."""
        as_tuples = {"mean": as_tuple, "std": as_tuple, "sizes_px": as_tuple}
        return cls(**take_fields(cls, value, where=where, convert=as_tuples))


@dataclass(frozen=True, kw_only=True)
class TextSpec:
    """How a class name becomes tokens.

    Parameters
    ----------
    templates : tuple of str
        Default templates; each holds ``{}`` exactly once.
    context_length : int
        Most tokens in a text, special ones included.
    lowercase : bool
        Whether texts are lowercased before they are split.
    pad_token, unknown_token : str
        Tokens of the vocabulary; `unknown_token` may be one that a byte-level vocabulary never gives.
    start_token, end_token : str or None
        Tokens that the tokenizer file puts around a text, or None.
    padding : {"longest", "context"}
        How far texts are padded: to the longest of them, or always to `context_length`, for text
        encoders that also read the padding.
    """

    templates: tuple[str, ...]
    context_length: int
    lowercase: bool
    pad_token: str
    unknown_token: str
    start_token: str | None
    end_token: str | None
    padding: str = "longest"

    def __post_init__(self) -> None:
        where = "model.json: text"
        check_tuple(self.templates, where=f"{where}.templates", n_min=1, n_max=1000)
        for template in self.templates:
            check_text(template, where=f"{where}.templates", max_chars=1000)
            if template.count("{}") != 1:
                raise BundleError(
                    f"{where}.templates holds {quote(template)}; expected '{{}}' once in each; "
                    "put it where the name goes."
                )
        check_integer(self.context_length, where=f"{where}.context_length", low=2, high=4096)
        if not isinstance(self.lowercase, bool):
            raise BundleError(
                f"{where}.lowercase is {quote(self.lowercase)}; expected true or false; write one of them."
            )
        for name in ("pad_token", "unknown_token", "start_token", "end_token"):
            token = getattr(self, name)
            if token is not None or name in ("pad_token", "unknown_token"):
                check_text(token, where=f"{where}.{name}", max_chars=100)
        check_choice(self.padding, where=f"{where}.padding", choices=("longest", "context"))

    @classmethod
    def from_json(cls, value: object, where: str = "model.json: text") -> "TextSpec":
        """Return the spec that a parsed JSON object describes, or raise `BundleError`."""
        fields = take_fields(cls, value, where=where, convert={"templates": as_tuple}, optional=("padding",))
        return cls(**fields)


@dataclass(frozen=True, kw_only=True)
class HeadSpec:
    """How an embedding becomes logits and probabilities.

    Parameters
    ----------
    kind : {"linear", "log_mixture", "mixture_plus_linear"}
        `linear`: ``embedding @ head.T + bias``; `log_mixture`:
        ``log(softmax(embedding) @ head.T + MIXTURE_FLOOR) + bias``; `mixture_plus_linear`: the sum of
        both, with the mixture's head in the first D columns and the linear one in the next D.
    dim : int
        D, width of the embedding.
    text_dim : int
        Width of a class embedding.
    logit_scale, logit_bias : float
        What the specializer has already put into head and bias; for information.
    activation : {"softmax", "sigmoid"}
        What turns logits into probabilities.
    temperature : float or None
        Logits are divided by it before the activation; None where it was never fitted (then 1).
    """

    kind: str
    dim: int
    text_dim: int
    logit_scale: float
    logit_bias: float
    activation: str
    temperature: float | None

    def __post_init__(self) -> None:
        where = "model.json: head"
        check_choice(self.kind, where=f"{where}.kind", choices=HEAD_KINDS)
        check_integer(self.dim, where=f"{where}.dim", low=1, high=65536)
        check_integer(self.text_dim, where=f"{where}.text_dim", low=1, high=65536)
        check_number(self.logit_scale, where=f"{where}.logit_scale", low=1e-6, high=1e6)
        check_number(self.logit_bias, where=f"{where}.logit_bias", low=-1e6, high=1e6)
        check_choice(self.activation, where=f"{where}.activation", choices=("softmax", "sigmoid"))
        if self.temperature is not None:
            check_number(self.temperature, where=f"{where}.temperature", low=1e-4, high=1e4)

    @property
    def width(self) -> int:
        """Numbers in a class's row of the head."""
        return 2 * self.dim if self.kind == "mixture_plus_linear" else self.dim

    @classmethod
    def from_json(cls, value: object, where: str = "model.json: head") -> "HeadSpec":
        """Return the spec that a parsed JSON object describes, or raise `BundleError`."""
        return cls(**take_fields(cls, value, where=where))
