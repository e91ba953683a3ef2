// SPDX-License-Identifier: Apache-2.0

// plain_i + logic_i + carry_i, all unsigned, as wide as the sum is wanted; no register.
//
// A look-up table in front of a carry chain can compute logic_i on its way into the sum, but only
// if plain_i, ready as it is, feeds the chain's other input.  Yosys 0.70 puts the wrong one there
// for `a + b` and needs two tables a bit.  The difference of 2 * plain and 2 * ~logic + 1 is
// 2 * (plain + logic) + 1: the same sum one bit up, with the operands in their places.  A carry
// becomes the lowest bit of the first term; a constant one costs nothing.
//
// With Ready, logic_i is ready as it is, too: then an addition, which needs no inverter on devices
// whose carry cells take both operands.  It is doubled as well, so that yosys does not join it with
// the additions around it.  Elsewhere write `a + b`.
module vecq_adder #(
  parameter int PlainBits = 8,
  parameter int LogicBits = 8,
  parameter int SumBits   = (PlainBits > LogicBits ? PlainBits : LogicBits) + 1,
  parameter bit Ready     = 1'b0
) (
  input  logic [PlainBits-1:0] plain_i,
  input  logic [LogicBits-1:0] logic_i,
  input  logic                 carry_i,
  output logic [SumBits-1:0]   sum_o
);

  logic [SumBits-1:0] plain, computed;
  logic [SumBits:0] doubled;

  assign plain    = SumBits'(plain_i);
  assign computed = SumBits'(logic_i);
  assign doubled  = Ready ? {plain, carry_i} + {computed, carry_i}
                          : {plain, carry_i} - {~computed, 1'b1};
  assign sum_o    = doubled[SumBits:1];

  // What the parameters must be.
  if (PlainBits < 1 || LogicBits < 1 || SumBits < 1) begin : gen_rule_positive
    $error("vecq_adder: PlainBits (%0d), LogicBits (%0d) and SumBits (%0d) must be at least 1",
           PlainBits, LogicBits, SumBits);
  end

endmodule
