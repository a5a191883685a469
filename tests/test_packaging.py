"""What is installed for the tests is pinned, and the pins fit what the package asks for."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pins() -> dict[str, str]:
    """Return package to version from ``constraints.txt``."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.lower().split("==") for line in lines if line and not line.startswith("#"))


def test_everything_that_make_test_installs_is_pinned_to_a_version_that_fits() -> None:
    (extras,) = re.findall(r"^TEST_EXTRAS := (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    wanted = list(PROJECT["dependencies"])
    for extra in extras.split(","):
        wanted += PROJECT["optional-dependencies"][extra]
    pinned = pins()
    for requirement in map(Requirement, wanted):
        if requirement.name == "hyperclip":  # an extra that brings another one along, listed by itself
            assert requirement.extras <= set(extras.split(","))
            continue
        assert requirement.specifier.contains(pinned[requirement.name.lower()]), requirement


def test_every_pin_is_needed() -> None:
    asked = [
        *PROJECT["dependencies"],
        *(text for group in PROJECT["optional-dependencies"].values() for text in group),
    ]
    assert set(pins()) <= {Requirement(text).name.lower() for text in asked}


def test_every_file_that_the_package_reads_is_in_the_wheel() -> None:
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    package = ROOT / "src" / "hyperclip"
    shipped = {path for pattern in setup["package-data"]["hyperclip"] for path in package.glob(pattern)}
    found = {
        path
        for path in package.rglob("*")
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
    }
    assert package / "adapt" / "everyday.json" in shipped
    assert found <= shipped


def test_the_terms_ship_with_the_package() -> None:
    assert PROJECT["license-files"] == ["LICENSE", "NOTICE"]
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    for origin in (
        "EfficientNet-Lite",
        "all-MiniLM-L6-v2",
        "WordNet 3.0 Copyright 2006 by Princeton University",
    ):
        assert origin in notice
