"""The rows of vecq_pair_row_array are the products (2q + 1) * x or q * x, for all codes and
activations.

The proof covers one pair, or one lane alone, with every weight and activation that there is; a sum
over more lanes is a chain of additions.  Whatever the registers held, the sum is right once code
and activations have stood still for the latency.  The solver goes through the high bits of the
first code one by one: multiplications are hard for it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rtl_tests.formal import solve
from vecq_hw import assets

CELLS = ("vecq_adder", "vecq_pair_sums", "vecq_plane_sum", "vecq_pair_row_array")
MUTANTS = [
    ("vecq_pair_sums", ".logic_i(~lanes[", ".logic_i(lanes["),
    ("vecq_pair_row_array", "^ {RowBits{negative}};", "^ {1'b0, {InputBits{negative}}};"),
    ("vecq_plane_sum", "Shift = 1 << (level - 1);", "Shift = 1;"),
]
VALUE_MUTANTS = [
    ("vecq_pair_row_array", "^ {RowBits{plane == WeightBits - 1}};", "^ {RowBits{plane == 0}};"),
    ("vecq_pair_row_array", "(first && second ?", "(first || second ?"),
    ("vecq_pair_row_array", "{InputBits{second}};", "{InputBits{first}};"),
]


def proof(bits: int, lanes: int, activation_bits: int, values: bool = False) -> str:
    """Codes and activations that stand still give their products' sum.

    The offset is that of ``vecq_hw.accelerator.memories.pair_rows``: for each weight the planes
    that count -1, times the greatest activation, and for the first lane of a pair once more.  With
    ``values``, the codes as they are: a row of ones in the highest plane.
    """
    half, top = 1 << (bits - 1), (1 << activation_bits) - 1
    codes = [f"q[{n * bits} +: {bits}]" for n in range(lanes)]
    # Lane 0 says whether it counts -1, lane 1 whether they differ; the highest bit is inverted.
    weights = [f"~({codes[0]} ^ {bits}'d{half})", *(f"{codes[0]} ^ {code}" for code in codes[1:])]
    terms = []
    for n, code in enumerate(codes):
        x = f"$signed({{1'b0, x[{n * activation_bits} +: {activation_bits}]}})"
        if values:
            terms.append(f"$signed({code}) * {x}")
            continue
        offset = top + (n == 0 and lanes == 2)
        terms.append(f"(2 * $signed({code}) + 1) * {x} + ({half - 1} - $signed({code})) * {offset}")
    if values:
        weights, terms = codes, [*terms, str(half * (2 * top + 1))]
    return f"""\
module proof (
  input logic clk_i
);
  (* anyconst *) logic [{lanes * bits - 1}:0] q;
  (* anyconst *) logic [{lanes * activation_bits - 1}:0] x;
  logic [{lanes * bits - 1}:0] weights;
  logic [23:0] sum;
  logic signed [23:0] expected;

  assign weights = {{{", ".join(weights[::-1])}}};
  assign expected = {" + ".join(terms)};

  vecq_pair_row_array #(
    .Pe(1), .Simd({lanes}), .WeightBits({bits}), .TwosComplement({int(values)}),
    .InputBits({activation_bits}), .SumBits(24)
  ) pair_rows (
    .clk_i, .enable_i(1'b1), .activations_i(x), .weights_i(weights), .sums_o(sum)
  );

  always_comb assert (sum == expected);
endmodule
"""


def proven(
    folder: Path,
    sizes: tuple[int, int, int],
    mutant: tuple[str, str, str] | None = None,
    values: bool = False,
) -> bool:
    texts = {f"{cell}.sv": (assets.rtl() / f"{cell}.sv").read_text() for cell in CELLS}
    if mutant is not None:
        cell, old, new = mutant
        assert texts[f"{cell}.sv"].count(old) == 1, old
        texts[f"{cell}.sv"] = texts[f"{cell}.sv"].replace(old, new)
    texts["proof.sv"] = proof(*sizes, values)
    for file, text in texts.items():
        (folder / file).write_text(text)
    bits, _, _ = sizes
    steps = 3 + (bits - 1).bit_length()
    cut = min(bits, 4)
    cases = (f"-set q[{bits - 1}:{bits - cut}] {cut}'d{part}" for part in range(1 << cut))
    goals = [f"-seq {steps} -prove-skip {steps - 1} {case}" for case in cases]
    result, _ = solve(folder, list(texts), goals)
    return result


SIZES = [
    *((bits, lanes, 4) for bits in (1, 2, 3) for lanes in (1, 2)),
    (4, 1, 4),
    pytest.param((4, 2, 4), marks=pytest.mark.nightly),
    pytest.param((8, 1, 8), marks=pytest.mark.nightly),
]


@pytest.mark.needs_yosys
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_rows_are_products(sizes: tuple[int, int, int], tmp_path: Path) -> None:
    assert proven(tmp_path, sizes)


@pytest.mark.needs_yosys
@pytest.mark.parametrize("number", range(len(MUTANTS)))
def test_the_proof_fails_for_a_mutant(number: int, tmp_path: Path) -> None:
    assert not proven(tmp_path, (3, 2, 3), MUTANTS[number])


@pytest.mark.needs_yosys
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_rows_of_twos_complement_are_products(sizes: tuple[int, int, int], tmp_path: Path) -> None:
    assert proven(tmp_path, sizes, values=True)


@pytest.mark.needs_yosys
@pytest.mark.parametrize("number", range(len(VALUE_MUTANTS)))
def test_the_proof_of_twos_complement_fails_for_a_mutant(number: int, tmp_path: Path) -> None:
    assert not proven(tmp_path, (3, 2, 3), VALUE_MUTANTS[number], values=True)
