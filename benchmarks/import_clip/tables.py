"""Tables of the benchmark's README."""

from typing import Any

from benchmarks.readme_tables import NOT_RUN, markdown_table

__all__ = ["tables"]


def tables(result: dict[str, Any]) -> dict[str, str]:
    """Return the named tables of a result."""
    metrics = result["metrics"]
    return {
        "parity": _parity(metrics["parity"]) if "parity" in metrics else NOT_RUN,
        "costs": _costs(metrics["parity"], metrics["costs"]) if "costs" in metrics else NOT_RUN,
        "beside": _beside(metrics["beside"], metrics["cold"])
        if {"beside", "cold"} <= metrics.keys()
        else NOT_RUN,
    }


def _parity(found: dict[str, Any]) -> str:
    header = [
        "architecture", "pictures", "padding", "head", "logits", "file alone", "pixels", "text", "image",
        "other best class", "wrong padding or mask moves text by",
    ]  # fmt: skip
    rows = [
        [
            name + (" (tokenizer trained here)" if one["has_trained_tokenizer"] else ""),
            f"{one['size_px']} px, {one['resize']}",
            one["padding"],
            one["activation"],
            _power(one["logits_share"]),
            _power(one["logits_of_file_share"]),
            _power(one["pixels_difference"]),
            _power(one["text_vectors_difference"]),
            _power(one["image_vectors_difference"]),
            one["n_top1_differs"],
            _power(one["wrong_padding_difference"]),
        ]
        for name, one in found.items()
    ]
    return markdown_table(header, rows)


def _costs(found: dict[str, Any], costs: dict[str, Any]) -> str:
    header = ["architecture", "parameters, M", "folder, MB", "file, MB", "ms a picture",
              "load, s", "10 names to the file, s"]  # fmt: skip
    rows = [
        [
            name,
            f"{one['parameters'] / 1e6:.1f}",
            f"{one['bundle_bytes'] / 1e6:.1f}",
            f"{cost['file_bytes'] / 1e6:.1f}",
            f"{cost['one_thread_ms']:.0f}",
            f"{cost['load_s']:.1f}",
            f"{cost['names_to_file_s']:.2f}",
        ]
        for name, one in found.items()
        for cost in [costs[name]]
    ]
    return markdown_table(header, rows)


def _beside(found: dict[str, Any], cold: dict[str, Any]) -> str:
    rows = []
    for name, one in found.items():
        for n_threads, times in one["threads"].items():
            rows.append(
                [
                    f"{name}: pictures/s, {n_threads} {'thread' if n_threads == '1' else 'threads'}",
                    f"{times['file_images_per_s']:.1f}",
                    f"{times['source_images_per_s']:.1f}",
                    _spread(times["ratio_wall"], 2),
                ]
            )
        start = cold[name]
        rows += [
            [f"{name}: start to first answer, s", f"{start['file_s']:.2f}", f"{start['source_s']:.2f}",
             _spread(start["ratio_s"], 1)],
            [f"{name}: largest memory, MB", f"{start['file_peak_mb']:.0f}", f"{start['source_peak_mb']:.0f}",
             f"{start['source_peak_mb'] / start['file_peak_mb']:.1f}"],
            [f"{name}: bytes on disk, MB", f"{one['file_bytes'] / 1e6:.0f}",
             f"{one['source_bytes'] / 1e6:.0f}",
             f"{one['source_bytes'] / one['file_bytes']:.1f}"],
        ]  # fmt: skip
    return markdown_table(["", "classifier file", "open_clip", "ratio"], rows)


def _spread(ratio: dict[str, Any], n_digits: int) -> str:
    low, high = ratio["spread"]
    return f"{ratio['median']:.{n_digits}f} [{low:.{n_digits}f}, {high:.{n_digits}f}]"


def _power(value: float) -> str:
    return "0" if value == 0 else f"{value:.0e}"
