"""The mutation tester finds the expressions of cells, and nothing that elaboration decides."""

from pathlib import Path

from rtl_tests.mutation import BENCHES, Mutant, mutants, with_mutants
from vecq_hw import assets

CELL = """\
module vecq_small #(
  parameter int Bits = 8
) (
  input  logic clk_i,
  output logic [Bits-1:0] data_o
);

  localparam int Half = Bits - 1;
  logic [Bits-1:0] count_q;  // a - b

  if (Half < 1) begin : gen_small
    assign data_o = count_q + Bits'(1);
  end else if (Half == 1) begin : gen_middle
    assign data_o = '0;
  end

  for (genvar n = 0; n < Bits; n++) begin : gen_bit
    always_ff @(posedge clk_i) begin
      if (count_q == '0) count_q[n] <= !count_q[n];
    end
  end

endmodule
"""


def test_assignments_and_conditions_have_mutants_and_parameters_have_none() -> None:
    found = [(m.line, m.old, m.new) for m in mutants("vecq_small", CELL)]
    assert found == [
        (12, "count_q + Bits'(1)", "count_q - Bits'(1)"),
        (12, "count_q + Bits'(1)", "count_q + Bits'(2)"),
        (19, "count_q == '0", "count_q != '0"),
        (19, "!count_q[n]", "count_q[n]"),
    ]


def test_a_cell_holds_all_its_mutants_and_itself() -> None:
    chosen: dict[int, Mutant] = dict(enumerate(mutants("vecq_small", CELL)))
    text = with_mutants(CELL, chosen)
    assert (
        "data_o = mutant == 1 ? (count_q + Bits'(2)) :"
        " (mutant == 0 ? (count_q - Bits'(1)) : (count_q + Bits'(1)));" in text
    )
    assert "if (mutant == 2 ? (count_q != '0) : (count_q == '0)) count_q[n] <=" in text


def test_every_cell_of_a_bench_has_mutants() -> None:
    without = {"carry_adder", "gate_products"}  # no operator that is changed
    for _, cells in BENCHES.values():
        for cell in cells:
            path = assets.rtl() / f"vecq_{cell}.sv"
            assert (cell in without) != any(mutants(path.stem, path.read_text())), cell


def test_every_cell_and_every_bench_of_cells_has_its_mutants() -> None:
    others = {"rom", "memory_file", "stream_rules"}  # no expression, or no hardware
    others |= {"uart_link", "uart_receive", "uart_send"}  # their bench has lines and no cases
    others |= {"frame_guard"}  # its bench is of a whole network; its proof has mutants
    cells = {path.stem.removeprefix("vecq_") for path in assets.rtl().glob("*.sv")}
    assert cells == others | {cell for _, some in BENCHES.values() for cell in some}
    benches = Path(__file__).parent.glob("bench_*.py")
    own = {p.stem.removeprefix("bench_") for p in benches if "\nCASES = " in p.read_text()}
    assert own - {"unrolled"} == set(BENCHES)  # the modules of which are generated
