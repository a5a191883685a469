"""Class embeddings in, changes of the encoder's scales, shifts and weights out.

The names of a task are a set: their order and their repetitions change nothing. What is common to
all names is subtracted first, because the mean of raw text embeddings hardly varies between tasks
and a hypernetwork that sees one input learns a constant. For the same reason each name passes
through odd functions (no biases at the start, tanh), which add no constant, and what is pooled is
brought back to unit size before it is mixed.

The last layer mixes Z learnt sets of changes by a code g of Z values: ``sum_z g_z D_z``. The code is a
point of a sphere, or says how a softmax routes the task over Z experts. Both are learnt, and may learn to be
the same for every task. The third kind of code is not learnt: the main directions in which the names' mean
differs from task to task. It varies by construction, and is near zero for a list of everything.

Legend: R contexts, C class embeddings in a context, E text dim, P generated parameters, Z code.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperclip.errors import InputError

__all__ = ["Hypernetwork", "HypernetworkConfig", "TokenContext", "unique_weights"]

_FAINT = 0.05  # pooled features much smaller than this stay small: they are the noise of a mean
_NEIGHBORS = 10  # names in the lists whose differences a whitened code tells
_SAME = 1 - 1e-5  # cosine above which two unit rows count as one name


@dataclass(frozen=True, kw_only=True)
class HypernetworkConfig:
    """Size and limits of a hypernetwork."""

    kind: str = "text"
    """`text` reads the class embeddings; `token` reads learnt tokens instead (the capacity control)."""
    text_dim: int = 256
    hidden_dim: int = 128
    bottleneck_dim: int = 32
    n_heads: int = 4
    bound: float = 0.5
    """Largest relative change of a scale, and added change of a shift."""
    weight_bound: float = 1.0
    """Largest added change of a weight, in units of its layer's deviation at the start."""
    code: str = "sphere"
    """The bottleneck: `sphere` (constant length), `softmax` (routing over experts; even is neutral) or
    `whitened` (main directions of the names' mean over lists of neighbors, not learnt)."""
    n_tokens: int = 32
    """Learnt tokens of the `token` kind."""

    def __post_init__(self) -> None:
        if self.kind not in ("text", "token"):
            raise InputError(f"Hypernetwork kind is {self.kind!r}; expected 'text' or 'token'; choose one.")
        if min(self.text_dim, self.hidden_dim, self.bottleneck_dim, self.n_tokens) < 1:
            raise InputError("A size of the hypernetwork is below 1; expected positive sizes; raise it.")
        if self.hidden_dim % self.n_heads:
            raise InputError(
                f"hidden_dim is {self.hidden_dim}; expected a multiple of n_heads = {self.n_heads}; "
                "change one of them."
            )
        if not 0 < self.bound <= 1:
            raise InputError(f"bound is {self.bound}; expected a number in (0, 1]; try 0.5.")
        if not 0 < self.weight_bound <= 10:
            raise InputError(f"weight_bound is {self.weight_bound}; expected a number in (0, 10]; try 1.")
        if self.code not in ("sphere", "softmax", "whitened"):
            raise InputError(
                f"code is {self.code!r}; expected 'sphere', 'softmax' or 'whitened'; choose one."
            )
        if self.code == "whitened" and self.bottleneck_dim > self.text_dim:
            raise InputError(
                f"bottleneck_dim is {self.bottleneck_dim}; expected at most text_dim = {self.text_dim} for a "
                "whitened code; lower it."
            )
        if self.code == "softmax" and self.bottleneck_dim < 2:
            raise InputError(
                f"bottleneck_dim is {self.bottleneck_dim}; expected at least 2 experts for a softmax code; "
                "raise it."
            )


def unique_weights(class_emb_RCE: Tensor, mask_RC: Tensor) -> Tensor:
    """Weight each row by one over the number of rows that equal it, so that repetitions count once.

    Parameters
    ----------
    class_emb_RCE : Tensor of shape (R, C, E), unit length
    mask_RC : Tensor of shape (R, C), bool
        True where there is a class.

    Returns
    -------
    Tensor of shape (R, C)
        Zero where the mask is; each row sums to the number of different classes.
    """
    is_equal = (class_emb_RCE @ class_emb_RCE.transpose(1, 2) > _SAME) & mask_RC[:, None, :]
    count = is_equal.sum(dim=2).clamp(min=1).to(class_emb_RCE.dtype)
    return mask_RC.to(class_emb_RCE.dtype) / count


class Hypernetwork(nn.Module):
    """A set of class embeddings to P changes, zero at the start of training.

    Pooling keeps the mean, the spread and what learnt queries attend to, and the logarithm of the
    number of different names. A bottleneck of constant length feeds the last layer, which starts at
    zero: the first step of training is the plain model.

    Parameters
    ----------
    config : HypernetworkConfig
    n_generated : int
        P.
    n_weights : int
        How many of them, the last, are weights and not scales or shifts.

    References
    ----------
    Akinwande et al., "HyperCLIP", arXiv 2412.16777. Pooling, bounds and the residual form are ours.
    """

    center: Tensor
    whitening: Tensor

    def __init__(self, config: HypernetworkConfig, n_generated: int, n_weights: int = 0) -> None:
        super().__init__()
        self.config = config
        self.n_weights = n_weights
        hidden, heads = config.hidden_dim, config.n_heads
        self.register_buffer("center", torch.zeros(config.text_dim))
        self.out = nn.Linear(config.bottleneck_dim, n_generated, bias=False)
        nn.init.zeros_(self.out.weight)
        if config.code == "whitened":
            self.register_buffer("whitening", torch.eye(config.text_dim, config.bottleneck_dim))
            return
        self.embed = nn.Sequential(
            nn.Linear(config.text_dim, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh()
        )
        self.query = nn.Linear(hidden, heads)
        self.mix = nn.Sequential(nn.Linear(3 * hidden + 1, hidden), nn.GELU())
        self.bottleneck = nn.Linear(hidden, config.bottleneck_dim)
        # Each layer gives values of about unit size: its input is a unit vector (1), the tanh of such
        # values (0.63 each), or unit values of which about two thirds vary.
        for layer, gain in ((self.embed[0], 1.0), (self.embed[2], 1.6 / math.sqrt(hidden)),
                            (self.query, 1.6 / math.sqrt(hidden)), (self.mix[0], 1 / math.sqrt(2 * hidden)),
                            (self.bottleneck, 1 / math.sqrt(hidden))):  # fmt: skip
            assert isinstance(layer, nn.Linear)
            nn.init.normal_(layer.weight, std=gain)
            nn.init.zeros_(layer.bias)

    def forward(self, class_emb_RCE: Tensor, mask_RC: Tensor | None = None) -> Tensor:
        """Generate one row of changes a context.

        Parameters
        ----------
        class_emb_RCE : Tensor of shape (R, C, E), unit length
        mask_RC : Tensor of shape (R, C), bool, optional
            False where a context has fewer than C classes.

        Returns
        -------
        Tensor of shape (R, P), float32, in [-bound, bound]; weights in [-weight_bound, weight_bound]
        """
        with _full_precision(class_emb_RCE.device.type):
            out_RP: Tensor = self.out(self.context_code(class_emb_RCE, mask_RC))
            if not self.n_weights:
                return _bounded(out_RP, self.config.bound)
            sizes = [out_RP.shape[1] - self.n_weights, self.n_weights]
            norms, weights = torch.split(out_RP, sizes, dim=1)
            return torch.cat(
                [_bounded(norms, self.config.bound), _bounded(weights, self.config.weight_bound)], dim=1
            )

    def context_code(self, class_emb_RCE: Tensor, mask_RC: Tensor | None = None) -> Tensor:
        """The bottleneck: what the hypernetwork knows of a task, shape (R, Z).

        Its values are of about unit size. On a sphere its length is sqrt(Z). With a softmax p it is
        ``Z p - 1``, which sums to zero and is zero where the task belongs to all experts alike. Whitened,
        each value has unit size over lists of neighbors, and the length is at most 1.5 sqrt(Z).
        """
        emb = functional.normalize(class_emb_RCE.float(), dim=-1)
        if mask_RC is None:
            mask_RC = torch.ones(emb.shape[:2], dtype=torch.bool, device=emb.device)
        weight = unique_weights(emb, mask_RC)
        count_R1 = weight.sum(dim=1, keepdim=True).clamp(min=1e-6)
        share_RC1 = (weight / count_R1)[:, :, None]
        if self.config.code == "whitened":
            return self._whitened((share_RC1 * emb).sum(dim=1))
        u_RCH = self.embed(functional.normalize(emb - self.center, dim=-1))
        mean = (share_RC1 * u_RCH).sum(dim=1)
        spread = ((share_RC1 * (u_RCH - mean[:, None]) ** 2).sum(dim=1) + 1e-6).sqrt()
        score = self.query(u_RCH) + (weight + 1e-30).log()[:, :, None]
        attention = score.softmax(dim=1)  # (R, C, heads)
        values = u_RCH.unflatten(-1, (self.config.n_heads, -1))
        attended = (attention[..., None] * values).sum(dim=1).flatten(1)
        size = count_R1.log() / math.log(1000.0)
        pooled = torch.cat([_to_unit_size(mean), spread, _to_unit_size(attended), size], dim=-1)
        z: Tensor = self.bottleneck(self.mix(pooled))
        if self.config.code == "softmax":
            return self.config.bottleneck_dim * z.softmax(dim=-1) - 1
        return functional.normalize(z, dim=-1) * math.sqrt(self.config.bottleneck_dim)

    @torch.no_grad()
    def look_at(self, vocabulary_emb_nE: Tensor) -> None:
        """Learn from a vocabulary what all names have in common, and how lists of neighbors differ.

        Parameters
        ----------
        vocabulary_emb_nE : Tensor of shape (n, E)
        """
        self.center.copy_(vocabulary_emb_nE.mean(dim=0))
        if self.config.code == "whitened":
            emb = functional.normalize(vocabulary_emb_nE.float(), dim=-1)
            nearest = (emb @ emb.T).topk(min(_NEIGHBORS, len(emb)), dim=1).indices
            means = emb[nearest].mean(dim=1) - self.center
            _, size, directions = torch.linalg.svd(means, full_matrices=True)
            n_kept = self.config.bottleneck_dim
            deviation = functional.pad(size, (0, len(directions) - len(size)))[:n_kept] / math.sqrt(len(emb))
            self.whitening.copy_((directions[:n_kept] / deviation.clamp(min=1e-3)[:, None]).T)

    def _whitened(self, mean_RE: Tensor) -> Tensor:
        code: Tensor = (mean_RE - self.center) @ self.whitening
        limit = 1.5 * math.sqrt(self.config.bottleneck_dim)
        limited: Tensor = code * (limit / code.norm(dim=-1, keepdim=True).clamp(min=limit))
        return limited


class TokenContext(Hypernetwork):
    """The control: learnt tokens take the place of the class embeddings, so every task gets the same.

    Same parameters, same speed of learning, no text. Whatever it gains over a plain encoder is
    capacity or optimization, not conditioning.
    """

    def __init__(self, config: HypernetworkConfig, n_generated: int, n_weights: int = 0) -> None:
        super().__init__(config, n_generated, n_weights)
        self.tokens = nn.Parameter(torch.randn(config.n_tokens, config.text_dim))

    def context_code(self, class_emb_RCE: Tensor, mask_RC: Tensor | None = None) -> Tensor:
        """The same code for every context, shape (R, bottleneck_dim)."""
        tokens = functional.normalize(self.tokens, dim=-1)[None]
        if self.config.code == "whitened":  # tokens say little more than the center: bring them to usual size
            code = (tokens.mean(dim=1) - self.center) @ self.whitening
            code = functional.normalize(code, dim=-1) * math.sqrt(self.config.bottleneck_dim)
            return code.expand(len(class_emb_RCE), -1)
        return super().context_code(tokens).expand(len(class_emb_RCE), -1)


def _bounded(change: Tensor, bound: float) -> Tensor:
    """About the same where it is small, never beyond the bound."""
    return bound * torch.tanh(change / bound)


def _to_unit_size(features_RH: Tensor) -> Tensor:
    """Divide each row by its root mean square, unless it is faint."""
    return features_RH / (features_RH.square().mean(dim=-1, keepdim=True) + _FAINT**2).sqrt()


def _full_precision(device_type: str) -> AbstractContextManager[object]:
    """Half precision would merge similar names and round the changes, layer after layer."""
    if torch.is_autocast_enabled(device_type):
        return torch.autocast(device_type, enabled=False)
    return nullcontext()
