"""What the tests of the command line share: a tiny model, pictures, and a way to run commands."""

from collections.abc import Callable
from pathlib import Path

import pytest

from command_line import Outcome, save_pictures


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of a few kilobytes."""
    from hyperclip.bundle import write_bundle
    from tiny_bundle import make_files, make_manifest

    folder = tmp_path_factory.mktemp("models") / "tiny"
    write_bundle(folder, make_manifest(), make_files())
    return folder


@pytest.fixture
def run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Outcome]:
    """Run a command in an empty folder."""
    from hyperclip.cli.main import build_app

    monkeypatch.chdir(tmp_path)

    def run_command(*arguments: object) -> Outcome:
        capsys.readouterr()  # what fixtures said
        with pytest.raises(SystemExit) as ended:
            build_app()([str(argument) for argument in arguments], prog_name="hyperclip")
        captured = capsys.readouterr()
        code = ended.value.code
        return Outcome(code if isinstance(code, int) else 0, captured.out, captured.err)

    return run_command


@pytest.fixture
def classifier_file(model_folder: Path, tmp_path: Path) -> Path:
    """A classifier of three classes."""
    from hyperclip.runtime.specialize import load

    path = tmp_path / "pets.onnx"
    load(model_folder).specialize(["cat", "dog", "猫 [red]"]).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of three pictures, one of them in a folder of its own."""
    save_pictures(tmp_path / "photos", ["10.png", "2.png"])
    save_pictures(tmp_path / "photos" / "more", ["a.png"], seed=1)
    return tmp_path / "photos"


@pytest.fixture
def labeled(tmp_path: Path) -> Path:
    """A data set of two classes with three and one pictures."""
    save_pictures(tmp_path / "data" / "Dog", ["1.png", "2.png", "3.png"], seed=2)
    save_pictures(tmp_path / "data" / "cat", ["1.png"], seed=3)
    return tmp_path / "data"
