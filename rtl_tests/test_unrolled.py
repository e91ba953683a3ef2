from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rtl_tests import harness
from rtl_tests.bench_unrolled import CASES, SHAPES, SYNTHESIZED, data
from rtl_tests.netlist import netlists
from tests.shares import one_in
from vecq_hw import assets


@pytest.mark.needs_verilator
@one_in(12)
def test_unrolled(tmp_path: Path, every: int) -> None:
    """As generated, and the last ones as netlists of LUTs and carries."""
    pytest.importorskip("pyosys")
    sources = {"vecq_adder.sv": (assets.rtl() / "vecq_adder.sv").read_text()}
    for index in SYNTHESIZED:
        sources |= CASES[index].sources
    made = netlists(sources, [CASES[index].module for index in SYNTHESIZED])
    assert made["cells_xilinx.sv"].count("module CARRY4") == 1
    cases = [
        replace(case, sources=made if index in SYNTHESIZED else case.sources)
        for index, case in enumerate(CASES)
    ]
    harness.run(tmp_path / "run", "bench_unrolled", cases, every, also=SYNTHESIZED)


def test_the_layers_are_worth_comparing() -> None:
    for index, shape in enumerate(SHAPES):
        wanted = 1 if shape.result is not None and shape.result.lo == shape.result.hi else 2
        assert len(np.unique(data(index)[1])) >= wanted, shape
