"""What training changed, folded into constants at any share."""

import numpy as np

from hyperclip.adapt.tuned_numbers import ChannelChange, TunedNumbers


def make_numbers() -> TunedNumbers:
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    before = {"w": normal(4, 3, 3, 3), "b": normal(4), "v": normal(5, 4, 1, 1), "head": normal(2, 5)}
    changes = (
        ChannelChange(weight="w", bias="b", scale=normal(4), shift=normal(4)),
        ChannelChange(weight="v", bias="", scale=normal(5), shift=np.zeros(5, np.float32)),
    )
    return TunedNumbers(before=before, channels=changes, head={"head": normal(2, 5)})


def test_nothing_of_the_change_is_the_constants_as_they_were_to_the_bit() -> None:
    numbers = make_numbers()
    made = numbers.constants(0.0)
    assert made.keys() == numbers.before.keys()
    for name, array in made.items():
        np.testing.assert_array_equal(array, numbers.before[name])


def test_all_of_it_scales_and_shifts_what_a_convolution_makes() -> None:
    numbers = make_numbers()
    made = numbers.constants(1.0)
    picture = np.random.default_rng(1).normal(size=(3, 3, 3))

    def channels(arrays: dict[str, np.ndarray]) -> np.ndarray:
        return np.tensordot(arrays["w"].astype(np.float64), picture, axes=3) + arrays["b"]

    change = numbers.channels[0]
    expected = (1 + change.scale) * channels(dict(numbers.before)) + change.shift
    np.testing.assert_allclose(channels(made), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(made["head"], numbers.before["head"] + numbers.head["head"], rtol=1e-6)


def test_everything_is_linear_in_the_share() -> None:
    numbers = make_numbers()
    none, all_of_it, part = (numbers.constants(share) for share in (0.0, 1.0, 0.3))
    for name in none:
        np.testing.assert_allclose(part[name], 0.7 * none[name] + 0.3 * all_of_it[name], atol=1e-5)
