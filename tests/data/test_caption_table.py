"""CSV tables with captions."""

import pytest

from hyperclip.data.caption_table import has_captions, open_caption_table
from hyperclip.errors import InputError


def write(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_rows_of_one_picture_are_one_record(tmp_path):
    path = write(tmp_path, 'Image,Caption\na.jpg,"one, two"\na.jpg,three\n\nb.jpg,\na.jpg,four\n')
    source = open_caption_table(path)

    assert source.n_records == 3
    assert [(record.image, record.captions) for record in source] == [
        (tmp_path / "a.jpg", ("one, two", "three")),
        (tmp_path / "b.jpg", ()),
        (tmp_path / "a.jpg", ("four",)),
    ]


def test_several_columns_of_captions_and_semicolons(tmp_path):
    path = write(tmp_path, "\ufefffile_name;caption_1;other;caption_2\na.jpg;one;x;two\n")

    assert [record.captions for record in open_caption_table(path)] == [("one", "two")]


def test_only_a_column_of_captions_counts_as_captions(tmp_path):
    assert has_captions(write(tmp_path, "image,text\n"))
    assert not has_captions(write(tmp_path, "image,label\n"))
    assert not has_captions(tmp_path / "missing.csv")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "begins with ''"),
        ("caption\nx\n", "begins with 'caption'"),
        ("image,caption\n", "has no rows"),
        ("image,caption\n,x\n", "line 2, names no picture"),
        ('image,caption\na.jpg,"x\n', "cannot be read as a table"),
    ],
)
def test_tables_without_pictures_are_refused(tmp_path, text, problem):
    with pytest.raises(InputError, match=problem):
        open_caption_table(write(tmp_path, text))


def test_a_table_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"image,caption\na.jpg,\xff\n")
    with pytest.raises(InputError, match="cannot be read as a table"):
        open_caption_table(path)
