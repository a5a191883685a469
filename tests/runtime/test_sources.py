"""Folders, tables and Parquet files of pictures: what is found, in which order, and what is refused."""

import inspect
import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hyperclip.errors import InputError, MissingExtraError
from hyperclip.runtime.class_list import read_class_list
from hyperclip.runtime.image_files import natural_key
from hyperclip.runtime.labeled import merge_equal_names
from hyperclip.runtime.sources import LabeledImages, list_images, open_labeled

DATA = Path(os.environ.get("HYPERCLIP_DATA", "/nowhere"))


def png(level: int = 0) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (4, 4), (level, level, level)).save(stream, "PNG")
    return stream.getvalue()


def plant(root: Path, *paths: str) -> None:
    """Write small pictures (and empty files of other kinds)."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(png() if path.endswith("png") else b"")


def relative(root: Path, paths: list[Path]) -> list[str]:
    return [path.relative_to(root).as_posix() for path in paths]


def link(path: Path, target: Path) -> None:
    try:
        path.symlink_to(target, target_is_directory=True)
    except OSError:
        pytest.skip("no symbolic links on this system")


def contents(images: LabeledImages) -> list[tuple[str, str]]:
    """Return (shown path, class name) of every picture, after the checks that hold for all of them."""
    items = list(images)
    assert len(items) == len(images) == images.n_images
    assert items == list(images)  # it can be read a second time
    return [(item.shown_path, images.class_names[item.class_index]) for item in items]


# --- listing -----------------------------------------------------------------------------------


def test_pictures_come_in_natural_order_from_all_subfolders(tmp_path: Path) -> None:
    plant(
        tmp_path,
        "10.png",
        "2.png",
        "b/1.PNG.png",
        "a10/x.png",
        "a9/x.png",
        "A.png",
        "notes.txt",
        "c/d/e/f.png",
    )
    assert relative(tmp_path, list_images(tmp_path)) == [
        *("2.png", "10.png", "a9/x.png", "a10/x.png", "A.png", "b/1.PNG.png", "c/d/e/f.png")
    ]


def test_natural_order_survives_odd_names() -> None:
    names = ["9" * 6000, "1" + "0" * 6000, "img2", "img02", "img10", "IMG3", "", "²", "٣", "é", "e\u0301"]
    once = sorted(names, key=natural_key)
    assert sorted(reversed(names), key=natural_key) == once
    assert once.index("img2") < once.index("IMG3") < once.index("img10")
    assert once.index("9" * 6000) < once.index("1" + "0" * 6000)


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    plant(tmp_path, "a.png", ".b.png", ".cache/c.png", "__MACOSX/._a.png", "Thumbs.db")
    assert relative(tmp_path, list_images(tmp_path)) == ["a.png"]


def test_pictures_of_a_kind_that_cannot_be_read_are_still_listed(tmp_path: Path) -> None:
    plant(tmp_path, "a.png", "b.HEIC")
    assert relative(tmp_path, list_images(tmp_path)) == ["a.png", "b.HEIC"]


def test_a_file_is_listed_whatever_its_name(tmp_path: Path) -> None:
    plant(tmp_path, "picture.dat")
    assert list_images(str(tmp_path / "picture.dat")) == [tmp_path / "picture.dat"]


def test_links_that_lead_in_circles_end(tmp_path: Path) -> None:
    root = tmp_path / "root"
    plant(root, "a/1.png", "b/2.png")
    link(root / "a" / "up", root)
    link(root / "a" / "self", root / "a")
    link(root / "0b", root / "b")
    link(root / "above", tmp_path)
    link(root / "dangling", tmp_path / "nowhere")
    link(root / "circle.png", root / "circle.png")
    assert relative(root, list_images(root)) == ["a/1.png", "b/2.png"]


def test_linked_folders_and_files_are_followed_once(tmp_path: Path) -> None:
    root, other = tmp_path / "root", tmp_path / "other"
    plant(root, "a.png")
    plant(other, "deep/x.png", "y.png")
    link(root / "one", other)
    link(root / "two", other)
    link(root / "three", other / "deep")
    link(other / "deep" / "back", root)
    (root / "z.png").symlink_to(other / "y.png")
    assert relative(root, list_images(root)) == ["a.png", "one/deep/x.png", "one/y.png", "z.png"]


def test_many_links_between_folders_do_not_explode(tmp_path: Path) -> None:
    outside = [tmp_path / "outside" / str(i) for i in range(12)]
    for i, folder in enumerate(outside):
        plant(folder, f"{i}.png")
    for folder in outside:  # the number of ways through grows like 12 factorial
        for i, other in enumerate(outside):
            link(folder / f"to{i}", other)
    plant(tmp_path / "root", "a.png")
    link(tmp_path / "root" / "in", outside[0])
    assert len(list_images(tmp_path / "root")) == 13


def test_folders_nested_deeper_than_pythons_calls(tmp_path: Path) -> None:
    limit = sys.getrecursionlimit()
    folder = tmp_path / "/".join(["d"] * 120)
    folder.mkdir(parents=True)
    plant(folder, "a.png")
    depth = len(inspect.stack())
    sys.setrecursionlimit(depth + 60)
    try:
        found = list_images(tmp_path)
    finally:
        sys.setrecursionlimit(limit)
    assert found == [folder / "a.png"]


def test_what_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, "empty/readme.txt", "full/a.png")
    with pytest.raises(InputError, match=r"gone' cannot be opened \(No such file or directory\); expected"):
        list_images(tmp_path / "gone")
    with pytest.raises(InputError, match="cannot be opened"):
        list_images("a\0b")
    with pytest.raises(InputError, match="empty' holds no pictures; expected files such as"):
        list_images(tmp_path / "empty")

    def deny(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", deny)
    with pytest.raises(InputError, match=r"full' cannot be listed \(Permission denied\)"):
        list_images(tmp_path / "full")


# --- class folders -----------------------------------------------------------------------------


def test_class_folders(tmp_path: Path) -> None:
    plant(
        tmp_path, "tabby cat/2.png", "tabby cat/10.png", "dog/puppies/1.png", "empty/readme.txt", ".git/x.png"
    )
    plant(tmp_path, "stray.png")
    images = open_labeled(tmp_path)
    assert images.class_names == ("dog", "tabby cat")
    assert images.merged_names == ()
    assert contents(images) == [
        (os.path.join("dog", "puppies", "1.png"), "dog"),
        (os.path.join("tabby cat", "2.png"), "tabby cat"),
        (os.path.join("tabby cat", "10.png"), "tabby cat"),
    ]
    assert next(iter(images)).source == tmp_path / "dog" / "puppies" / "1.png"


def test_class_folders_below_a_folder_for_each_part(tmp_path: Path) -> None:
    plant(tmp_path, "train/a/1.png", "train/b/2.png", "val/a/3.png")
    assert contents(open_labeled(tmp_path)) == [(os.path.join("a", "3.png"), "a")]
    assert open_labeled(tmp_path, split="test").class_names == ("a",)
    assert open_labeled(tmp_path, split="train").class_names == ("a", "b")


def test_classes_that_are_called_like_parts_stay_classes(tmp_path: Path) -> None:
    plant(tmp_path, "train/1.png", "trainers/2.png", "bus/3.png")
    assert open_labeled(tmp_path).class_names == ("bus", "train", "trainers")


def test_equal_names_become_one_class_and_are_reported(tmp_path: Path) -> None:
    plant(tmp_path, "crane /1.png", "Crane/2.png", "cat/3.png")
    if len(list(tmp_path.iterdir())) < 3:
        pytest.skip("this file system does not tell these names apart")
    images = open_labeled(tmp_path)
    assert len(images.class_names) == 2
    assert [name.casefold() for name in images.merged_names] == ["crane"]
    assert [name.casefold() for _, name in contents(images)] == ["cat", "crane", "crane"]


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    plant(tmp_path, "a.png", "empty/readme.txt")
    with pytest.raises(InputError, match="has no labeled pictures; expected one folder a class"):
        open_labeled(tmp_path)
    with pytest.raises(InputError, match="is not a labeled data set; expected a folder"):
        open_labeled(tmp_path / "a.png")
    with pytest.raises(InputError, match="split is 'dev'; expected 'train'"):
        open_labeled(tmp_path, split="dev")


# --- tables ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "image,label\na/1.png,cat\nb.png,dog\n",
        "\ufeffPath;ID;Class\r\na/1.png;7;cat\r\n\r\nb.png;8;dog\r\n",
        'id\tlabel\tfile_name\n1\t"cat"\ta/1.png\n2\t dog \tb.png',
    ],
)
def test_tables_with_any_usual_separator(tmp_path: Path, text: str) -> None:
    (tmp_path / "labels.csv").write_bytes(text.encode())
    for path in (tmp_path / "labels.csv", tmp_path):
        images = open_labeled(path)
        assert images.class_names == ("cat", "dog")
        assert contents(images) == [("a/1.png", "cat"), ("b.png", "dog")]
        assert next(iter(images)).source == tmp_path / "a" / "1.png"


def test_a_table_beside_a_folder_of_pictures_wins(tmp_path: Path) -> None:
    plant(tmp_path, "images/1.png")
    (tmp_path / "labels.csv").write_text("file,label\nimages/1.png,cat\n")
    (tmp_path / "other.csv").write_text("some,thing\n1,2\n")
    assert contents(open_labeled(tmp_path)) == [("images/1.png", "cat")]


def test_tables_for_each_part(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("file,label\n1.png,cat\n")
    (tmp_path / "test.csv").write_text("file,label\n2.png,cat\n")
    assert contents(open_labeled(tmp_path)) == [("2.png", "cat")]
    assert contents(open_labeled(tmp_path, split="train")) == [("1.png", "cat")]


def test_numbers_in_a_table_stand_for_the_class_list_beside_it(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,label\n1.png,2\n2.png,0\n")
    assert open_labeled(tmp_path).class_names == ("0", "2")
    (tmp_path / "classes.json").write_text('["crane", "cat", "Crane"]')
    images = open_labeled(tmp_path)
    assert images.merged_names == ("crane",)
    assert contents(images) == [("1.png", "crane"), ("2.png", "crane")]
    (tmp_path / "labels.csv").write_text("file,label\n1.png,3\n")
    with pytest.raises(InputError, match="has the label 3; expected 0 to 2"):
        open_labeled(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "begins with ''; expected a header line"),
        (b"a,b\n1,2\n", "begins with 'a,b'; expected a header line"),
        (b"image,label\n", "has no rows"),
        (b"image,label\n1.png\n", "line 2, lacks a picture or a class"),
        (b"image,label\n1.png,cat\n,dog\n", "line 3, lacks a picture or a class"),
        (b"image,label\n1.png,\xff\xfe\n", "cannot be read as a table"),
        (b'image,label\n1.png,"cat\n', "cannot be read as a table"),
        (b"image,label\n1.png," + b"x" * 200_000, "cannot be read as a table"),
        (b"image,label\n1.png,cat\x07\n", "holds a control character"),
        (b"image,label\n1.png," + b"x" * 3_000, "has 3000 characters"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(InputError) as caught:
        open_labeled(tmp_path / "labels.csv")
    assert words in str(caught.value)
    assert "labels.csv" in str(caught.value)
    assert len(str(caught.value)) < 1500


def test_a_table_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,label\n1.png,cat\n")
    images = open_labeled(tmp_path)
    (tmp_path / "labels.csv").write_text("file,label\n1.png,dog\n")
    with pytest.raises(InputError, match="line 2, has changed"):
        list(images)


# --- class lists -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        ["cat", "dog", "cat"],
        [
            {"index": 0, "name": "cat"},
            {"index": 1, "name": "dog", "coarse": "x"},
            {"index": 2, "name": "cat"},
        ],
        [{"index": 2, "name": "cat"}, {"index": 1, "name": "dog"}, {"index": 0, "name": "cat"}],
        [{"name": "cat"}, {"name": "dog"}, {"name": "cat"}],
        {"2": "cat", "0": "cat", "1": "dog"},
        {"names": ["cat", "dog", "cat"], "licence": "?"},
        {"classes": {"0": "cat", "1": "dog", "2": "cat"}},
    ],
)
def test_class_lists_in_all_usual_forms(tmp_path: Path, value: object) -> None:
    path = tmp_path / "classes.json"
    path.write_text(json.dumps(value))
    assert read_class_list(path) == ["cat", "dog", "cat"]


def test_class_list_from_name_to_index(tmp_path: Path) -> None:
    path = tmp_path / "classes.json"
    path.write_text('{"dog": 1, "cat": 0, "names": 2}')
    assert read_class_list(path) == ["cat", "dog", "names"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected JSON text"),
        ("[" * 100_000, "expected JSON text"),
        ('["cat", ', "expected JSON text"),
        ("[]", "expected class names"),
        ("{}", "expected class names"),
        ("3", "expected class names"),
        ('{"cat": "dog"}', "expected class names"),
        ("[1, 2]", "has 1 among its names"),
        ('["cat", null]', "has None among its names"),
        ('[{"name": 3}]', "has 3 among its names"),
        ('[{"label": "cat"}]', "among its names"),
        ('[{"name": "cat", "index": 1}]', "from 0 to 0, each once"),
        ('[{"name": "a", "index": 0}, {"name": "b", "index": 0}]', "from 0 to 1, each once"),
        ('{"0": "a", "99999999": "b"}', "from 0 to 1, each once"),
        ('{"a": true}', "from 0 to 0, each once"),
        ('[{"name": "a", "index": [0]}]', "from 0 to 0, each once"),
    ],
)
def test_bad_class_lists_are_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "classes.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_class_list(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 1500


def test_merging_keeps_the_first_spelling() -> None:
    merged = merge_equal_names([" maillot", "crane", "CRANE", "cafe\u0301", "maillot ", "café"], where="x")
    assert merged.names == ("maillot", "crane", "cafe\u0301")
    assert merged.index_of == (0, 1, 1, 2, 0, 2)
    assert merged.merged == ("maillot", "crane", "cafe\u0301")
    with pytest.raises(InputError, match="x: The class name at position 1 is ' ', which is blank"):
        merge_equal_names(["a", " "], where="x")


# --- Parquet -----------------------------------------------------------------------------------


def write_parquet(
    path: Path,
    labels: list[object],
    *,
    images: list[object] | None = None,
    metadata: object = None,
    **options: object,
) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    if images is None:
        images = [{"bytes": png(i % 256), "path": f"{i}.png"} for i in range(len(labels))]
    table = pa.table({"image": pa.array(images), "label": pa.array(labels)})
    if metadata is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps(metadata)})
    pq.write_table(table, path, **options)


def test_parquet_with_a_class_list_beside_it(tmp_path: Path) -> None:
    write_parquet(tmp_path / "test.parquet", [1, 0, 2], row_group_size=2)
    (tmp_path / "classes.json").write_text('["crane", "cat", "Crane"]')
    for path in (tmp_path, tmp_path / "test.parquet"):
        images = open_labeled(path)
        assert images.class_names == ("crane", "cat")
        assert images.merged_names == ("crane",)
        assert contents(images) == [
            ("test.parquet:0.png", "cat"),
            ("test.parquet:1.png", "crane"),
            ("test.parquet:2.png", "crane"),
        ]
    assert [item.source for item in images] == [png(0), png(1), png(2)]


def test_parquet_parts(tmp_path: Path) -> None:
    (tmp_path / "classes.json").write_text('["cat", "dog"]')
    write_parquet(tmp_path / "train-001.parquet", [0])
    write_parquet(tmp_path / "train-000.parquet", [1, 1])
    write_parquet(tmp_path / "val.parquet", [0, 1, 1])
    assert len(open_labeled(tmp_path)) == 3
    assert len(open_labeled(tmp_path, split="test")) == 3
    train = open_labeled(tmp_path, split="train")
    assert [path for path, _ in contents(train)] == [
        *("train-000.parquet:0.png", "train-000.parquet:1.png", "train-001.parquet:0.png")
    ]
    write_parquet(tmp_path / "test.parquet", [0])
    assert len(open_labeled(tmp_path)) == 1
    (tmp_path / "val.parquet").unlink()
    (tmp_path / "test.parquet").unlink()
    with pytest.raises(InputError, match=r"train-000\.parquet, train-001\.parquet, no test part"):
        open_labeled(tmp_path, split="test")


def test_parquet_with_names_in_its_metadata_below_data(tmp_path: Path) -> None:
    names = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
    write_parquet(tmp_path / "data" / "test-00000-of-00001.parquet", [1, 0], metadata=names)
    assert open_labeled(tmp_path).class_names == ("cat", "dog")
    (tmp_path / "classes.json").write_text('["red", "blue"]')
    assert open_labeled(tmp_path).class_names == ("red", "blue")


def test_parquet_with_names_as_labels(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", ["dog", "class 10", "class 9", "Dog "])
    images = open_labeled(tmp_path)
    assert [name.casefold() for name in images.class_names] == ["class 9", "class 10", "dog"]
    assert [name.casefold() for _, name in contents(images)] == ["dog", "class 10", "class 9", "dog"]
    (tmp_path / "classes.json").write_text('["class 9", "class 10"]')
    with pytest.raises(InputError, match=r"row 0, has the label 'dog'; expected a name"):
        list(open_labeled(tmp_path))


def test_parquet_with_bare_bytes(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", ["dog"], images=[png(3)])
    assert [(item.source, item.shown_path) for item in open_labeled(tmp_path)] == [(png(3), "a.parquet:0")]


@pytest.mark.parametrize("label", [-1, 2, 10**12, None])
def test_labels_that_stand_for_no_class_are_refused(tmp_path: Path, label: int | None) -> None:
    (tmp_path / "classes.json").write_text('["cat", "dog"]')
    write_parquet(tmp_path / "a.parquet", [0, label])
    with pytest.raises(InputError, match=rf"row 1, has the label {label}; expected a name or an index"):
        list(open_labeled(tmp_path))


def test_parquet_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    write_parquet(tmp_path / "numbers" / "a.parquet", [0, 1])
    with pytest.raises(InputError, match=r"numbers as labels and no classes\.json beside it"):
        open_labeled(tmp_path / "numbers")
    write_parquet(tmp_path / "none" / "a.parquet", ["cat"], images=[{"bytes": None, "path": "/etc/passwd"}])
    with pytest.raises(InputError, match="row 0, holds no picture"):
        list(open_labeled(tmp_path / "none"))
    pq.write_table(pa.table({"text": ["x"], "label": [1]}), tmp_path / "text.parquet")
    with pytest.raises(InputError, match=r"has the columns 'text, label'; expected 'image' and 'label'"):
        open_labeled(tmp_path / "text.parquet")
    write_parquet(tmp_path / "void.parquet", [], images=[])
    with pytest.raises(InputError, match="has no rows"):
        open_labeled(tmp_path / "void.parquet")


def test_damaged_parquet_gives_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "classes.json").write_text('["cat", "dog"]')
    path = tmp_path / "a.parquet"
    write_parquet(path, [0, 1] * 20)
    intact = np.frombuffer(path.read_bytes(), np.uint8)
    rng = np.random.default_rng(5)
    n_refused = 0
    for round_ in range(60):
        broken = intact.copy()
        if round_ < 20:
            broken = broken[: rng.integers(0, len(broken))]
        else:
            broken[rng.integers(0, len(broken), size=20)] = rng.integers(0, 256, size=20)
        path.write_bytes(broken.tobytes())
        try:
            n_images = sum(1 for _ in open_labeled(path))
        except InputError as error:
            n_refused += 1
            message = str(error)
        else:
            message = "" if n_images <= 40 else "more pictures than there were"
        assert "\n" not in message
        assert message == "" or "a.parquet" in message
    assert n_refused > 20


def test_parquet_is_read_a_few_rows_at_a_time(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    (tmp_path / "classes.json").write_text('["cat"]')
    images = [np.random.default_rng(i).bytes(20_000) for i in range(1_200)]
    write_parquet(tmp_path / "a.parquet", [0] * 1_200, images=images, row_group_size=100, compression="none")
    del images
    before = pa.total_allocated_bytes()
    peak = 0
    for item in open_labeled(tmp_path):
        assert len(item.source) == 20_000
        peak = max(peak, pa.total_allocated_bytes() - before)
    assert peak < 8_000_000  # of 24 MB: one or two row groups of 2 MB and what decoding takes


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, "a.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"run `pip install 'hyperclip\[parquet\]'`"):
        open_labeled(tmp_path)


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="HYPERCLIP_DATA does not name the shared data folder")
@pytest.mark.parametrize(
    ("name", "n_classes", "n_images"),
    [
        ("caltech101", 50, 500),
        ("cifar10", 10, 10_000),
        ("flowers", 17, 536),
        ("textures", 10, 400),
        ("waste", 6, 229),
        ("groceries", 81, 486),
        ("tiny-imagenet", 200, 10_000),
    ],
)
def test_shared_data_sets_open(name: str, n_classes: int, n_images: int) -> None:
    images = open_labeled(DATA / name)
    assert len(images) == n_images
    assert len(images.class_names) + len(images.merged_names) == n_classes
    assert next(iter(images)).source
