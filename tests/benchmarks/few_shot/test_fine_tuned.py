"""The tables of the method that trains: means over seeds, corruptions averaged seed by seed."""

from benchmarks.few_shot.tables import tables

RESULT = {
    "metrics": {
        "fine_tuned": {
            "sets": {
                "waste": {
                    "shots": {
                        "4": {
                            "slr_avd": {
                                "acc1": [0.3, 0.5],
                                "fit_seconds": [1.0, 2.0],
                                "corrupted": {"fog": [0.1, 0.2], "contrast": [0.3, 0.4]},
                            },
                            "slr_ft": {
                                "acc1": [0.4, 0.6],
                                "fit_seconds": [60.0, 70.0],
                                "share": [0.5, 0.75],
                                "corrupted": {"fog": [0.2, 0.2], "contrast": [0.4, 0.4]},
                            },
                        }
                    }
                }
            }
        }
    }
}


def test_each_method_has_a_row_with_clean_and_corrupted_accuracy() -> None:
    header, _, *rows = tables(RESULT)["fine_tuned"].splitlines()
    assert header == "| right, % | clean, 4 shots | corrupted, 4 shots |"
    assert [row.split(" | ")[0] for row in rows] == ["| waste, slr_avd", "| waste, slr_ft"]
    assert "40.0 ±" in rows[0]
    assert "25.0 ±" in rows[0]


def test_the_difference_to_the_start_is_taken_seed_by_seed() -> None:
    row = tables(RESULT)["fine_tuned_fits"].splitlines()[-1]
    assert "waste, 4 | +10.0 ± 0.0 | +5.0 ± 63.5 | 0.5, 0.75 | 65 | 1.5" in row


def test_a_result_without_any_part_has_no_tables() -> None:
    assert tables({"metrics": {}}) == {}
