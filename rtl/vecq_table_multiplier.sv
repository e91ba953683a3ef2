// SPDX-License-Identifier: Apache-2.0

// left_i * right_i, both signed, of look-up tables and carry chains; no register.
//
// Each bit of the shorter number takes a copy of the longer one or not.  Two neighbouring copies are
// added in one carry chain, and a tree adds these sums.  The copy of the sign's bit is subtracted.
// Yosys 0.70 would add three copies at a time in tables, without carries: for 14 by 15 bits on ECP5
// that takes 1,219 positions, this 436, and 240 with CarryChoice.
//
// CarryChoice: in the carry cell of Lattice's ECP5 a table of four inputs computes whether a carry
// goes on.  Both bits of both copies fit into it, so that choosing takes no table beside the carry
// chain.  Yosys does not find that, so synthesis sees CCU2C; simulation sees the sum.
module vecq_table_multiplier #(
  parameter int LeftBits    = 8,
  parameter int RightBits   = 8,
  parameter bit CarryChoice = 1'b0
) (
  input  logic signed [LeftBits-1:0]           left_i,
  input  logic signed [RightBits-1:0]          right_i,
  output logic signed [LeftBits+RightBits-1:0] product_o
);

  localparam int RowBits    = LeftBits > RightBits ? LeftBits : RightBits;
  localparam int FactorBits = LeftBits + RightBits - RowBits;
  localparam int Pairs      = (FactorBits + 1) / 2;
  localparam int Added      = 2 * Pairs - FactorBits;  // a bit below an odd number of them
  localparam int PairBits   = RowBits + 2;
  localparam int Levels     = $clog2(Pairs);
  localparam int SumBits    = RowBits + 2 * Pairs;

  logic [PairBits-1:0] once, twice;
  logic [2*Pairs-1:0] factor;

  if (LeftBits > RightBits) begin : gen_left_row
    assign once   = PairBits'(left_i);
    assign factor = (2*Pairs)'(right_i) << Added;
  end else begin : gen_right_row
    assign once   = PairBits'(right_i);
    assign factor = (2*Pairs)'(left_i) << Added;
  end

  assign twice = once << 1;

  // Level 0 holds the sums of pairs, each further one those of two before it.
  for (genvar level = 0; level <= Levels; level++) begin : gen_level
    localparam int Count = (Pairs + (1 << level) - 1) >> level;
    logic signed [SumBits-1:0] sums [Count];

    if (level == 0) begin : gen_pairs
      for (genvar pair = 0; pair < Pairs; pair++) begin : gen_pair
        localparam bit HasSign = pair == Pairs - 1;
        logic signed [PairBits-1:0] sum;

        assign sums[pair] = SumBits'(sum);

`ifdef SYNTHESIS
        if (CarryChoice) begin : gen_cells
          localparam int Cells = (PairBits + 1) / 2;
          // (C & D) ^ (A & B), or the second inverted: its value with C and D 0 is the carry of
          // two equal bits.
          localparam logic [15:0] Table = HasSign ? 16'h8777 : 16'h7888;
          logic [2*Cells-1:0] first, second, found;
          logic [Cells:0] carry;

          assign first    = (2*Cells)'(once);
          assign second   = (2*Cells)'(twice);
          assign carry[0] = HasSign;
          assign sum      = found[PairBits-1:0];

          for (genvar n = 0; n < Cells; n++) begin : gen_cell
            CCU2C #(
              .INIT0(Table), .INIT1(Table), .INJECT1_0("NO"), .INJECT1_1("NO")
            ) positions (
              .CIN(carry[n]), .COUT(carry[n+1]), .S0(found[2*n]), .S1(found[2*n+1]),
              .A0(second[2*n]), .A1(second[2*n+1]),
              .B0(factor[2*pair+1]), .B1(factor[2*pair+1]),
              .C0(first[2*n]), .C1(first[2*n+1]),
              .D0(factor[2*pair]), .D1(factor[2*pair])
            );
          end
        end else
`endif
        begin : gen_sum
          logic [PairBits-1:0] second;

          assign second = twice & {PairBits{factor[2*pair+1]}};

          vecq_adder #(
            .PlainBits(PairBits), .LogicBits(PairBits), .SumBits(PairBits), .Ready(1'b1)
          ) adder (
            .plain_i(once & {PairBits{factor[2*pair]}}), .logic_i(HasSign ? ~second : second),
            .carry_i(HasSign), .sum_o(sum)
          );
        end
      end
    end else begin : gen_sums
      for (genvar n = 0; n < Count; n++) begin : gen_sum
        localparam int Before = (Pairs + (1 << (level - 1)) - 1) >> (level - 1);

        if (2 * n + 1 < Before) begin : gen_two
          localparam int Step     = 1 << level;
          localparam int Most     = PairBits + 2 * (Step - 1);
          localparam int HighBits = (Most < SumBits ? Most : SumBits) - Step;
          logic signed [HighBits-1:0] high;

          vecq_adder #(
            .PlainBits(HighBits), .LogicBits(HighBits), .SumBits(HighBits), .Ready(1'b1)
          ) adder (
            .plain_i(HighBits'(gen_level[level-1].sums[2*n] >>> Step)),
            .logic_i(HighBits'(gen_level[level-1].sums[2*n+1])),
            .carry_i(1'b0), .sum_o(high)
          );

          assign sums[n] = SumBits'(signed'({high, gen_level[level-1].sums[2*n][Step-1:0]}));
        end else begin : gen_one
          assign sums[n] = gen_level[level-1].sums[2*n];
        end
      end
    end
  end

  assign product_o = (LeftBits + RightBits)'(gen_level[Levels].sums[0] >>> Added);

  // What the parameters must be.
  if (LeftBits < 1 || RightBits < 1) begin : gen_rule_positive
    $error("vecq_table_multiplier: LeftBits (%0d) and RightBits (%0d) must be at least 1",
           LeftBits, RightBits);
  end

endmodule
