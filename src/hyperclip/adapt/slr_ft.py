"""SLR-AVD, then head and channels of the encoder trained a little, then both interpolated (SLR-FT).

Loads PyTorch when it runs, not when it is imported. scikit-learn.

Legend: N pictures, S shares, C classes.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hyperclip.adapt.adapted import Adapted, apply_head
from hyperclip.adapt.folds import assign_folds, best_temperatures
from hyperclip.adapt.gain import paired_gain
from hyperclip.adapt.pictures import EmbeddedPictures
from hyperclip.adapt.shots import Floats, Indices
from hyperclip.adapt.slr_avd import SLRAVD
from hyperclip.adapt.text_features import TextFeatures
from hyperclip.adapt.wise import check_shares
from hyperclip.errors import InputError, MissingExtraError
from hyperclip.runtime.adaptation import Gain
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.head_part import HeadPart
from hyperclip.runtime.replace_numbers import replace_numbers

if TYPE_CHECKING:
    from hyperclip.adapt.tuned_numbers import TunedNumbers

__all__ = ["NAME", "SLRFTConfig", "fine_tune", "trainer"]

NAME = "slr_ft"
SHARES = (0.25, 0.5, 0.75, 1.0)
DEFAULT_SHARE = 0.5  # where no picture can be held out
MAX_PARTS = 4
BATCH_SIZE = 8

OnSteps = Callable[[int, int], None]
"""Called with steps of training done, and in all."""


@dataclass(frozen=True, kw_only=True)
class SLRFTConfig:
    """How SLR-FT trains and mixes.

    Parameters
    ----------
    shares : tuple of float
        Of the trained numbers against those before, in [0, 1], beside 0; held-out pictures choose.
    n_epochs : int
        How often each picture is seen, within `min_steps` and `max_steps` steps of 8 pictures.
    min_steps, max_steps : int
        Of one training.
    channel_rate : float
        How far one step moves a scale, and a shift in standard deviations of its channel.
    head_rate : float
        How far one step moves a logit by the head alone, in temperatures.
    seed : int
        Of the order of pictures, and how they are moved and mirrored.

    Raises
    ------
    InputError
        If a value cannot be used.
    """

    shares: tuple[float, ...] = SHARES
    n_epochs: int = 8
    min_steps: int = 30
    max_steps: int = 80
    channel_rate: float = 1e-2
    head_rate: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        check_shares(self.shares)
        if min(self.n_epochs, self.min_steps, self.max_steps - self.min_steps + 1) < 1:
            raise InputError(
                f"n_epochs, min_steps and max_steps are {self.n_epochs}, {self.min_steps} and "
                f"{self.max_steps}; expected at least 1 each, the last no less than the second; try 8, 30 "
                "and 80."
            )
        if not (0 < self.channel_rate < np.inf and 0 < self.head_rate < np.inf):
            raise InputError(
                f"The learning rates are {self.channel_rate} and {self.head_rate}; expected positive "
                "numbers; try 0.01 and 0.15."
            )
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}; expected 0 or a positive whole number; try 0.")

    def n_steps(self, n_images: int) -> int:
        """Return how many steps so many pictures are trained for."""
        wanted = self.n_epochs * -(-n_images // BATCH_SIZE)
        return min(self.max_steps, max(self.min_steps, wanted))


def trainer() -> ModuleType:
    """Return the module that trains; raises `MissingExtraError` where PyTorch is not installed."""
    try:
        from hyperclip.adapt import fine_tune as module
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "torch_pruning", "timm"):
            raise
        raise MissingExtraError(
            f"The method {NAME} trains and needs {error.name}, which is not installed; expected the extra "
            "`train`; run `pip install 'hyperclip[train]'`, or choose another method."
        ) from error
    return module


@dataclass(frozen=True)
class _Answers:
    """What held-out pictures were told at each share, 0 first: logits (S, N, C) and which they are."""

    logits: Floats
    rows: Indices
    part: Indices


class _Trainings:
    """Fits the sparse head and trains from it, on all pictures or some; counts the steps of all."""

    def __init__(
        self,
        classifier: Classifier,
        features: str,
        config: SLRFTConfig,
        texts: TextFeatures | None,
        on_steps: OnSteps | None,
    ) -> None:
        self.classifier, self.features, self.config = classifier, features, config
        self.texts, self.on_steps = texts, on_steps
        self.prior = HeadPart(classifier)
        self.n_done = self.n_total = 0
        self._module = trainer()

    def sparse(
        self, pictures: EmbeddedPictures, control: Callable[[int], TextFeatures] | None = None
    ) -> tuple[SLRAVD, Classifier]:
        """Return the head of `slr_avd` for these pictures, and the classifier that has it."""
        fitted = SLRAVD(prior=self.prior, features=self.features, texts=self.texts, control=control)
        fitted.fit(pictures.embeddings, np.array(self.prior.class_names)[pictures.target])
        return fitted, apply_head(self.classifier, fitted, pictures, gain=None)

    def temperature(self, before: Classifier) -> float:
        """Return what the sparse head's logits are divided by; that of names where none was fitted."""
        return before.metadata.temperature or self.prior.temperature

    def train(self, before: Classifier, pictures: EmbeddedPictures) -> "TunedNumbers | None":
        """Train from the sparse head on."""
        assert pictures.pixels is not None
        counts = np.bincount(pictures.target, minlength=len(self.prior.class_names))
        lesson = self._module.Lesson(
            pixels=pictures.pixels,
            target=pictures.target,
            weights=(len(pictures.target) / (len(counts) * counts))[pictures.target],
            temperature=self.temperature(before),
        )
        rates = self._module.Rates(channels=self.config.channel_rate, head=self.config.head_rate)
        numbers: TunedNumbers | None = self._module.train(
            before,
            lesson,
            rates,
            n_steps=self.config.n_steps(len(pictures.target)),
            seed=self.config.seed,
            on_step=self._count,
        )
        return numbers

    def _count(self) -> None:
        self.n_done += 1
        if self.on_steps is not None:
            self.on_steps(self.n_done, self.n_total)

    def hold_out(self, pictures: EmbeddedPictures) -> _Answers | None:
        """Train without each part of the pictures and ask about it; None if a loss does not stay finite.

        As many parts as `max_steps` steps are enough for, at least one; no rows where there is none.
        """
        part_N = assign_folds(pictures.embeddings.astype(np.float64), pictures.target, n_folds=MAX_PARTS)
        found: list[tuple[Floats, Indices]] = []
        n_steps = [
            self.config.n_steps(int((part_N != part).sum())) for part in np.unique(part_N[part_N >= 0])
        ]
        n_asked = max(1, int((np.cumsum(n_steps) <= self.config.max_steps).sum()))
        self.n_total = sum(n_steps[:n_asked]) + self.config.n_steps(len(part_N))
        for part in np.unique(part_N[part_N >= 0])[:n_asked]:
            asked_N = np.flatnonzero(part_N == part)
            known = pictures.take(np.flatnonzero(part_N != part))
            _, before = self.sparse(known)
            numbers = self.train(before, known)
            if numbers is None:
                return None
            found.append((self._ask(before, numbers, pictures.take(asked_N)), asked_N))
        if not found:
            shape = (len(self.config.shares) + 1, 0, len(self.prior.class_names))
            return _Answers(np.zeros(shape), np.zeros(0, np.int64), np.zeros(0, np.int64))
        rows_N = np.concatenate([asked_N for _, asked_N in found])
        # One part alone is halved: the share that answers for a half is chosen on the other.
        order_N = part_N[rows_N] if len(found) > 1 else np.arange(len(rows_N)) % 2
        return _Answers(np.concatenate([logits for logits, _ in found], axis=1), rows_N, order_N)

    def _ask(self, before: Classifier, numbers: "TunedNumbers", asked: EmbeddedPictures) -> Floats:
        """Return the logits of pictures at each share, divided by the sparse head's temperature."""
        assert asked.pixels is not None
        adaptation = before.metadata.adaptation
        assert adaptation is not None
        answers = [self.logits(before, asked.pixels)]
        for share in self.config.shares:
            mixed = replace_numbers(before, numbers.constants(share), adaptation=adaptation, temperature=None)
            answers.append(self.logits(mixed, asked.pixels))
        return np.stack(answers) / self.temperature(before)

    @staticmethod
    def logits(classifier: Classifier, pixels: npt.NDArray[np.uint8]) -> Floats:
        """Return the logits of a classifier, in batches."""
        parts = [classifier.run_pixels(pixels[i : i + 16])[0] for i in range(0, len(pixels), 16)]
        return np.concatenate(parts).astype(np.float64)


def fine_tune(
    classifier: Classifier,
    pictures: EmbeddedPictures,
    *,
    features: str,
    texts: TextFeatures | None = None,
    control: Callable[[int], TextFeatures] | None = None,
    config: SLRFTConfig | None = None,
    on_steps: OnSteps | None = None,
) -> Adapted:
    """Return a classifier whose head and channels were trained on a few pictures, mixed with those before.

    It starts from the head of `slr_avd`. The share of the trained numbers is chosen on pictures held out
    of the training: up to four parts in turn, as many as time allows; by log loss at the best
    temperature, 0 included. Where no class has two pictures it is a half.

    Parameters
    ----------
    classifier : Classifier
        Not changed.
    pictures : EmbeddedPictures
        With pixels, embedded by the same classifier.
    features : {"raw", "unit", "centered_unit"}
        What the sparse head reads of an embedding.
    texts, control : TextFeatures, optional
        Of `slr_avd`.
    config : SLRFTConfig, optional
    on_steps : callable, optional

    Returns
    -------
    Adapted
        The same operators and sizes as with the head of `slr_avd`. If training does not help on pictures
        held out, or does not stay finite, it is the classifier with that very head, and the note says so.

    Raises
    ------
    InputError
        If the pictures come without pixels or the encoder cannot be trained.
    MissingExtraError
        If PyTorch is not installed.

    References
    ----------
    Z. Feng, A. Bair, J. Z. Kolter, "Text descriptions are compressive and invariant representations for
    visual learning", arXiv 2307.04317, trains all weights; we train the head and one scale and shift a
    channel. M. Wortsman and others, arXiv 2109.01903: the interpolation.
    """
    if pictures.pixels is None:
        raise InputError(
            f"The pictures come without pixels; expected them for {NAME}, which trains the encoder; embed "
            "them with keep_pixels=True."
        )
    config = SLRFTConfig() if config is None else config
    trainings = _Trainings(classifier, features, config, texts, on_steps)
    sparse, before = trainings.sparse(pictures, control)
    found = trainings.hold_out(pictures)
    if found is None:
        return _untouched(before, sparse, trainings, pictures, "The loss did not stay finite")
    share, factor, gain = _choose(found, trainings, pictures)
    if share == 0:
        why = f"Training made {len(found.rows)} pictures that it did not see no more certain"
        return _untouched(before, sparse, trainings, pictures, why)
    numbers = trainings.train(before, pictures)
    if numbers is None:
        return _untouched(before, sparse, trainings, pictures, "The loss did not stay finite")
    adaptation = before.metadata.adaptation
    assert adaptation is not None
    temperature = before.metadata.temperature
    tuned = replace_numbers(
        before,
        numbers.constants(share),
        adaptation=dataclasses.replace(
            adaptation,
            method=NAME,
            parameters=(("trained_share", share), *((f"sparse_{k}", v) for k, v in adaptation.parameters)),
            gain=gain,
            reasons=None,  # the trained head is no longer a sum over few texts
        ),
        temperature=None if temperature is None else factor * temperature,
    )
    return Adapted(classifier=tuned, adapter=sparse, gain=gain)


def _choose(
    found: _Answers, trainings: _Trainings, pictures: EmbeddedPictures
) -> tuple[float, float, Gain | None]:
    """Return the share, what it multiplies the temperature by, and what was gained over names alone."""
    shares = (0.0, *trainings.config.shares)
    if not len(found.rows):
        return min(shares[1:], key=lambda share: abs(share - DEFAULT_SHARE)), 1.0, None
    target_N = pictures.target[found.rows]
    temperature_S, losses_SN = best_temperatures(found.logits, target_N)
    best = int(losses_SN.mean(axis=1).argmin())
    is_right_N = np.zeros(len(target_N), np.bool_)
    for part in np.unique(found.part):  # what answers for a part is chosen on the others
        is_asked_N = found.part == part
        others = losses_SN[:, ~is_asked_N] if not is_asked_N.all() else losses_SN
        chosen = int(others.mean(axis=1).argmin())
        is_right_N[is_asked_N] = found.logits[chosen, is_asked_N].argmax(axis=1) == target_N[is_asked_N]
    names_alone = trainings.prior.logits(pictures.embeddings[found.rows]).argmax(axis=1) == target_N
    return shares[best], float(temperature_S[best]), paired_gain(names_alone, is_right_N)


def _untouched(
    before: Classifier, sparse: SLRAVD, trainings: _Trainings, pictures: EmbeddedPictures, why: str
) -> Adapted:
    """Return the classifier with the sparse head, and say that it was not trained further."""
    adaptation, held_out = before.metadata.adaptation, sparse.held_out_
    assert adaptation is not None
    gain = None
    if held_out is not None:
        names_alone = trainings.prior.logits(pictures.embeddings[held_out.rows]).argmax(axis=1)
        gain = paired_gain(names_alone == held_out.target, held_out.correct[0])
    classifier = replace_numbers(
        before,
        {},
        adaptation=dataclasses.replace(
            adaptation, method=NAME, parameters=(("trained_share", 0.0), *adaptation.parameters), gain=gain
        ),
        temperature=before.metadata.temperature,
    )
    note = f"{why}: the head of slr_avd is given back as it was."
    return Adapted(classifier=classifier, adapter=sparse, gain=gain, note=note)
