"""Widths that cells derive, up to the widest numbers that a network may have.

Verilator computes the local parameters of many instances at once and says them; nothing is built.
"""

import re
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pytest

from rtl_tests.test_lint import lint
from vecq_hw import assets

ARRAYS = ("vecq_pair_row_array", "vecq_quad_row_array")
TOP = "widths"


def plane_bits(folder: Path, cell: str, shapes: Sequence[tuple[int, int]]) -> dict[str, int]:
    """The local parameter ``PlaneBits`` of a row array, by input bits and lanes."""
    for path in assets.rtl().glob("*.sv"):
        text = path.read_text()
        if path.stem == cell:
            told = '  $info("of %0d x %0d: %0d", InputBits, Simd, PlaneBits);\n'
            text = text.replace("endmodule", f"{told}endmodule")
        (folder / path.name).write_text(text)
    body = "".join(
        f"  {cell} #(.InputBits({bits}), .Simd({lanes}), .WeightBits(1), .SumBits(1)) unit_{n}"
        " (.clk_i, .enable_i(1'b1), .activations_i('0), .weights_i('0), .sums_o());\n"
        for n, (bits, lanes) in enumerate(shapes)
    )
    (folder / f"{TOP}.sv").write_text(f"module {TOP} (input logic clk_i);\n{body}endmodule\n")
    sources = sorted(path.name for path in folder.glob("*.sv"))
    told = lint(folder, "-Wno-fatal", "-Wno-lint", *sources, "--top-module", TOP)
    assert "%Error" not in told, told
    return {shape: int(bits) for shape, bits in re.findall(r"of (\d+ x \d+): (\d+)", told)}


def compare(folder: Path, cell: str, input_bits: Sequence[int], lanes: Sequence[int]) -> None:
    shapes = list(product(input_bits, lanes))
    found = plane_bits(folder, cell, shapes)
    assert len(found) == len(shapes)
    for bits, simd in shapes:
        # A row is a pair of lanes, the sum of two inputs at most, which no row of four exceeds.
        pairs = (simd + 1) // 2
        least = (pairs * ((2 << bits) - 1)).bit_length()
        name = f"{bits} x {simd}"
        if cell == "vecq_pair_row_array":
            assert found[name] == least, name
        else:
            assert least <= found[name] <= bits + 1 + (pairs - 1).bit_length(), name


@pytest.mark.needs_verilator
@pytest.mark.parametrize("cell", ARRAYS)
def test_planes_hold_their_sums(cell: str, tmp_path: Path) -> None:
    compare(tmp_path, cell, (1, 8, 28, 29, 30, 31, 32, 62), (1, 8, 17))


@pytest.mark.needs_verilator
@pytest.mark.nightly
@pytest.mark.parametrize("cell", ARRAYS)
def test_planes_hold_their_sums_at_every_width(cell: str, tmp_path: Path) -> None:
    compare(tmp_path, cell, range(1, 63), (1, 2, 3, 5, 8, 16, 31, 64, 256))
