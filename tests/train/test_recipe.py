"""Recipes: read, overridden, refused with the nearest known key, and written back."""

import datetime
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install 'hyperclip[train]'")

from hyperclip.errors import InputError
from hyperclip.train.recipe import (
    OptimizerConfig,
    RunConfig,
    apply_overrides,
    from_mapping,
    read_toml,
    to_toml,
)

pytestmark = pytest.mark.torch


@dataclass(frozen=True, kw_only=True)
class Part:
    """A section inside a section."""

    path: str
    share: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Whole:
    """Every kind of value that a recipe may hold."""

    name: str
    count: int = 1
    share: float = 0.5
    is_on: bool = False
    sizes_px: tuple[int, ...] = ()
    parts: tuple[Part, ...] = ()
    factors: dict[str, float] = field(default_factory=dict)
    extra: Part | None = None


def whole(**values: object) -> Whole:
    return from_mapping(Whole, {"name": "a", **values}, where="whole")


def test_values_of_every_kind_are_read() -> None:
    read = whole(
        share=2, is_on=True, sizes_px=[32, 64], parts=[{"path": "b"}, {"path": "c", "share": 0.25}],
        factors={"head.": 0}, extra={"path": "d"},
    )  # fmt: skip

    assert read == Whole(
        name="a", share=2.0, is_on=True, sizes_px=(32, 64), factors={"head.": 0.0}, extra=Part(path="d"),
        parts=(Part(path="b"), Part(path="c", share=0.25)),
    )  # fmt: skip
    assert isinstance(read.share, float)
    assert isinstance(read.factors["head."], float)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"nmae": "a"}, ["whole.nmae", "did you mean 'name'"]),
        ({"zzzzzz": 1}, ["whole.zzzzzz", "expected one of count, extra, factors"]),
        ({"extra": {"path": "a", "shrae": 1}}, ["whole.extra.shrae", "did you mean 'share'"]),
        ({"parts": [{"path": "a"}, {"pth": "b"}]}, ["whole.parts[1].pth", "did you mean 'path'"]),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(values: dict[str, object], words) -> None:
    with pytest.raises(InputError) as caught:
        whole(**values)

    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"count": 1.5}, ["whole.count is 1.5", "int"]),
        ({"count": True}, ["whole.count is True", "int"]),
        ({"share": "much"}, ["whole.share is 'much'", "float"]),
        ({"share": True}, ["whole.share is True", "float"]),
        ({"is_on": 1}, ["whole.is_on is 1", "bool"]),
        ({"name": 3}, ["whole.name is 3", "str"]),
        ({"sizes_px": 32}, ["whole.sizes_px is 32", "list"]),
        ({"sizes_px": [32, "64"]}, ["whole.sizes_px[1] is '64'", "int"]),
        ({"factors": [1]}, ["whole.factors is [1]", "table"]),
        ({"factors": {"a": "b"}}, ["whole.factors.a is 'b'", "float"]),
        ({"extra": 3}, ["whole.extra is 3", "section"]),
        ({"parts": [3]}, ["whole.parts[0] is 3", "section"]),
    ],
)
def test_a_value_of_another_kind_is_refused(values: dict[str, object], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        whole(**values)

    for word in words:
        assert word in str(caught.value)


def test_missing_keys_are_named() -> None:
    with pytest.raises(InputError, match=r"run lacks objective, n_steps"):
        from_mapping(RunConfig, {}, where="run")


def test_a_section_that_is_a_value_is_refused() -> None:
    with pytest.raises(InputError, match=r"run is 3; expected a section; write it as \[run\]"):
        from_mapping(RunConfig, 3, where="run")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"n_steps": 0}, "run.n_steps is 0"),
        ({"log_every": 0}, "run.log_every is 0"),
        ({"evaluate_every": 0}, "run.evaluate_every is 0"),
        ({"checkpoint_minutes": float("nan")}, "run.checkpoint_minutes is nan"),
        ({"seed": -1}, "run.seed is -1"),
        ({"ema_decay": 1.0}, "run.ema_decay is 1.0"),
        ({"precision": "half"}, "run.precision is 'half'"),
    ],
)
def test_run_values_out_of_range_are_refused(values: dict[str, object], word: str) -> None:
    with pytest.raises(InputError, match=word):
        from_mapping(RunConfig, {"objective": "text", "n_steps": 1, **values}, where="run")


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"peak_lr": 0.0}, "optimizer.peak_lr is 0.0"),
        ({"peak_lr": float("nan")}, "optimizer.peak_lr is nan"),
        ({"max_grad_norm": 0}, "optimizer.max_grad_norm is 0.0"),
        ({"warmup_steps": -1}, "optimizer.warmup_steps is -1"),
        ({"weight_decay": -0.1}, "optimizer.weight_decay is -0.1"),
        ({"final_lr_share": 2}, "optimizer.final_lr_share is 2.0"),
        ({"beta2": 1}, "optimizer.beta2 is 1.0"),
        ({"lr_factors": {"head.": -1}}, "lr_factors of 'head.' is -1.0"),
    ],
)
def test_optimizer_values_out_of_range_are_refused(values: dict[str, object], word: str) -> None:
    with pytest.raises(InputError, match=word):
        from_mapping(OptimizerConfig, values, where="optimizer")


def test_overrides_set_values_of_each_kind_and_leave_the_recipe_as_it_was() -> None:
    values = {"run": {"seed": 0, "day": datetime.date(2024, 1, 2)}}

    changed = apply_overrides(
        values,
        [
            "run.seed=3",
            "run.precision=bfloat16",
            "optimizer.peak_lr = 1e-4",
            'optimizer.lr_factors."head."=0',
            "data.sizes_px=[32, 64]",
            "text.data=runs/a = b",
            "run.description=",
        ],
    )

    assert changed == {
        "run": {"seed": 3, "day": datetime.date(2024, 1, 2), "precision": "bfloat16", "description": ""},
        "optimizer": {"peak_lr": 1e-4, "lr_factors": {"head.": 0}},
        "data": {"sizes_px": [32, 64]},
        "text": {"data": "runs/a = b"},
    }
    assert values == {"run": {"seed": 0, "day": datetime.date(2024, 1, 2)}}


@pytest.mark.parametrize(
    "override", ["run.seed", "=3", "run..seed=3", ".seed=3", "", "run seed=3", "[run]=3"]
)
def test_an_override_of_another_form_is_refused(override: str) -> None:
    with pytest.raises(InputError, match=r"expected section\.key=value"):
        apply_overrides({}, [override])


@pytest.mark.parametrize("override", ["run.seed.more=3", "data.sets.share=1"])
def test_an_override_through_a_value_is_refused(override: str) -> None:
    with pytest.raises(InputError, match="which is a value; expected a section"):
        apply_overrides({"run": {"seed": 0}, "data": {"sets": [{"share": 2}]}}, [override])


def test_what_is_written_as_toml_is_read_back_the_same() -> None:
    values = {
        "text": 'quotes " \\ and a line\nbreak, \x00\x1f\x7f controls, 猫 and 😀',
        "numbers": [1, -2.5, 1e-8, 1e22, float("inf")],
        "is_on": True,
        "day": datetime.date(2024, 1, 2),
        "empty": [],
        "nested": [[1, 2], ["a"]],
        "mixed": [1, {"a": {"b": 2}}],
        "run": {"seed": 0, "lr_factors": {"head.": 0.0, "": 1.0, "é-1": 2.0, "a-b": 3}},
        "sets": [{"cache": "a", "augment": {"blur": 0.1}}, {"cache": "b", "more": [{"x": 1}, {"x": 2}]}],
        "bare": {},
    }

    assert tomllib.loads(to_toml(values)) == values


def test_none_is_left_out_of_toml() -> None:
    assert tomllib.loads(to_toml({"a": None, "b": {"c": None, "d": 1}})) == {"b": {"d": 1}}


@pytest.mark.parametrize(
    ("content", "word"),
    [(b"a = ", "not valid TOML"), (b"a = '\xff'", "not valid TOML"), (b"#" * 1_000_001, "more than 1 MB"),
     (b"a = " + b"[" * 50_000, "not valid TOML")],
)  # fmt: skip
def test_a_file_that_is_no_recipe_is_one_sentence(tmp_path: Path, content: bytes, word: str) -> None:
    (tmp_path / "a.toml").write_bytes(content)

    with pytest.raises(InputError, match=word) as caught:
        read_toml(tmp_path / "a.toml")
    assert "\n" not in str(caught.value)


def test_a_missing_recipe_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_toml(tmp_path / "gone.toml")
