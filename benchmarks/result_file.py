"""One JSON file a measurement: the command, the machine, the versions, and metrics with units in the key.

A folder ``results`` may hold several parts of one benchmark (``2026-11-25-abc1234-arms.json``); the
newest file of each part counts.
"""

import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from hyperclip.bundle.atomic import write_file

__all__ = ["command_line", "hardware", "read_newest", "software", "write_result"]

FORMAT_VERSION = 1
PACKAGES = (
    "numpy",
    "onnx",
    "onnxruntime",
    "Pillow",
    "tokenizers",
    "torch",
    "timm",
    "transformers",
    "pyarrow",
)
REPOSITORY = Path(__file__).resolve().parents[1]


def write_result(
    folder: Path,
    metrics: Mapping[str, Any],
    *,
    config: Mapping[str, Any],
    n_threads: int | None,
    part: str = "",
) -> Path:
    """Write the result of a measurement.

    Parameters
    ----------
    folder : Path
        Usually ``benchmarks/NAME/results``; made where missing.
    metrics : mapping
        Names with units (``latency_ms``; accuracies are fractions of 1) to numbers, lists or mappings.
    config : mapping
        What the command was given, seeds and repeats included.
    n_threads : int or None
        Threads that computed; None for the default.
    part : str
        Which part of a benchmark that is measured in several commands.

    Returns
    -------
    Path
        ``DATE-COMMIT.json`` or ``DATE-COMMIT-PART.json``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    commit = _git("rev-parse", "--short", "HEAD") or "unknown"
    content = {
        "format_version": FORMAT_VERSION,
        "part": part,
        "command": command_line(),
        "date": now.isoformat(timespec="seconds"),
        "commit": commit,
        "is_tree_changed": bool(_git("status", "--porcelain", "--", "src")),
        "config": dict(config),
        "n_threads": n_threads,
        "hardware": hardware(),
        "software": software(),
        "metrics": dict(metrics),
    }
    path = folder / f"{now:%Y-%m-%d}-{commit}{'-' if part else ''}{part}.json"
    text = json.dumps(_plain(content), indent=1, ensure_ascii=False, allow_nan=False)
    write_file(path, f"{text}\n".encode())
    return path


def read_newest(folder: Path) -> dict[str, Any] | None:
    """Return the newest result of a folder, with the metrics of the newest file of every part.

    Parameters
    ----------
    folder : Path
        Holds files of `write_result`, or does not exist.

    Returns
    -------
    dict or None
        The newest file's content; its ``metrics`` are joined over the parts, and ``file_names`` lists
        the files. None where there is no result.
    """
    newest: dict[str, tuple[str, str, dict[str, Any]]] = {}
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        found = (content["date"], path.name, content)
        part = content["part"]
        if part not in newest or found[:2] > newest[part][:2]:
            newest[part] = found
    if not newest:
        return None
    parts = sorted(newest.values(), key=lambda found: found[:2])
    joined: dict[str, Any] = dict(parts[-1][2])
    joined["metrics"] = {key: value for _, _, content in parts for key, value in content["metrics"].items()}
    joined["file_names"] = [name for _, name, _ in parts]
    return joined


def command_line() -> str:
    """Return the command that is running, as a person would type it in the repository."""
    program = sys.modules["__main__"]
    spec = getattr(program, "__spec__", None)
    start = f"python -m {spec.name}" if spec else f"python {Path(sys.argv[0]).name}"
    return " ".join([start, *sys.argv[1:]])


def hardware() -> dict[str, Any]:
    """Return the processor, the usable cores and the memory of this machine; no names of it."""
    try:
        n_cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        n_cores = os.cpu_count() or 1
    return {
        "processor": _processor(),
        "n_cores": n_cores,
        "memory_gb": _memory_gb(),
        "system": platform.system(),
        "machine": platform.machine(),
    }


def software() -> dict[str, str]:
    """Return the versions of Python and of the packages that matter, without importing them."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _processor() -> str:
    """Return the processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def _memory_gb() -> float | None:
    """Return the memory of the machine, where the system tells."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, ValueError, OSError):
        return None


def _git(*arguments: str) -> str:
    """Return what git says about the repository; empty where it says nothing."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold: floats of six digits, null for what is no number, no arrays."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # arrays and scalars of numpy
        return _plain(value.tolist())
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    return value
