"""Writing is deterministic and all or nothing."""

import os
from pathlib import Path

import pytest

from hyperclip.bundle import read_bundle, write_bundle
from hyperclip.errors import BundleError, InputError
from tiny_bundle import make_files, make_manifest


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_write_read_write_gives_equal_bytes(tmp_path: Path) -> None:
    write_bundle(tmp_path / "first", make_manifest(), make_files())
    bundle = read_bundle(tmp_path / "first")
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    write_bundle(tmp_path / "second", bundle.manifest, files)
    assert contents(tmp_path / "first") == contents(tmp_path / "second")


def test_the_order_of_files_does_not_matter(tmp_path: Path) -> None:
    files = make_files()
    write_bundle(tmp_path / "first", make_manifest(), files)
    write_bundle(tmp_path / "second", make_manifest(), dict(reversed(files.items())))
    assert contents(tmp_path / "first") == contents(tmp_path / "second")


def test_write_replaces_an_older_model(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    write_bundle(folder, make_manifest(), {**make_files(), "old.txt": b"old"})
    written = write_bundle(folder, make_manifest(temperature=None), make_files())
    assert read_bundle(folder).manifest == written
    assert not (folder / "old.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_write_keeps_a_folder_that_holds_something_else(tmp_path: Path) -> None:
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter1.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"chapter1\.tex"):
        write_bundle(folder, make_manifest(), make_files())
    assert contents(folder) == {"chapter1.tex": b"years of work"}


def test_write_wants_the_required_files(tmp_path: Path) -> None:
    files = make_files()
    del files["encoder.onnx"]
    with pytest.raises(BundleError, match=r"no encoder\.onnx"):
        write_bundle(tmp_path / "tiny", make_manifest(), files)
    assert not (tmp_path / "tiny").exists()


@pytest.mark.parametrize("name", ["../outside", "a/b", ".hidden", "model.json", "", "nul\0"])
def test_write_refuses_names_that_leave_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError, match="plain file names"):
        write_bundle(tmp_path / "tiny", make_manifest(), {**make_files(), name: b"x"})
    assert list(tmp_path.iterdir()) == []


def test_a_missing_parent_folder_is_an_error_and_not_created(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no folder"):
        write_bundle(tmp_path / "no" / "tiny", make_manifest(), make_files())
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_leaves_the_old_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "tiny"
    write_bundle(folder, make_manifest(), make_files())
    before = contents(folder)

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(InputError, match="No space left"):
        write_bundle(folder, make_manifest(temperature=None), make_files())
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]
