"""JSON that can be read back, a page that no name can break out of, a picture of every layer."""

import json
from pathlib import Path

import pytest

from hyperclip.compress.contract import Layer, MethodReport
from hyperclip.compress.measure import Comparison, Side
from hyperclip.compress.report import report_paths, write_report
from hyperclip.compress.timing import Latency

EVIL = "</td><script>alert(1)</script>"
LAYERS = tuple(
    Layer(
        name=name, part="classifier", kind="Conv", shape_before=(8, 4, 1, 1), shape_after=(8, 4, 1, 1),
        n_nonzero_before=32, n_nonzero_after=left, macs_before=100, macs_after=100, note=note,
    )
    for name, left, note in (("stem", 32, "first convolution"), (EVIL, 16, ""), ("$x_1$", 8, ""))
)  # fmt: skip
REPORT = MethodReport(
    method="wanda",
    settings={"sparsity": 0.5, "keep": []},
    layers=LAYERS,
    n_calibration_images=7,
    notes=("Mind.",),
)


def side(**values: object) -> Side:
    return Side(size_bytes=1000, gzip_bytes=900, multiply_adds=300, n_parameters=96, n_nonzero=56, **values)


def comparison(*, labels: bool) -> Comparison:
    figures = {"accuracy": 0.5, "accuracy_interval": (0.3, 0.7), "calibration_error": 0.1} if labels else {}
    return Comparison(
        before=side(corrupted={"fog": 0.4, "snow": 0.2}, **figures),
        after=side(corrupted={"fog": 0.3, "snow": 0.1}, **figures),
        latency=Latency(ratio=1.01, low=0.98, high=1.04, before_ms=2.0, after_ms=2.02, n_rounds=9),
        agreement=0.75, n_images=20, n_corrupted=10, has_labels=labels,
    )  # fmt: skip


@pytest.mark.parametrize("labels", [True, False])
def test_json_holds_every_figure(tmp_path: Path, labels: bool) -> None:
    written = write_report(
        REPORT, comparison(labels=labels), report_paths(tmp_path / "a.onnx"), title="a.onnx"
    )
    value = json.loads(written.paths["json"].read_text(encoding="utf-8"))
    assert value["method"] == "wanda"
    assert value["after"]["mean_corrupted"] == pytest.approx(0.2)
    assert value["latency"]["ratio"] == 1.01
    assert [layer["sparsity"] for layer in value["layers"]] == [0.0, 0.5, 0.75]
    assert value["layers"][0]["note"] == "first convolution"
    assert (value["before"]["accuracy"] is None) is not labels


def test_the_page_stands_alone_and_names_cannot_break_out(tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    written = write_report(REPORT, comparison(labels=True), report_paths(tmp_path / "a.onnx"), title=EVIL)
    page = written.paths["html"].read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "data:image/png;base64," in page
    assert "http" not in page.replace("data:image", "")
    for words in ("first convolution", "Mind.", "accuracy, fog, severity 3", "1.01 (0.98 to 1.04)", "75.0%"):
        assert words in page


def test_the_picture_is_a_png(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from PIL import Image

    written = write_report(REPORT, comparison(labels=False), report_paths(tmp_path / "thin"), title="thin")
    assert written.paths["png"] == tmp_path / "thin.report.png"
    with Image.open(written.paths["png"]) as picture:
        assert picture.format == "PNG"
        assert picture.width > 1000


def test_a_report_goes_beside_files_and_folders() -> None:
    assert report_paths("x/small.onnx")["json"] == Path("x/small.report.json")
    assert report_paths("x/small.v2")["png"] == Path("x/small.v2.report.png")
