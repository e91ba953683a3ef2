"""vecq_popcount_array counts the lanes in which activation and weight differ.

For all weights and activations of one leaf in one and in two stages, and of several leaves, whose
last one is of one or of two stages.  The streaming, a code for each leaf some cycles later, is the
bench's.  Each proof has mutants that it catches.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rtl_tests.formal import solve
from tests.shares import nightly
from vecq_hw import assets

CELL = "vecq_popcount_array.sv"


def count_proof(lanes: int, outputs: int) -> str:
    """What stands still for the latency is counted."""
    counts = []
    for pe in range(outputs):
        differ = " + ".join(f"6'(x_i[{n}] ^ w_i[{n * outputs + pe}])" for n in range(lanes))
        counts.append(f"assert (sums[{pe * 6} +: 6] == {differ});")
    return f"""\
module proof (
  input logic clk_i,
  input logic [{lanes - 1}:0] x_i,
  input logic [{lanes * outputs - 1}:0] w_i
);
  logic [{lanes - 1}:0] x_q;
  logic [{lanes * outputs - 1}:0] w_q;
  logic [{6 * outputs - 1}:0] sums;
  logic [3:0] still = 4'd0;

  vecq_popcount_array #(
    .Pe({outputs}), .Simd({lanes}), .SumBits(6)
  ) popcount (
    .clk_i, .enable_i(1'b1), .activations_i(x_i), .weights_i(w_i), .sums_o(sums)
  );

  always_ff @(posedge clk_i) begin
    x_q <= x_i;
    w_q <= w_i;
    if (x_i != x_q || w_i != w_q) still <= 4'd0;
    else if (still != 4'd15) still <= still + 4'd1;
  end

  always_comb begin
    if (still >= {1 + (lanes + 7) // 8} && x_i == x_q && w_i == w_q) begin
      {" ".join(counts)}
    end
  end
endmodule
"""


def proven(folder: Path, lanes: int, outputs: int, mutant: tuple[str, str] | None = None) -> bool:
    text = (assets.rtl() / CELL).read_text()
    if mutant is not None:
        assert text.count(mutant[0]) == 1, mutant[0]
        text = text.replace(*mutant)
    (folder / CELL).write_text(text)
    (folder / "proof.sv").write_text(count_proof(lanes, outputs))
    return solve(folder, [CELL, "proof.sv"])[0]


@pytest.mark.needs_yosys
@pytest.mark.parametrize(
    ("lanes", "outputs"),
    [
        (3, 2),
        (8, 1),
        (27, 1),
        *(nightly(*sizes) for sizes in ((1, 3), (7, 1), (9, 2), (16, 1), (20, 1))),
    ],
)
def test_the_sums_are_counts(lanes: int, outputs: int, tmp_path: Path) -> None:
    assert proven(tmp_path, lanes, outputs)


@pytest.mark.needs_yosys
@pytest.mark.parametrize(
    ("lanes", "old", "new"),
    [
        nightly(9, "low[0] && high[0]", "low[0] || high[0]"),
        nightly(16, "twos[2] && carry[1]", "1'b0"),
        nightly(16, "ones[2] && twos[1],", "1'b0,"),
        (8, "bits[0] & bits[1] | ", ""),
        (20, "gen_leaf[leaf-1].sum_q + CountBits'(count)", "CountBits'(count)"),
        (27, "before_q + CountBits'(count)", "before_q"),
    ],
)
def test_the_proof_fails_for_a_mutant(lanes: int, old: str, new: str, tmp_path: Path) -> None:
    assert not proven(tmp_path, lanes, 1, (old, new))
