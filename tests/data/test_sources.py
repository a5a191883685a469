"""What `open_records` makes of files and folders."""

import io
import tarfile

import pytest

from hyperclip.data.records import Record
from hyperclip.data.sources import open_records
from hyperclip.errors import InputError


def touch(path, content=b"picture"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def write_tar(path, content):
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("1.jpg")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return path


def write_parquet(path, content):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": [{"bytes": content, "path": None}]}), path)
    return path


def test_class_folders_give_labels(tmp_path):
    touch(tmp_path / "dog" / "b.jpg")
    touch(tmp_path / "cat" / "a.png")
    source = open_records(tmp_path)

    assert source.class_names == ("cat", "dog")
    assert source.n_records == 2
    assert list(source)[1] == Record(tmp_path / "dog" / "b.jpg", 1, (), "dog/b.jpg")


def test_class_folders_of_the_training_part_are_preferred(tmp_path):
    touch(tmp_path / "train" / "cat" / "a.jpg")
    touch(tmp_path / "test" / "cat" / "b.jpg")

    assert [record.image.name for record in open_records(tmp_path)] == ["a.jpg"]
    assert [record.image.name for record in open_records(tmp_path, split="test")] == ["b.jpg"]


def test_pictures_in_a_folder_have_the_captions_beside_them(tmp_path):
    touch(tmp_path / "1.jpg")
    touch(tmp_path / "1.txt", "a dog\n\nein Hündchen\n".encode())
    touch(tmp_path / "deep" / "2.jpg")
    source = open_records(tmp_path)

    assert [(r.shown_path, r.captions, r.label) for r in source] == [
        ("1.jpg", ("a dog", "ein Hündchen"), -1),
        ("deep/2.jpg", (), -1),
    ]
    touch(tmp_path / "1.txt", b"\xff")
    with pytest.raises(InputError, match=r"1\.txt' cannot be read"):
        list(source)
    touch(tmp_path / "1.txt", b"x" * (2**20 + 1))
    with pytest.raises(InputError, match=r"1\.txt' is larger"):
        list(source)


def test_tables_with_labels_or_captions(tmp_path):
    labels = touch(tmp_path / "labels.csv", b"image,label\na.jpg,dog\nb.jpg,cat\n")
    captions = touch(tmp_path / "captions.csv", b"image,caption\na.jpg,a dog\n")

    assert [record.label for record in open_records(labels)] == [1, 0]
    assert [record.captions for record in open_records(captions)] == [("a dog",)]
    assert [record.captions for record in open_records(tmp_path)] == [("a dog",)]


def test_only_training_shards_of_a_folder_are_read(tmp_path):
    for name in ("train-10.tar", "train-2.tar", "test-0.tar"):
        write_tar(tmp_path / name, name.encode())

    assert [record.image for record in open_records(tmp_path)] == [b"train-2.tar", b"train-10.tar"]
    assert [record.image for record in open_records(tmp_path, split="test")] == [b"test-0.tar"]
    assert [r.image for r in open_records([tmp_path / "test-0.tar", tmp_path / "train-2.tar"])] == [
        b"test-0.tar",
        b"train-2.tar",
    ]


def test_parquet_is_found_where_the_hub_keeps_it(tmp_path):
    write_parquet(tmp_path / "data" / "train-0.parquet", b"train")
    write_parquet(tmp_path / "data" / "validation-0.parquet", b"val")

    assert [record.image for record in open_records(tmp_path)] == [b"train"]
    assert [record.image for record in open_records(tmp_path, split="test")] == [b"val"]


def test_a_data_set_without_a_training_part_is_refused(tmp_path):
    write_parquet(tmp_path / "test.parquet", b"test")

    with pytest.raises(InputError, match="no train part"):
        open_records(tmp_path)


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["a.tar", "b.parquet"], r"end in \.parquet, \.tar"),
        (["a.csv", "b.csv"], r"end in \.csv"),
        (["a.jpg"], r"end in \.jpg"),
        (["a.tar.gz"], "is compressed"),
        (["missing"], "does not exist"),
        ([], "no paths"),
    ],
)
def test_what_cannot_be_opened_is_refused(tmp_path, names, problem):
    for name in names:
        if name != "missing":
            touch(tmp_path / name)
    with pytest.raises(InputError, match=problem):
        open_records([tmp_path / name for name in names])


def test_an_empty_folder_and_an_unknown_part_are_refused(tmp_path):
    with pytest.raises(InputError, match="has no labeled pictures"):
        open_records(tmp_path)
    with pytest.raises(InputError, match="split is 'dev'"):
        open_records(tmp_path, split="dev")


@pytest.mark.data
def test_shared_sets_open_with_their_training_parts(shared_data):
    pq = pytest.importorskip("pyarrow.parquet")
    tiny = open_records(shared_data / "tiny-imagenet")
    flickr = open_records(shared_data / "flickr8k")
    imagenet = open_records(shared_data / "imagenet-one-each")

    assert len(tiny.class_names) == 200
    files = [pq.ParquetFile(path) for path in (shared_data / "tiny-imagenet").glob("train*.parquet")]
    assert tiny.n_records == sum(file.metadata.num_rows for file in files)
    assert flickr.n_records == 5999
    assert len(next(iter(flickr)).captions) == 5
    assert len(imagenet.class_names) == 1000  # both cranes are there
    assert max(record.label for record in imagenet) > 990
