"""Counts of several instances and builds meet in one line of the record."""

from pathlib import Path

import pytest

from rtl_tests import coverage, harness
from rtl_tests.bench_stream_register import CASES
from vecq_hw.bench.runner import COVERAGE
from vecq_hw.errors import VecqError

CELL = "vecq_stream_register"


def point(kind: str, line: int, name: str, count: int, more: str = "") -> str:
    keys = f"\x01f\x02/somewhere/{CELL}.sv\x01l\x02{line}\x01n\x025\x01t\x02{kind}\x01o\x02{name}"
    return f"C '{keys}{more}\x01h\x02TOP.t.u' {count}\n"


def test_a_line_needs_all_its_branches_and_a_bit_both_directions(tmp_path: Path) -> None:
    files = []
    for number, (taken, other) in enumerate(((3, 0), (0, 0))):
        file = tmp_path / f"{number}.dat"
        file.write_text(
            "# head\n"
            + point("line", 3, "if", taken, "\x01S\x023,5-6")
            + point("branch", 6, "cond_then", other)
            + point("toggle", 9, "q[0]:0->1", number)
            + point("toggle", 9, "q[0]:1->0", 0)
        )
        files.append(file)
    cell = coverage.merged(files)[CELL]
    assert sorted(cell.lines) == [3, 5, 6]
    assert cell.missed == [6]
    assert (cell.toggled, len(cell.toggles)) == (1, 2)


@pytest.mark.parametrize(
    ("module", "values", "kind"),
    [
        ("vecq_argmax", {"Elements": "6", "Lanes": "3"}, "several folds, several lanes"),
        ("vecq_fifo", {"LanesIn": "2", "LanesOut": "3"}, "neither width divides the other"),
        (
            "vecq_matrix_vector",
            {"Inputs": "4", "Simd": "4", "Outputs": "6", "Pe": "2", "Groups": "2"},
            "several output folds, one input fold, groups",
        ),
    ],
)
def test_folds_are_named(module: str, values: dict[str, str], kind: str) -> None:
    assert coverage.fold(module, values) == kind


def test_a_folder_without_counts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VecqError, match=r"no coverage\.dat"):
        coverage.report(tmp_path, "make coverage")


@pytest.mark.nightly
@pytest.mark.needs_verilator
def test_the_register_is_covered_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COVERAGE, "1")
    harness.run(tmp_path / "run", "bench_stream_register", CASES)
    cell = coverage.merged([tmp_path / "run" / "coverage.dat"])[CELL]
    assert cell.lines
    assert cell.toggles
    assert not cell.missed
    seen = coverage.situations([tmp_path / "run"])[CELL, "one kind"]
    assert seen["blocked"] == seen["instances"] == len(CASES)
