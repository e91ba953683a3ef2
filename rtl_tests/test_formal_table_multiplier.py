"""``vecq_table_multiplier`` multiplies any two numbers of few bits, simulated and in carry cells.

The SAT solver inside yosys shows it for all of them.  Larger ones are multiplied by the benches of
the cells that it is part of.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rtl_tests.formal import proven
from rtl_tests.netlist import carry_cells
from tests.shares import nightly
from vecq_hw import assets

CELL = "vecq_table_multiplier.sv"
SMALL = [(1, 1), (1, 2), (2, 1), (3, 2), (2, 3), (3, 3), (4, 3), (3, 5), (6, 5), (5, 7)]


def proof(left: int, right: int) -> str:
    return f"""\
module proof (
  input logic clk_i,
  input logic signed [{left - 1}:0] left,
  input logic signed [{right - 1}:0] right
);
  logic signed [{left + right - 1}:0] product;

  vecq_table_multiplier #(
    .LeftBits({left}), .RightBits({right}), .CarryChoice(1'b1)
  ) multiplier (
    .left_i(left), .right_i(right), .product_o(product)
  );

  always_comb assert (product == {left + right}'(left) * {left + right}'(right));
endmodule
"""


def multiplies(
    folder: Path, sizes: tuple[int, int], synthesis: bool, mutant: tuple[str, str] | None = None
) -> bool:
    """Whether it multiplies as simulation sees it, or with the carry cells of synthesis."""
    text = (assets.rtl() / CELL).read_text()
    if mutant is not None:
        assert text.count(mutant[0]) == 1, mutant[0]
        text = text.replace(*mutant)
    texts = {
        "vecq_adder.sv": (assets.rtl() / "vecq_adder.sv").read_text(),
        CELL: f"`{'define' if synthesis else 'undef'} SYNTHESIS\n{text}",
        "proof.sv": proof(*sizes),
    }
    return proven(folder, carry_cells() | texts)


@pytest.mark.needs_yosys
@pytest.mark.parametrize("synthesis", [False, True], ids=["simulation", "synthesis"])
@pytest.mark.parametrize("sizes", [*SMALL, nightly((8, 7)), nightly((7, 9))], ids=str)
def test_it_multiplies(sizes: tuple[int, int], synthesis: bool, tmp_path: Path) -> None:
    assert multiplies(tmp_path, sizes, synthesis)


@pytest.mark.needs_yosys
@pytest.mark.parametrize(
    ("synthesis", "old", "new"),
    [
        (True, "16'h8777", "16'h7888"),
        (True, "16'h7888", "16'h7880"),
        (True, "carry[0] = HasSign", "carry[0] = 1'b0"),
        (False, "HasSign ? ~second : second", "second"),
        (False, "<< Added;\n  end else", ";\n  end else"),
        (False, "PairBits + 2 * (Step - 1)", "PairBits + 2 * (Step - 2)"),
        (False, "signed'({high", "({high"),
    ],
)
def test_the_proof_fails_for_a_mutant(synthesis: bool, old: str, new: str, tmp_path: Path) -> None:
    assert not multiplies(tmp_path, (6, 5), synthesis, (old, new))
