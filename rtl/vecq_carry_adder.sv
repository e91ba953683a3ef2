// SPDX-License-Identifier: Apache-2.0

// plain_i + (select_i ? second_i : first_i), or with Complement plain_i + (first_i ^ {select_i}),
// all unsigned; no register.
//
// In the carry cell of Lattice's ECP5 a table of four inputs computes whether a carry goes on: so
// besides one operand ready as it is, a position adds any function of three others that is 0 where
// the last two are.  That holds both of these, which so take no look-up table beside the carry
// chain.  Yosys 0.70 finds neither, so synthesis sees CCU2C; simulation sees the sum.
module vecq_carry_adder #(
  parameter int PlainBits  = 8,
  parameter int LogicBits  = 8,
  parameter int SumBits    = (PlainBits > LogicBits ? PlainBits : LogicBits) + 1,
  parameter bit Complement = 1'b0
) (
  input  logic [PlainBits-1:0] plain_i,
  input  logic [LogicBits-1:0] first_i,
  input  logic [LogicBits-1:0] second_i,
  input  logic                 select_i,
  output logic [SumBits-1:0]   sum_o
);

`ifdef SYNTHESIS
  localparam int Cells = (SumBits + 1) / 2;
  // carry if the table is 1, else A:  A ^ (D ? B ^ C : 0), and A ^ (D ? B : C).
  localparam logic [15:0] Table = Complement ? 16'h96AA : 16'h665A;

  logic [2*Cells-1:0] plain, first, second, select, sum;
  logic [Cells:0] carry;

  assign plain    = (2*Cells)'(plain_i);
  assign first    = (2*Cells)'(first_i);
  assign second   = (2*Cells)'(second_i);
  assign select   = (2*Cells)'({LogicBits{select_i}});
  assign carry[0] = 1'b0;
  assign sum_o    = sum[SumBits-1:0];

  for (genvar n = 0; n < Cells; n++) begin : gen_cell
    CCU2C #(
      .INIT0(Table), .INIT1(Table), .INJECT1_0("NO"), .INJECT1_1("NO")
    ) positions (
      .CIN(carry[n]), .COUT(carry[n+1]),
      .A0(plain[2*n]), .A1(plain[2*n+1]), .S0(sum[2*n]), .S1(sum[2*n+1]),
      .B0(Complement ? first[2*n] : second[2*n]),
      .B1(Complement ? first[2*n+1] : second[2*n+1]),
      .C0(Complement ? select[2*n] : first[2*n]),
      .C1(Complement ? select[2*n+1] : first[2*n+1]),
      .D0(Complement ? 1'b1 : select[2*n]),
      .D1(Complement ? 1'b1 : select[2*n+1])
    );
  end
`else
  logic [LogicBits-1:0] operand;

  assign operand = Complement ? first_i ^ {LogicBits{select_i}} : select_i ? second_i : first_i;
  assign sum_o   = SumBits'(plain_i) + SumBits'(operand);
`endif

  // What the parameters must be.
  if (PlainBits < 1 || LogicBits < 1) begin : gen_rule_positive
    $error("vecq_carry_adder: PlainBits (%0d) and LogicBits (%0d) must be at least 1",
           PlainBits, LogicBits);
  end
  if (SumBits < 1) begin : gen_rule_positive_sum_bits
    $error("vecq_carry_adder: SumBits (%0d) must be at least 1", SumBits);
  end

endmodule
