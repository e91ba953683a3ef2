"""The circuits of significands, which are there to be measured, compute what they should."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.rtl_area_esb import ESB_4, ESB_5, FOUR_BITS, check, significands
from benchmarks.significand_unit import BYTES, Activations, significand_unit
from vecq_hw.emit.project import read_vectors
from vecq_hw.formats import MiniFloat
from vecq_hw.verify import rtl

LANES = 4


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("grid", "activations"), [(ESB_4, BYTES), (ESB_5, BYTES), (ESB_4, FOUR_BITS)]
)
def test_the_netlist_of_the_significand_array_computes_the_sums(
    grid: MiniFloat, activations: Activations
) -> None:
    netlist = significands(grid, activations, LANES).netlist
    check(grid, activations, netlist, LANES)
    with pytest.raises(RuntimeError, match="does not compute the sums"):
        check(MiniFloat(grid.bits, grid.fraction - 1), activations, netlist, LANES)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("grid", "activations"), [(ESB_4, BYTES), (ESB_5, BYTES), (ESB_4, FOUR_BITS)]
)
def test_the_unit_of_significands_computes_the_outputs(
    grid: MiniFloat, activations: Activations, tmp_path: Path
) -> None:
    folder = significand_unit(grid, activations, outputs=32, samples=5).write(tmp_path / "unit")
    wanted = read_vectors(folder / "vectors" / "outputs.txt")
    assert len(np.unique(wanted)) > 5
    np.testing.assert_array_equal(rtl.run(folder), wanted)
