"""WebDataset tar files: samples, labels, captions, and hostile archives."""

import io
import json
import logging
import tarfile

import numpy as np
import pytest

from hyperclip.data import tar_source
from hyperclip.data.tar_source import open_tar_records
from hyperclip.errors import InputError


def write_tar(path, members):
    """Write (name, content) pairs; a `TarInfo` may stand for a name."""
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            if info.isreg():
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content) if info.isreg() else None)
    return path


def test_members_of_one_key_are_one_record(tmp_path):
    (tmp_path / "classes.json").write_text('["cat", "dog"]')
    about = json.dumps({"caption": "from json", "captions": ["second", "a dog"], "label": 0}).encode()
    path = write_tar(
        tmp_path / "a.tar",
        [
            ("x/0001.jpg", b"one"),
            ("x/0001.cls", b"1\n"),
            ("x/0001.txt", b"a  dog\n"),
            ("x/0001.json", about),
            ("x/0002.PNG", b"two"),
            ("y/0002.webp", b"three"),
            ("y/0002.cls", b"dog"),
            ("y/0003.seg.png", b"a mask is no picture"),
        ],
    )
    source = open_tar_records([path])

    assert source.class_names == ("cat", "dog")
    assert source.n_records is None
    records = list(source)
    assert [record.image for record in records] == [b"one", b"two", b"three"]
    assert [record.label for record in records] == [1, -1, 1]
    assert records[0].captions == ("a dog", "second", "from json")
    assert records[0].shown_path == "a.tar:x/0001.jpg"
    assert list(source) == records  # it can be read again


def test_several_files_are_read_in_order_and_long_names_work(tmp_path):
    long = "d" * 300
    paths = [
        write_tar(tmp_path / "b.tar", [(f"{long}/1.jpg", b"1"), (f"{long}/2.jpg", b"2")]),
        write_tar(tmp_path / "a.tar", [("1.jpg", b"3")]),
    ]

    assert [record.image for record in open_tar_records(paths)] == [b"1", b"2", b"3"]


def test_samples_without_a_picture_are_left_out_and_counted(tmp_path, caplog):
    path = write_tar(tmp_path / "a.tar", [("1.txt", b"text"), ("2.jpg", b"2"), ("3.cls", b"0")])

    with caplog.at_level(logging.WARNING):
        assert [record.image for record in open_tar_records([path])] == [b"2"]
    assert "2 samples without a picture" in caplog.text


def test_links_devices_and_folders_are_never_followed(tmp_path):
    members = []
    for index, kind in enumerate((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE)):
        info = tarfile.TarInfo(f"{index}.jpg")
        info.type, info.linkname = kind, "/etc/hostname"
        members.append((info, b""))
    path = write_tar(tmp_path / "a.tar", [*members, ("../../9.jpg", b"9")])

    records = list(open_tar_records([path]))
    assert [record.image for record in records] == [b"9"]  # a name only: nothing is written anywhere
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("label", [b"2", b"-1", b"1.5", b"bird", b"9" * 5000, b"\xff"])
def test_a_label_that_is_no_class_is_refused(tmp_path, label):
    (tmp_path / "classes.json").write_text('["cat", "dog"]')
    path = write_tar(tmp_path / "a.tar", [("1.jpg", b"1"), ("1.cls", label)])

    with pytest.raises(InputError, match=r"a\.tar:1"):
        list(open_tar_records([path]))


@pytest.mark.parametrize(
    "about", [b"{", b"[" * 100_000, b'{"label": true}', b'{"label": [1]}', b'{"label": 1e99}']
)
def test_json_that_makes_no_sense_is_refused(tmp_path, about):
    path = write_tar(tmp_path / "a.tar", [("1.jpg", b"1"), ("1.json", about)])

    with pytest.raises(InputError, match=r"a\.tar:1"):
        list(open_tar_records([path]))


def test_a_member_given_twice_is_refused(tmp_path):
    path = write_tar(tmp_path / "a.tar", [("1.jpg", b"1"), ("1.jpg", b"2")])

    with pytest.raises(InputError, match="twice in a row"):
        list(open_tar_records([path]))


def test_members_above_the_cap_are_refused_before_they_are_read(tmp_path, monkeypatch):
    path = write_tar(tmp_path / "a.tar", [("1.jpg", b"1" * 2000)])
    monkeypatch.setattr(tar_source, "MAX_IMAGE_BYTES", 1000)
    with pytest.raises(InputError, match="2000 bytes"):
        list(open_tar_records([path]))


def test_more_members_than_the_cap_are_refused(tmp_path, monkeypatch):
    path = write_tar(tmp_path / "a.tar", [(f"{index}.jpg", b"1") for index in range(6)])
    monkeypatch.setattr(tar_source, "MAX_MEMBERS", 5)
    with pytest.raises(InputError, match="more than 5 members"):
        list(open_tar_records([path]))


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_a_huge_declared_header_is_refused_without_reading_it(tmp_path, kind):
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = kind, 2**40
    path = tmp_path / "a.tar"
    path.write_bytes(info.tobuf(format=tarfile.GNU_FORMAT) + b"x" * 2048)

    with pytest.raises(InputError, match="cannot be read"):
        list(open_tar_records([path]))


def test_a_sparse_member_cannot_claim_more_than_it_holds(tmp_path):
    info = tarfile.TarInfo("1.jpg")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 512
    header = bytearray(info.tobuf(format=tarfile.GNU_FORMAT))
    header[483:495] = b"77777777777\0"  # the real size, of which all but 512 bytes would be holes
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path = tmp_path / "a.tar"
    path.write_bytes(bytes(header) + b"x" * 512 + b"\0" * 1024)

    assert list(open_tar_records([path])) == []


def test_a_cut_or_damaged_header_is_one_clear_sentence(tmp_path):
    path = write_tar(tmp_path / "a.tar", [(f"{index}.jpg", bytes([index]) * 700) for index in range(4)])
    whole = path.read_bytes()
    for length in (0, 100, 511, 600, 1300, 1600, 2100):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="cannot be read"):
            list(open_tar_records([path]))
    for place in (0, 1536 + 10, 3 * 1536 + 150):  # in the headers of three members
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        with pytest.raises(InputError, match="cannot be read"):
            list(open_tar_records([path]))


def test_any_damage_gives_records_or_one_clear_sentence(tmp_path):
    members = [("1.jpg", b"1" * 600), ("1.json", b'{"label": 0}'), ("d" * 150 + "/2.png", b"2")]
    path = write_tar(tmp_path / "a.tar", members)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    n_refused = 0
    for _ in range(400):
        content = bytearray(whole[:6144])
        for place in rng.integers(len(content), size=int(rng.integers(1, 4))):
            content[place] = rng.integers(256)
        for start in range(0, len(content), 512):  # with checksums that hold, damage gets further
            block = content[start : start + 512]
            if block[257:262] == b"ustar":
                block[148:156] = b" " * 8
                content[start + 148 : start + 156] = b"%06o\0 " % sum(block)
        path.write_bytes(content)
        try:
            list(open_tar_records([path]))
        except InputError:
            n_refused += 1
    assert n_refused > 0


def test_a_missing_file_is_refused_at_once(tmp_path):
    with pytest.raises(InputError, match="is no file"):
        open_tar_records([tmp_path / "a.tar"])
