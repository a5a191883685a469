"""Tables of speed and size, from a stored result."""

from typing import Any

from benchmarks.readme_tables import markdown_table, percent_with_interval

__all__ = ["SHOWN", "tables"]

SHOWN = {
    "model": "classifier file",
    "model_photo": "classifier file, from 640 × 480",
    "mobileclip_s0": "MobileCLIP-S0 image tower",
    "vit_b32": "ViT-B/32",
}


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Return ``pairs`` (specialized beside plain) and ``sizes`` (beside other towers)."""
    metrics = results["metrics"]
    return {"pairs": _pairs(metrics["pairs"]), "sizes": _sizes(metrics)}


def _pairs(pairs: dict[str, Any]) -> str:
    rows = []
    for size_px, found in pairs.items():
        wall, cpu = found["ratio_wall"], found["ratio_cpu"]
        rows.append(
            [
                f"{size_px} px",
                f"{found['specialized']['wall_ms']:.2f}",
                f"{found['plain']['wall_ms']:.2f}",
                _ratio(wall),
                _ratio(cpu),
                wall["n_rounds"],
            ]
        )
    header = ["size", "specialized, ms", "plain, ms", "ratio [spread]", "ratio, CPU time", "pairs"]
    return markdown_table(header, rows)


def _ratio(found: dict[str, Any]) -> str:
    low, high = found["spread"]
    return f"{found['median']:.3f} [{low:.3f}, {high:.3f}]"


def _sizes(metrics: dict[str, Any]) -> str:
    rows = []
    for size_px, models in metrics["sizes"].items():
        for name, found in models.items():
            accuracy = metrics["caltech101"].get(size_px) if name == "model" else None
            low, high = found["wall_ms_spread"]
            rows.append(
                [
                    f"{SHOWN[name]}, {size_px} px",
                    f"{found['size_bytes'] / 1e6:.1f}",
                    f"{found['wall_ms']:.2f} [{low:.2f}, {high:.2f}]",
                    f"{found['cpu_ms']:.2f}",
                    f"{found['images_per_s']:.0f}",
                    percent_with_interval(accuracy["acc1"], accuracy["acc1_interval"]) if accuracy else "–",
                ]
            )
    header = ["file", "MB", "ms a picture [spread]", "CPU ms", "pictures/s, batches of 16", "caltech101, %"]
    return markdown_table(header, rows)
