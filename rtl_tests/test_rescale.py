from pathlib import Path

import pytest

from rtl_tests import harness
from rtl_tests.bench_rescale import CASES, SHAPES
from rtl_tests.netlist import synthesized
from tests.shares import one_in

SYNTHESIZED = 13  # a product of 9 and 6 bits, both signs, on two lanes
OWN_SHIFTS = 24  # as wide, with a shift for each channel


@pytest.mark.needs_verilator
@one_in(7)
def test_rescale(tmp_path: Path, every: int) -> None:
    """As written, and two as netlists of LUTs and carries."""
    pytest.importorskip("pyosys")
    cases = synthesized(CASES, [SYNTHESIZED, OWN_SHIFTS])
    assert (SHAPES[SYNTHESIZED].accumulator.bits, SHAPES[SYNTHESIZED].shift) == (9, 4)
    assert (SHAPES[OWN_SHIFTS].accumulator.bits, SHAPES[OWN_SHIFTS].further) == (9, 6)
    synthesis = [SYNTHESIZED, OWN_SHIFTS]
    harness.run(tmp_path / "run", "bench_rescale", cases, every, also=synthesis)
