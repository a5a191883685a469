"""What a file says about itself comes back as it was, and nothing else is believed."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperclip.errors import BundleError
from hyperclip.runtime.metadata import ClassMeaning, HeadInfo, Licence, Metadata, ModelInfo
from tiny_bundle import make_manifest

NAME = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)


def make(class_names: tuple[str, ...] = ("cat", "👩‍🚀")) -> Metadata:
    """Return metadata for some classes."""
    return Metadata(
        class_names=class_names,
        meanings=tuple(ClassMeaning(text=None, wnid=None, source="none") for _ in class_names),
        phrasings=tuple(() for _ in class_names),
        templates=("{}",),
        images=make_manifest().images,
        head=HeadInfo(kind="linear", activation="softmax", dim=10),
        temperature=None,
        threshold=None,
        model=ModelInfo(name="tiny", version="1", fingerprint="0" * 64),
        licence=Licence(licence="MIT", commercial_use="Yes.", training_data=("x",), origin="Here."),
        producer="hyperclip",
    )


def as_props(metadata: Metadata) -> dict[str, str]:
    """Return metadata as they lie in a file."""
    values = {**metadata.to_values(), "fingerprint": "1" * 64}
    return {f"hyperclip.{key}": json.dumps(value) for key, value in values.items()}


@settings(max_examples=100, deadline=None)
@given(st.lists(NAME, min_size=1, max_size=5))
def test_metadata_survive_the_round_trip_with_any_names(names: list[str]) -> None:
    metadata = make(tuple(names))
    again = Metadata.from_props(as_props(metadata), where="x")
    assert again.class_names == tuple(names)
    assert again.fingerprint == "1" * 64
    assert again.to_values() == metadata.to_values()


def test_keys_are_those_of_the_format() -> None:
    assert set(make().to_values()) == {
        "format_version", "class_names", "meanings", "phrasings", "templates", "images", "head",
        "calibration", "threshold", "model", "licence", "producer",
    }  # fmt: skip
    assert make().to_values()["calibration"] == {"temperature": None}
    assert make().to_values()["threshold"] is None


def test_entries_of_others_and_of_later_versions_are_ignored() -> None:
    props = {**as_props(make()), "author": "somebody", "hyperclip.adapted_from": '"x"'}
    assert Metadata.from_props(props, where="x").class_names == ("cat", "👩‍🚀")


def test_a_foreign_model_is_told_from_a_damaged_one() -> None:
    with pytest.raises(BundleError, match="no hyperclip classifier"):
        Metadata.from_props({"author": "somebody"}, where="resnet.onnx")


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("format_version", "2"),
        ("format_version", "null"),
        ("class_names", "{"),
        ("class_names", "[]"),
        ("class_names", '"cat"'),
        ("class_names", '["cat"]'),
        ("class_names", '["cat", 3]'),
        ("class_names", '["cat", "a\\nb"]'),
        ("class_names", "[" * 100_000),
        ("meanings", "[null, null]"),
        ("meanings", '[{"text": 1, "wnid": null, "source": "none"}]'),
        ("phrasings", "[1, 2]"),
        ("images", "null"),
        ("images", '{"size_px": 1e99}'),
        ("head", '{"kind": "exec", "activation": "softmax", "dim": 1}'),
        ("head", '{"kind": "linear", "activation": "softmax", "dim": 1e999}'),
        ("calibration", '{"temperature": -1}'),
        ("calibration", "3"),
        ("threshold", "2"),
        ("threshold", "NaN"),
        ("model", "[]"),
        ("licence", '{"licence": "MIT"}'),
    ],
)
def test_damaged_entries_are_one_sentence(key: str, text: str) -> None:
    with pytest.raises(BundleError) as caught:
        Metadata.from_props({**as_props(make()), f"hyperclip.{key}": text}, where="'x.onnx'")
    assert str(caught.value).startswith("'x.onnx'")
    assert len(str(caught.value).encode()) < 1500


@pytest.mark.parametrize("key", ["class_names", "images", "calibration", "threshold", "fingerprint"])
def test_a_missing_entry_is_one_sentence(key: str) -> None:
    props = as_props(make())
    del props[f"hyperclip.{key}"]
    with pytest.raises(BundleError, match="damaged"):
        Metadata.from_props(props, where="x")
