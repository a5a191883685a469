"""What the package exports: names that exist, are sorted, and cost nothing until they are used."""

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import hyperclip

ROOT = Path(__file__).parents[1]
PUBLIC = (
    "BundleError",
    "Classifier",
    "HyperclipError",
    "InputError",
    "MissingExtraError",
    "Model",
    "NotSpecializedError",
    "__version__",
    "load",
)
SHOP_PACKAGES = ("hyperclip", "hyperclip.bundle", "hyperclip.runtime", "hyperclip.zoo", "hyperclip.evaluate")


def test_the_package_exports_exactly_these_names() -> None:
    assert tuple(hyperclip.__all__) == PUBLIC


@pytest.mark.parametrize("package", SHOP_PACKAGES)
def test_every_exported_name_exists_and_is_listed_once(package: str) -> None:
    module = importlib.import_module(package)
    assert sorted(set(module.__all__)) == sorted(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is not None
        assert name in dir(module)


@pytest.mark.parametrize("package", SHOP_PACKAGES)
def test_other_names_are_refused(package: str) -> None:
    module = importlib.import_module(package)
    with pytest.raises(AttributeError, match="no_such_name"):
        module.no_such_name  # noqa: B018


@pytest.mark.parametrize(
    ("error", "built_in"),
    [
        ("InputError", ValueError),
        ("BundleError", ValueError),
        ("NotSpecializedError", AttributeError),
        ("MissingExtraError", ImportError),
    ],
)
def test_each_error_is_also_a_built_in_one(error: str, built_in: type[Exception]) -> None:
    assert issubclass(getattr(hyperclip, error), hyperclip.HyperclipError)
    assert issubclass(getattr(hyperclip, error), built_in)


def test_importing_the_package_imports_nothing_else() -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r}); before = set(sys.modules); import hyperclip;"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before};"
        "print(sorted(new - set(sys.stdlib_module_names)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "['hyperclip']"


def test_the_version_stands_in_two_places_and_is_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == hyperclip.__version__
