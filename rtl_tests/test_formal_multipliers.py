"""The multipliers without DSP blocks multiply any numbers of few bits.

``vecq_table_multiplier`` as simulated and in carry cells, ``vecq_constant_multiplier`` by each
constant of its bits.  The SAT solver inside yosys shows it.  Larger numbers are multiplied by the
benches of the cells that they are part of.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rtl_tests.formal import proven
from rtl_tests.netlist import carry_cells
from tests.shares import nightly
from vecq_hw import assets

CELL = "vecq_table_multiplier.sv"
BY_CONSTANT = "vecq_constant_multiplier.sv"
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


def proof_of_constants(bits: int, factor_bits: int) -> str:
    """That all numbers of so many bits are multiplied by all signed factors."""
    return f"""\
module proof (input logic clk_i, input logic signed [{bits - 1}:0] data);
  for (genvar factor = 0; factor < {1 << factor_bits}; factor++) begin : gen_factor
    localparam logic signed [{factor_bits - 1}:0] Factor = {factor_bits}'(factor);
    logic signed [{bits + factor_bits - 1}:0] product;

    vecq_constant_multiplier #(
      .InputBits({bits}), .FactorBits({factor_bits}), .Factor(Factor)
    ) multiplier (
      .data_i(data), .product_o(product)
    );

    always_comb assert (product == {bits + factor_bits}'(data) * {bits + factor_bits}'(Factor));
  end
endmodule
"""


def multiplies_by_constants(
    folder: Path, sizes: tuple[int, int], mutant: tuple[str, str] | None = None
) -> bool:
    text = (assets.rtl() / BY_CONSTANT).read_text()
    if mutant is not None:
        assert text.count(mutant[0]) == 1, mutant[0]
        text = text.replace(*mutant)
    adder = (assets.rtl() / "vecq_adder.sv").read_text()
    proof = proof_of_constants(*sizes)
    return proven(folder, {"vecq_adder.sv": adder, BY_CONSTANT: text, "proof.sv": proof})


@pytest.mark.needs_yosys
@pytest.mark.parametrize(
    "sizes", [(1, 1), (2, 2), (1, 5), (5, 6), nightly((8, 8)), nightly((3, 10))], ids=str
)
def test_it_multiplies_by_every_constant(sizes: tuple[int, int], tmp_path: Path) -> None:
    assert multiplies_by_constants(tmp_path, sizes)


@pytest.mark.needs_yosys
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<<< place(0)", ""),
        ("is_negated(0, Digits - 1) ? -placed : placed", "placed"),
        ("HighMinus && !LowMinus", "HighMinus"),
        ("LowMinus && !HighMinus", "1'b0"),
        ("InputBits + $clog2", "InputBits - 1 + $clog2"),
        ("is_negated &= !Plus[n]", "is_negated &= Minus[n]"),
    ],
)
def test_the_proof_of_constants_fails_for_a_mutant(old: str, new: str, tmp_path: Path) -> None:
    assert not multiplies_by_constants(tmp_path, (2, 5), (old, new))
