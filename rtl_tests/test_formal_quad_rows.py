"""The rows of vecq_quad_row_array are the products (2q + 1) * x; the carry cells are their sums.

The proofs cover a row, of one to four lanes, with every weight and activation that there is, and
both functions of the carry cell with all operands.  Each has mutants that it catches.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rtl_tests.formal import proven
from rtl_tests.netlist import carry_cells
from vecq_hw import assets

CELLS = (
    *("vecq_adder", "vecq_carry_adder", "vecq_pair_sums"),
    *("vecq_plane_sum", "vecq_quad_row_array"),
)


def row_proof(bits: int, lanes: int, activation_bits: int, first: bool = False) -> str:
    """Codes and activations that stand still for the latency give their products' sum.

    That of the first row, or of the second, before which the first is of zeros alone.  The offset
    is that of ``vecq_hw.accelerator.memories.quad_rows``: for each weight the planes that count -1,
    times the greatest activation and what the lane's place in the row adds.
    """
    half, top = 1 << (bits - 1), (1 << activation_bits) - 1
    latency = 4 + (bits - 1).bit_length()
    before = 0 if first else 4
    codes = [f"q_i[{n * bits} +: {bits}]" for n in range(lanes)]
    others = {1: 0, 3: 2} | ({0: 2} if lanes > 2 and not first else {})
    # A lane says whether it differs from another or whether its b is -1; the highest bit of a code
    # is inverted.
    weights = [
        f"{code} ^ {codes[others[n]]}" if n in others else f"~({code} ^ {bits}'d{half})"
        for n, code in enumerate(codes)
    ]
    third = int(lanes > 3) if first else 2 + (top if lanes == 3 else 0)
    more = [1 if lanes > 1 else 0, 0, third, 0]
    terms = []
    for n, code in enumerate(codes):
        x = f"$signed({{1'b0, x_i[{n * activation_bits} +: {activation_bits}]}})"
        minus = f"({half - 1} - $signed({code}))"
        terms.append(f"(2 * $signed({code}) + 1) * {x} + {minus} * {top + more[n]}")
    return f"""\
module proof (
  input logic clk_i,
  input logic [{lanes * bits - 1}:0] q_i,
  input logic [{lanes * activation_bits - 1}:0] x_i
);
  logic [{lanes * bits - 1}:0] weights, q_q;
  logic [{(before + lanes) * bits - 1}:0] all_weights;
  logic [{(before + lanes) * activation_bits - 1}:0] all_x;
  logic [{lanes * activation_bits - 1}:0] x_q;
  logic [23:0] sum;
  logic signed [23:0] expected;
  logic [3:0] still = 4'd0;

  assign weights = {{{", ".join(weights[::-1])}}};
  assign all_weights = {(before + lanes) * bits}'(weights) << {before * bits};
  assign all_x = {(before + lanes) * activation_bits}'(x_i) << {before * activation_bits};
  assign expected = {" + ".join(terms)};

  vecq_quad_row_array #(
    .Pe(1), .Simd({before + lanes}), .WeightBits({bits}), .InputBits({activation_bits}),
    .SumBits(24)
  ) quad_rows (
    .clk_i, .enable_i(1'b1), .activations_i(all_x), .weights_i(all_weights), .sums_o(sum)
  );

  always_ff @(posedge clk_i) begin
    q_q <= q_i;
    x_q <= x_i;
    if (q_i != q_q || x_i != x_q) still <= 4'd0;
    else if (still != 4'd15) still <= still + 4'd1;
  end

  always_comb begin
    if (still > {latency} && q_i == q_q && x_i == x_q) assert (sum == expected);
  end
endmodule
"""


def adder_proof(complement: bool) -> str:
    """What synthesis sees of the carry adder is the sum that simulation sees."""
    logic = "first ^ {3{select}}" if complement else "select ? second : first"
    return f"""\
module proof (
  input logic clk_i, input logic [3:0] plain, input logic [2:0] first, second, input logic select
);
  logic [4:0] sum;
  logic [2:0] operand;
  assign operand = {logic};

  vecq_carry_adder #(
    .PlainBits(4), .LogicBits(3), .SumBits(5), .Complement({int(complement)})
  ) adder (
    .plain_i(plain), .first_i(first), .second_i(second), .select_i(select), .sum_o(sum)
  );

  always_comb assert (sum == 5'(plain) + 5'(operand));
endmodule
"""


def texts_of_cells(mutant: tuple[str, str, str] | None) -> dict[str, str]:
    texts = {f"{cell}.sv": (assets.rtl() / f"{cell}.sv").read_text() for cell in CELLS}
    if mutant is not None:
        cell, old, new = mutant
        assert texts[f"{cell}.sv"].count(old) == 1, old
        texts[f"{cell}.sv"] = texts[f"{cell}.sv"].replace(old, new)
    return texts


def row_proven(
    folder: Path,
    sizes: tuple[int, int, int],
    first: bool,
    mutant: tuple[str, str, str] | None = None,
) -> bool:
    return proven(folder, texts_of_cells(mutant) | {"proof.sv": row_proof(*sizes, first)})


def adder_proven(
    folder: Path, complement: bool, mutant: tuple[str, str, str] | None = None
) -> bool:
    adder = "`define SYNTHESIS\n" + texts_of_cells(mutant)["vecq_carry_adder.sv"]
    texts = {"adder.sv": adder, "proof.sv": adder_proof(complement)}
    return proven(folder, carry_cells() | texts)


@pytest.mark.needs_yosys
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize(
    "sizes", [*((1, lanes, 3) for lanes in (1, 2, 3, 4)), (2, 3, 2), (2, 4, 2)], ids=str
)
def test_rows_are_products(sizes: tuple[int, int, int], first: bool, tmp_path: Path) -> None:
    assert row_proven(tmp_path, sizes, first)


@pytest.mark.needs_yosys
@pytest.mark.parametrize("complement", [False, True])
def test_carry_cells_are_sums(complement: bool, tmp_path: Path) -> None:
    assert adder_proven(tmp_path, complement)


@pytest.mark.needs_yosys
@pytest.mark.parametrize(
    ("first", "old", "new"),
    [
        (True, "^ {RowBits{code[2]}};", "^ {1'b0, {InputBits{code[2]}}};"),
        (False, "third_q      <= code[2];", "third_q      <= code[0];"),
        (False, "choice_q <= code[3];", "choice_q <= code[1];"),
    ],
)
def test_the_proof_of_rows_fails_for_a_mutant(
    first: bool, old: str, new: str, tmp_path: Path
) -> None:
    assert not row_proven(tmp_path, (1, 4, 3), first, ("vecq_quad_row_array", old, new))


@pytest.mark.needs_yosys
@pytest.mark.parametrize(("complement", "table"), [(False, "16'h665A"), (True, "16'h96AA")])
def test_the_proof_of_carry_cells_fails_for_a_mutant(
    complement: bool, table: str, tmp_path: Path
) -> None:
    other = {"16'h665A": "16'h6A5A", "16'h96AA": "16'h66AA"}[table]
    assert not adder_proven(tmp_path, complement, ("vecq_carry_adder", table, other))
