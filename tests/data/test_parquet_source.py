"""Parquet for training: labels, captions, class lists, several files."""

import json

import pytest

from hyperclip.data.parquet_source import open_parquet_records
from hyperclip.errors import InputError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def write(path, *, n=3, names=None, **columns):
    images = [{"bytes": b"picture %d" % index, "path": None} for index in range(n)]
    table = pa.table({"image": images} | columns)
    if names is not None:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path, row_group_size=2)
    return path


def test_labels_keep_their_numbers_even_where_names_are_equal(tmp_path):
    (tmp_path / "classes.json").write_text('["crane", "dog", "crane"]')
    source = open_parquet_records([write(tmp_path / "train.parquet", label=[2, 1, 0])])

    assert source.class_names == ("crane", "dog", "crane")
    assert source.n_records == 3
    assert [(record.image, record.label) for record in source] == [
        (b"picture 0", 2),
        (b"picture 1", 1),
        (b"picture 2", 0),
    ]


def test_captions_may_be_lists_or_texts_and_labels_missing(tmp_path):
    lists = write(tmp_path / "a.parquet", captions=[["a  dog", "a dog", "two"], [], None])
    texts = write(tmp_path / "b.parquet", caption=["one", "", None])
    source = open_parquet_records([lists, texts])

    assert [record.captions for record in source] == [("a dog", "two"), (), (), ("one",), (), ()]
    assert {record.label for record in source} == {-1}
    assert source.class_names == ()
    assert [record.shown_path for record in source][3:] == ["b.parquet:0", "b.parquet:1", "b.parquet:2"]


def test_names_come_from_the_file_itself_where_no_list_is_beside_it(tmp_path):
    source = open_parquet_records([write(tmp_path / "a.parquet", label=[0, 1, None], names=["cat", "dog"])])

    assert source.class_names == ("cat", "dog")
    assert [record.label for record in source] == [0, 1, -1]


def test_labels_that_are_texts_name_their_classes(tmp_path):
    source = open_parquet_records([write(tmp_path / "a.parquet", label=["dog", "cat", "dog"])])

    assert source.class_names == ("cat", "dog")
    assert [record.label for record in source] == [1, 0, 1]


@pytest.mark.parametrize("labels", [[0, 1, 2], [0, 1, -2], ["cat", "dog", "bird"], [0.0, 1.0, 1.0]])
def test_a_label_that_is_no_class_is_refused(tmp_path, labels):
    (tmp_path / "classes.json").write_text('["cat", "dog"]')
    source = open_parquet_records([write(tmp_path / "a.parquet", label=labels)])

    with pytest.raises(InputError, match=r"a\.parquet', row \d, has the label"):
        list(source)


def test_files_that_hold_no_pictures_are_refused(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"label": [1]}), path)
    with pytest.raises(InputError, match="expected 'image' among them"):
        open_parquet_records([path])
    pq.write_table(pa.table({"image": pa.array([], pa.binary())}), path)
    with pytest.raises(InputError, match="has no rows"):
        open_parquet_records([path])
    pq.write_table(pa.table({"image": pa.array([None], pa.binary())}), path)
    with pytest.raises(InputError, match="row 0, holds no picture"):
        list(open_parquet_records([path]))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        open_parquet_records([path])
