"""Which lists of class names are taken, and how a names file is read."""

from pathlib import Path

import numpy as np
import pytest

from hyperclip.errors import InputError
from hyperclip.runtime.names import ClassEntry, check_class_names, parse_names, read_names


def test_a_line_holds_name_phrasings_and_meaning() -> None:
    assert parse_names("sofa | couch | settee = a long seat\n\n  cat  \nMeeraner Straße=\ta road\n") == [
        ClassEntry(name="sofa", phrasings=("couch", "settee"), description="a long seat"),
        ClassEntry(name="cat"),
        ClassEntry(name="Meeraner Straße", description="a road"),
    ]


def test_only_the_first_equals_sign_ends_the_name() -> None:
    assert parse_names("formula = E = mc²")[0].description == "E = mc²"


@pytest.mark.parametrize("line", ["| couch", "sofa |", "sofa | | couch", "sofa =", "= a seat", "|", "="])
def test_a_half_line_is_refused_with_its_number(line: str) -> None:
    with pytest.raises(InputError, match="line 2"):
        parse_names(f"cat\n{line}\n")


def test_read_names_takes_windows_files(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes("\ufeffcat\r\nчашка кофе\r\n🚀\r\n".encode())
    assert [entry.name for entry in read_names(path)] == ["cat", "чашка кофе", "🚀"]


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xff\xfe\x00", b"cat\nCat\n", b"a\x00b\n", b"x" * 2000])
def test_read_names_refuses_unusable_files(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_names(path)
    assert len(str(caught.value).encode()) < 1500


def test_read_names_says_which_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"names\.txt"):
        read_names(tmp_path / "names.txt")
    with pytest.raises(InputError, match="is a folder"):
        read_names(tmp_path)


def test_names_come_back_exactly_as_given() -> None:
    names = [" Cat ", "cup of  coffee", "¡Olé!", "👩‍🚀", "گربه‌ها"]
    assert check_class_names(names) == tuple(names)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "no class names"),
        ([""], "blank"),
        (["cat", "   "], "position 1 is '   '"),
        (["cat", "\u200b"], "blank"),
        (["cat", "\t"], "blank"),
        (["cat", "Cat"], "'cat' and 'Cat' are equal"),
        (["cat", " cat"], "equal"),
        (["straße", "STRASSE"], "equal"),
        (["caf\u00e9", "cafe\u0301"], "equal"),
        (["x" * 2000], "has 2000 characters"),
        (["x" * 10_000_000], "10000000 characters"),
        (["a\nb"], "control character"),
        (["cat\n"], "control character"),
        (["a\u2028b"], "control character"),
        (["a\x1b[31m"], "control character"),
        (["a\ud800"], "control character"),
        ([3], "expected text"),
        ([None], "expected text"),
        ("cat", r"write \['cat'\]"),
        (None, "expected a list"),
        ({"cat": "dog"}, "expected a list"),
    ],
)
def test_unusable_names_are_one_sentence(names: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        check_class_names(names)  # type: ignore[arg-type]
    assert len(str(caught.value).encode()) < 1500
    assert "\n" not in str(caught.value)


def test_a_name_of_1999_characters_is_still_a_name() -> None:
    assert len(check_class_names(["x" * 1999])[0]) == 1999


def test_arrays_and_generators_of_names_are_lists_too() -> None:
    assert check_class_names(np.array(["cat", "dog"])) == ("cat", "dog")  # type: ignore[arg-type]
    assert check_class_names(name for name in ("cat", "dog")) == ("cat", "dog")  # type: ignore[arg-type]
    assert all(type(name) is str for name in check_class_names(np.array(["cat"])))  # type: ignore[arg-type]
