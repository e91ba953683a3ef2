from pathlib import Path

import pytest

from rtl_tests import harness
from rtl_tests.bench_matrix_vector import CASES, SHAPES
from rtl_tests.netlist import synthesized

SYNTHESIZED = 5  # 2-bit weights, folded on both sides


@pytest.mark.needs_verilator
def test_matrix_vector(tmp_path: Path) -> None:
    """As written, and one as a netlist of LUTs, carries and memories."""
    pytest.importorskip("pyosys")
    cases = synthesized(tmp_path / "synthesis", CASES, [SYNTHESIZED])
    assert (SHAPES[SYNTHESIZED].pe, SHAPES[SYNTHESIZED].simd) == (2, 3)
    harness.run(tmp_path / "run", "bench_matrix_vector", cases)
