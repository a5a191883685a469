"""The key ``shares`` names another model and what must be there, and nothing that could be a path."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from hyperclip.bundle import Manifest, Shares, write_bundle
from hyperclip.errors import BundleError
from tiny_bundle import make_encoder, make_files, make_manifest, write_pair

ENTRY = {"sha256": "0" * 64, "size_bytes": 3}
GOOD = {"bundle": "small", "files": {"specializer.onnx": ENTRY}}


def with_shares(value: object) -> bytes:
    """Return a manifest's JSON with another value of ``shares``."""
    manifest = json.loads(make_manifest().to_json())
    manifest["shares"] = value
    return json.dumps(manifest, ensure_ascii=False, indent=2, sort_keys=True).encode() + b"\n"


def test_a_manifest_with_shares_survives_json_unchanged(tmp_path: Path) -> None:
    manifest = write_pair(tmp_path)
    again = Manifest.from_json(manifest.to_json())
    assert again == manifest
    assert again.shares is not None
    assert set(again.shares.files) == {"specializer.onnx", "tokenizer.json"}
    assert set(again.all_files) == {"encoder.onnx", "README.md", "specializer.onnx", "tokenizer.json"}


def test_a_manifest_without_shares_has_no_such_key() -> None:
    assert "shares" not in json.loads(make_manifest().to_json())
    with pytest.raises(BundleError):
        Manifest.from_json(with_shares(None))


def test_the_fingerprint_covers_shared_files(tmp_path: Path) -> None:
    manifest = write_pair(tmp_path)
    assert manifest.shares is not None
    entry = dataclasses.replace(manifest.shares.files["tokenizer.json"], sha256="0" * 64)
    shares = Shares(bundle="tiny", files={**manifest.shares.files, "tokenizer.json": entry})
    assert dataclasses.replace(manifest, shares=shares).fingerprint != manifest.fingerprint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bundle": "../small"}, r"never a path"),
        ({"bundle": "a/b"}, "never a path"),
        ({"bundle": ".."}, "never a path"),
        ({"bundle": "a.b"}, "never a path"),
        ({"bundle": "C:small"}, "never a path"),
        ({"bundle": ""}, "never a path"),
        ({"bundle": "small\n"}, "never a path"),
        ({"bundle": "x" * 65}, "never a path"),
        ({"bundle": 3}, "shares.bundle is 3"),
        ({"files": {}}, "at least one file"),
        ({"files": []}, "expected an object"),
        ({"files": {"../encoder.onnx": ENTRY}}, "plain file names"),
        ({"files": {"model.json": ENTRY}}, "plain file names"),
        ({"files": {"a": {"sha256": "0" * 64}}}, "no key 'size_bytes'"),
        ({"files": {"a": {**ENTRY, "url": "x"}}}, "unknown key 'url'"),
        ({"folder": "x"}, "unknown key 'folder'"),
    ],
)
def test_what_could_lead_elsewhere_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BundleError, match=message) as caught:
        Manifest.from_json(with_shares({**GOOD, **change}))
    assert len(str(caught.value).encode()) < 1500


def test_a_file_is_shared_or_its_own(tmp_path: Path) -> None:
    manifest = write_pair(tmp_path)
    with pytest.raises(BundleError, match=r"'specializer\.onnx' as a file of its own and as a shared one"):
        write_bundle(tmp_path / "both", manifest, make_files())
    assert not (tmp_path / "both").exists()


def test_what_is_neither_shared_nor_given_is_missing(tmp_path: Path) -> None:
    manifest = write_pair(tmp_path)
    assert manifest.shares is not None
    only = Shares(bundle="tiny", files={"tokenizer.json": manifest.shares.files["tokenizer.json"]})
    lacking = dataclasses.replace(manifest, shares=only)
    with pytest.raises(BundleError, match=r"no specializer\.onnx"):
        write_bundle(tmp_path / "lacking", lacking, {"encoder.onnx": make_encoder()})
