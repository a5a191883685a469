"""Fixtures that several test folders share."""

import os
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that tests can import `tiny_bundle`


@pytest.fixture(params=["linear", "log_mixture", "mixture_plus_linear"])
def head_kind(request: pytest.FixtureRequest) -> str:
    """Each kind of head in turn."""
    return str(request.param)


@pytest.fixture
def tiny_folder(tmp_path: Path, head_kind: str) -> Path:
    """A model folder of a few kilobytes, for each kind of head."""
    from hyperclip.bundle import write_bundle
    from tiny_bundle import make_files, make_manifest

    folder = tmp_path / "tiny"
    write_bundle(folder, make_manifest(kind=head_kind), make_files(kind=head_kind))
    return folder


@pytest.fixture
def pictures() -> list[npt.NDArray[np.uint8]]:
    """Five pictures of different sizes with a fixed seed."""
    rng = np.random.default_rng(7)
    sizes = [(40, 60), (32, 32), (90, 31), (17, 200), (64, 64)]
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of shared data sets: HYPERCLIP_DATA, or ``../shared/data`` beside the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("HYPERCLIP_DATA") or beside)
    if not folder.is_dir():
        pytest.skip(f"there is no data folder {folder}; set HYPERCLIP_DATA")
    return folder
