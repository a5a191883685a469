"""Tables in READMEs come from stored results."""

import json
from pathlib import Path

import pytest
from benchmarks.readme_tables import NOT_RUN, filled, markdown_table, readmes, signed_points
from benchmarks.result_file import REPOSITORY

BLOCK = "before\n<!-- table: resize/bicubic -->\n{}\n<!-- end of table -->\nafter\n"


@pytest.mark.parametrize("path", readmes(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_stored_tables_match_the_newest_results(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert filled(text) == text, "run `python -m benchmarks.readme_tables`"


def test_a_table_is_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    folder = tmp_path / "resize" / "results"
    folder.mkdir(parents=True)
    metrics = {"differences": {"bicubic": {"64 x 64": {"96": {"max_levels": 3.0}}}}}
    content = {"date": "2026-01-01", "part": "", "metrics": metrics}
    (folder / "2026-01-01-a.json").write_text(json.dumps(content), encoding="utf-8")

    text = filled(BLOCK.format("old"), benchmarks=tmp_path)

    assert text == BLOCK.format(markdown_table(["picture", "to 96 px"], [["64 x 64", "3"]]))
    assert filled(text, benchmarks=tmp_path) == text


def test_a_table_without_a_result_says_so(tmp_path: Path) -> None:
    assert filled(BLOCK.format("old"), benchmarks=tmp_path) == BLOCK.format(NOT_RUN)


def test_differences_show_their_sign() -> None:
    assert signed_points(-0.012, -0.03, 0.004) == "-1.2 [-3.0, +0.4]"
