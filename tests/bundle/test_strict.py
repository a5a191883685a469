"""JSON from anywhere is taken only in the form that was asked for."""

from dataclasses import dataclass

import pytest

from hyperclip.bundle.strict import check_integer, check_number, check_text, parse_json, quote, take_fields
from hyperclip.errors import BundleError


@dataclass(frozen=True)
class Point:
    """Two numbers."""

    left_px: int
    top_px: int


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": 1, "a": 2}',
        b"[" * 100_000,
        b"9" * 10_000,
        b" " * 2000,
    ],
)
def test_parse_json_refuses_what_is_not_json(data: bytes) -> None:
    with pytest.raises(BundleError) as caught:
        parse_json(data, where="model.json", max_bytes=1_000_000 if b"[" in data else 20_000)
    assert str(caught.value).startswith("model.json")
    assert len(str(caught.value).encode()) < 1500


def test_parse_json_checks_the_size_before_parsing() -> None:
    with pytest.raises(BundleError, match="at most 3"):
        parse_json(b"[1]  ", where="x", max_bytes=3)


def test_take_fields_names_the_nearest_known_key() -> None:
    with pytest.raises(BundleError, match=r"unknown key 'lft_px'; the nearest known key is 'left_px'"):
        take_fields(Point, {"lft_px": 1, "top_px": 2}, where="point")


def test_take_fields_wants_every_key() -> None:
    with pytest.raises(BundleError, match="no key 'top_px'"):
        take_fields(Point, {"left_px": 1}, where="point")
    with pytest.raises(BundleError, match="expected an object"):
        take_fields(Point, [1, 2], where="point")


@pytest.mark.parametrize("value", [True, 1.0, "1", None, -1, 11])
def test_check_integer_refuses_other_types_and_ranges(value: object) -> None:
    with pytest.raises(BundleError):
        check_integer(value, where="x", low=0, high=10)


@pytest.mark.parametrize("value", [True, "1", None, float("nan"), float("inf"), 10.1, 10**400], ids=range(7))
def test_check_number_refuses_other_types_and_ranges(value: object) -> None:
    with pytest.raises(BundleError):
        check_number(value, where="x", low=0.0, high=10.0)


@pytest.mark.parametrize("value", ["", "a" * 11, "a\nb", "a\x00", "\ud800", 3, None])
def test_check_text_refuses_control_characters_and_lengths(value: object) -> None:
    with pytest.raises(BundleError):
        check_text(value, where="x", max_chars=10)


def test_quote_is_short_and_printable_for_any_value() -> None:
    for value in (
        "cat",
        "a\nb\x1b[31m",
        "x" * 10_000_000,
        "\u202eevil",
        {"k": ["v"] * 10_000},
        10**5000,
        "\ud800",
    ):
        shown = quote(value)
        assert len(shown) < 100
        assert shown.isprintable()
    assert quote("cat") == "'cat'"
    assert quote("a\nb") == "'a\\nb'"


def test_quote_counts_bytes_so_that_messages_stay_short() -> None:
    assert len(quote("🚀" * 1000, 300).encode()) < 320
    assert len(quote("\ud800" * 1000, 300).encode()) < 320


def test_quote_keeps_words_and_emoji_whole() -> None:
    assert quote("👩\u200d🚀 Straße گربه\u200cها") == "'👩\u200d🚀 Straße گربه\u200cها'"
