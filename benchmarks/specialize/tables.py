"""Tables of the time that specializing and the commands take, from a stored result."""

from typing import Any

from benchmarks.readme_tables import markdown_table

__all__ = ["tables"]

BOUNDS_S = {"10": "0.25", "1000": "3", "5000": "30"}
_COMMANDS = {
    "help": ("`hyperclip --help`", "0.3 of CPU"),
    "predict": ("`hyperclip predict` of one picture", "0.7"),
    "specialize": ("`hyperclip specialize` of 10 names", "–"),
}


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Return ``names`` (seconds and memory by the number of names) and ``commands``."""
    metrics = results["metrics"]
    rows = [
        [
            f"{int(n_names):,}",
            f"{found['specialize_s']:.3f} [{found['specialize_s_spread'][0]:.3f}, "
            f"{found['specialize_s_spread'][1]:.3f}]",
            BOUNDS_S.get(n_names, "–"),
            f"{found['first_s']:.3f}",
            f"{found['load_s']:.2f}",
            f"{found['loaded_mb']:.0f}",
            f"{found['peak_mb']:.0f}",
            f"{found['file_bytes'] / 1e6:.1f}",
        ]
        for n_names, found in metrics["names"].items()
    ]
    header = [
        "names", "s, model loaded [spread]", "bound, s", "first time, s", "loading, s", "MB loaded",
        "MB at most", "file, MB",
    ]  # fmt: skip
    made = {"names": markdown_table(header, rows)}
    if metrics.get("commands"):
        rows = [
            [
                _COMMANDS[name][0],
                f"{found['wall_s']:.2f} [{found['wall_s_spread'][0]:.2f}, {found['wall_s_spread'][1]:.2f}]",
                f"{found['cpu_s']:.2f}",
                _COMMANDS[name][1],
            ]
            for name, found in metrics["commands"].items()
        ]
        made["commands"] = markdown_table(["command", "s [spread]", "CPU s", "bound, s"], rows)
    return made
