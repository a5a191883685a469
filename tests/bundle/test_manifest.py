"""What model.json may say, and that it says it in exactly one way."""

import copy
import dataclasses
import json
from typing import Any

import pytest

from hyperclip.bundle import FileEntry, GeneratedParameter, ImageSpec, Manifest
from hyperclip.errors import BundleError
from tiny_bundle import layout, make_manifest

ENTRY = FileEntry(sha256="0" * 64, size_bytes=3)


def rewritten(change: dict[str, Any]) -> bytes:
    """Return a manifest's JSON with some top-level values replaced."""
    value = json.loads(make_manifest().to_json())
    value.update(change)
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True).encode() + b"\n"


def test_manifest_survives_json_unchanged() -> None:
    manifest = dataclasses.replace(make_manifest(temperature=None), files={"README.md": ENTRY})
    again = Manifest.from_json(manifest.to_json())
    assert again == manifest
    assert again.to_json() == manifest.to_json()


def test_manifest_can_be_copied_and_taken_apart() -> None:
    manifest = dataclasses.replace(make_manifest(), files={"README.md": ENTRY})
    assert copy.deepcopy(manifest) == manifest
    assert dataclasses.asdict(manifest)["files"]["README.md"]["size_bytes"] == 3


def test_manifest_has_the_keys_of_the_format() -> None:
    value = json.loads(make_manifest().to_json())
    assert value["format"] == "hyperclip-bundle"
    assert value["format_version"] == 1
    assert set(value["images"]) == {
        "size_px", "sizes_px", "resize", "crop_ratio", "interpolation", "mean", "std",
    }  # fmt: skip
    assert value["generated"][0] == {"name": "norm1.scale", "size": 8, "offset": 0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1}, "unknown key 'colour'"),
        ({"format": "zip"}, "not the manifest of a hyperclip model"),
        ({"format_version": 2}, "format_version 2"),
        ({"name": "../x"}, "name is"),
        ({"name": 3}, "name is 3"),
        ({"licence": ""}, "licence"),
        ({"training_data": "photos"}, "training_data"),
        ({"generated": [{"name": "a", "size": 3, "offset": 1}]}, "expected 0"),
        ({"generated": [{"name": "a", "size": 0, "offset": 0}]}, "size is 0"),
        ({"files": {"../../etc/passwd": {"sha256": "0" * 64, "size_bytes": 1}}}, "plain file names"),
        ({"files": {"model.json": {"sha256": "0" * 64, "size_bytes": 1}}}, "plain file names"),
        ({"files": {"a": {"sha256": "xyz", "size_bytes": 1}}}, "64 hexadecimal"),
        ({"files": {"a": {"sha256": "0" * 64, "size_bytes": -1}}}, "size_bytes is -1"),
        ({"images": None}, "expected an object"),
    ],
)
def test_manifest_refuses_what_the_format_does_not_have(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BundleError, match=message) as caught:
        Manifest.from_json(rewritten(change))
    assert len(str(caught.value).encode()) < 1500


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("images", {"size_px": 0}),
        ("images", {"size_px": 100_000}),
        ("images", {"sizes_px": [16]}),
        ("images", {"resize": "stretch"}),
        ("images", {"crop_ratio": 0}),
        ("images", {"interpolation": "nearest"}),
        ("images", {"mean": [0.5, 0.5]}),
        ("images", {"std": [0.5, 0.5, 0.0]}),
        ("images", {"sise_px": 3}),
        ("text", {"templates": []}),
        ("text", {"templates": ["a photo"]}),
        ("text", {"context_length": 1}),
        ("text", {"lowercase": 1}),
        ("text", {"pad_token": None}),
        ("head", {"kind": "cosine"}),
        ("head", {"dim": 0}),
        ("head", {"activation": "relu"}),
        ("head", {"temperature": 0}),
        ("head", {"temperature": "warm"}),
    ],
)
def test_manifest_checks_every_range(part: str, change: dict[str, Any]) -> None:
    value = json.loads(make_manifest().to_json())[part]
    with pytest.raises(BundleError, match="model"):
        Manifest.from_json(rewritten({part: {**value, **change}}))


def test_manifest_notices_an_edit_that_is_valid_in_itself() -> None:
    """A changed temperature is legal JSON, but not what was released under this fingerprint."""
    data = make_manifest().to_json()
    assert b'"temperature": 0.5' in data
    with pytest.raises(BundleError, match="changed after it was written"):
        Manifest.from_json(data.replace(b'"temperature": 0.5', b'"temperature": 0.6'))
    with pytest.raises(BundleError, match="changed after it was written"):
        Manifest.from_json(data + b" ")


def test_fingerprint_covers_settings_and_files() -> None:
    plain = make_manifest()
    warmer = make_manifest(temperature=0.6)
    other_file = dataclasses.replace(plain, files={"README.md": ENTRY})
    assert len({plain.fingerprint, warmer.fingerprint, other_file.fingerprint}) == 3
    assert plain.fingerprint == make_manifest().fingerprint


def test_image_spec_without_other_sizes_has_its_own() -> None:
    spec = ImageSpec(
        size_px=96, resize="crop", crop_ratio=1.0, interpolation="bicubic", mean=(0, 0, 0), std=(1, 1, 1)
    )
    assert spec.sizes_px == (96,)


def test_layout_names_each_parameter_once() -> None:
    twice = (
        GeneratedParameter(name="a", size=2, offset=0),
        GeneratedParameter(name="a", size=2, offset=2),
    )
    with pytest.raises(BundleError, match="twice"):
        dataclasses.replace(make_manifest(), generated=twice)
    assert make_manifest().n_generated == sum(parameter.size for parameter in layout())


def test_layout_may_be_empty() -> None:
    assert dataclasses.replace(make_manifest(), generated=()).n_generated == 0
