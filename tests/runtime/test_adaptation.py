"""What a file says about its pictures comes back as it was, and nothing else is believed."""

import dataclasses
import json

import pytest

from hyperclip.errors import BundleError
from hyperclip.runtime.adaptation import Adaptation, Gain, Reasons, Words

GAIN = Gain(n=8, zero_shot=0.5, adapted=0.75, low=-0.1, high=0.5)
REASONS = Reasons(
    texts=("a cat", "whiskers"),
    classes=((0,), (0, 1)),
    kinds=("prompt", "description"),
    mean=(0.1, 0.2),
    std=(0.01, 0.02),
    coefficients=(((0, 1.5), (1, -0.5)), ()),
    words=Words(n=8, texts=0.75, random=(0.5, 0.75, 0.625)),
)
FULL = Adaptation(
    method="slr_avd",
    parameters=(("strength", 0.01), ("note", "text")),
    features="unit",
    zero_shot_scale=0.5,
    n_images=(3, 4),
    source="0" * 64,
    gain=GAIN,
    reasons=REASONS,
)


@pytest.mark.parametrize("value", [FULL, dataclasses.replace(FULL, gain=None, reasons=None)])
def test_it_survives_json(value: Adaptation) -> None:
    text = json.dumps(value.to_json())
    assert Adaptation.from_json(json.loads(text), "x") == value


def test_a_file_from_names_alone_has_none() -> None:
    assert Adaptation.from_json(None, "x") is None


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (("method",), 3),
        (("features",), "sharp"),
        (("zero_shot_scale",), "much"),
        (("n_images",), [1, -1]),
        (("parameters",), [["strength"]]),
        (("gain", "adapted"), 1.5),
        (("gain", "more"), 1),
        (("reasons", "coefficients"), [[[2, 1.0]], []]),
        (("reasons", "coefficients"), [[[0, 1.0]]]),
        (("reasons", "classes"), [[0], [2]]),
        (("reasons", "kinds"), ["prompt", "thought"]),
        (("reasons", "std"), [0.0, 1.0]),
        (("reasons", "texts"), ["a cat", "\x1b[2J"]),
        (("reasons", "words", "random"), []),
        (("reasons", "words", "random"), [-0.5]),
        (("reasons", "words", "random"), 0.5),
        (("reasons", "words", "texts"), 1.9),
        (("reasons", "words", "n"), 0),
        (("reasons", "words"), {"n": 8, "zero_shot": 0.5, "adapted": 0.7, "low": 0.1, "high": 7}),
        (("reasons", "words"), 7),
    ],
)
def test_a_wrong_value_is_refused(path: tuple[str, ...], wrong: object) -> None:
    value = json.loads(json.dumps(FULL.to_json()))
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = wrong
    with pytest.raises(BundleError, match=r"; expected |unknown key"):
        Adaptation.from_json(value, "x")


def test_the_gain_is_a_difference() -> None:
    assert GAIN.mean == 0.25


def test_a_single_draw_in_the_form_of_a_gain_is_still_read() -> None:
    value = json.loads(json.dumps(FULL.to_json()))
    value["reasons"]["words"] = {"n": 8, "zero_shot": 0.5, "adapted": 0.75, "low": -0.1, "high": 0.5}
    read = Adaptation.from_json(value, "x")
    assert read is not None
    assert read.reasons == dataclasses.replace(REASONS, words=Words(n=8, texts=0.75, random=(0.5,)))


def test_draws_that_do_as_well_are_counted() -> None:
    assert REASONS.words is not None
    assert REASONS.words.n_as_good == 1
