"""The array of significands, which is there to be measured, computes the sums."""

from __future__ import annotations

import pytest

from benchmarks.rtl_area_esb import BYTES, ESB_4, ESB_5, FOUR_BITS, Activations, check, significands
from vecq_hw.formats import MiniFloat

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
