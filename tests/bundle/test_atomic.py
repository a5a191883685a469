"""A file is there as a whole or not at all."""

import os
from pathlib import Path

import pytest

from hyperclip.bundle.atomic import write_file
from hyperclip.errors import InputError


def test_write_file_replaces_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    write_file(path, b"one")
    write_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert [item.name for item in tmp_path.iterdir()] == ["a.onnx"]


def test_write_file_keeps_the_old_content_when_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.onnx"
    write_file(path, b"one")

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(InputError, match="No space left"):
        write_file(path, b"two")
    assert path.read_bytes() == b"one"
    assert [item.name for item in tmp_path.iterdir()] == ["a.onnx"]


def test_write_file_follows_a_link_and_keeps_it(tmp_path: Path) -> None:
    (tmp_path / "real.onnx").write_bytes(b"one")
    (tmp_path / "link.onnx").symlink_to("real.onnx")
    write_file(tmp_path / "link.onnx", b"two")
    assert (tmp_path / "link.onnx").is_symlink()
    assert (tmp_path / "real.onnx").read_bytes() == b"two"


def test_write_file_takes_a_name_of_255_bytes(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 250 + ".onnx")
    write_file(path, b"one")
    assert path.read_bytes() == b"one"


def test_write_file_gives_the_usual_permissions(tmp_path: Path) -> None:
    write_file(tmp_path / "a", b"one")
    (tmp_path / "b").write_bytes(b"one")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


@pytest.mark.parametrize("name", ["", "no/a.onnx", "x" * 300, "nul\0.onnx"])
def test_write_file_refuses_paths_that_name_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError) as caught:
        write_file(tmp_path / name, b"one")
    assert len(str(caught.value).encode()) < 1500
    assert list(tmp_path.iterdir()) == []


def test_write_file_never_replaces_a_device(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="no regular file"):
        write_file(tmp_path / "pipe", b"one")
