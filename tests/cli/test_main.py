"""The program as a whole: help, version, wrong usage, and what it imports."""

import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
HEAVY = {"numpy", "onnx", "onnxruntime", "PIL", "torch", "tokenizers", "rich", "pyarrow", "matplotlib"}
COMMANDS = ("specialize", "predict", "evaluate", "inspect", "list", "train")
PROGRAM = f"""
import sys
sys.path.insert(0, {str(SOURCE)!r})
from hyperclip.cli.main import main
try:
    main()
except SystemExit as ended:
    code = ended.code
print("code", code, *sorted({{name.partition(".")[0] for name in sys.modules}}))
"""


def run_program(*arguments: str) -> tuple[str, set[str]]:
    """Run the program in a fresh interpreter; return its output and the packages it imported."""
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True
    )
    output, _, last = result.stdout.rstrip("\n").rpartition("\n")
    assert last.startswith("code 0 "), result.stderr
    return output, set(last.split()[2:])


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), *((name, "--help") for name in COMMANDS)])
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    output, packages = run_program(*arguments)
    assert output
    assert packages & HEAVY == set()


def test_help_lists_every_command() -> None:
    output, _ = run_program("--help")
    for name in COMMANDS:
        assert f"\n  {name} " in output


def test_version_is_that_of_the_package(run) -> None:
    import hyperclip

    assert run("--version").stdout == f"hyperclip {hyperclip.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("no-such-command",),
        ("--no-such-option",),
        ("specialize",),
        ("specialize", "cat", "--names", "names.txt"),
        ("specialize", "cat", "--image-size", "large"),
        ("predict",),
        ("predict", "pets.onnx"),
        ("predict", "pets.onnx", "photos", "--top", "0"),
        ("evaluate", "small"),
        ("inspect",),
        ("train",),
    ],
)
def test_wrong_usage_exits_with_2(run, arguments: tuple[str, ...]) -> None:
    outcome = run(*arguments)
    assert outcome.code == 2
    assert outcome.stdout == ""
    assert "Usage: hyperclip" in outcome.stderr
    assert len(outcome.stderr.encode()) < 1500


def test_a_closed_pipe_ends_quietly(classifier_file: Path, photos: Path) -> None:
    program = PROGRAM.replace("except SystemExit as ended:\n    code = ended.code", "finally:\n    pass")
    process = subprocess.Popen(
        [sys.executable, "-c", program.rpartition("print(")[0], "predict", classifier_file, photos],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait(timeout=60) == 1
