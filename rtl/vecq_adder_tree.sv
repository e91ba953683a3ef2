// SPDX-License-Identifier: Apache-2.0

// The sum of all terms, two by two, with a register after each level.
//
// A sum has SumBits bits: with TermBits + ceil(log2(Terms)) it is exact, with fewer (not less than
// TermBits) it wraps.
// Latency: ceil(log2(Terms)) cycles with enable_i.
module vecq_adder_tree #(
  parameter int Terms    = 1,
  parameter int TermBits = 8,
  parameter bit Signed   = 1'b0,
  parameter int SumBits  = TermBits + $clog2(Terms)
) (
  input  logic                      clk_i,
  input  logic                      enable_i,
  input  logic [Terms*TermBits-1:0] terms_i,
  output logic [SumBits-1:0]        sum_o
);

  localparam int Levels = $clog2(Terms);

  for (genvar level = 0; level <= Levels; level++) begin : gen_level
    // How many sums this level holds, and how wide; it grows one bit per level while there is room.
    localparam int Sums = (Terms + (1 << level) - 1) >> level;
    localparam int Bits = TermBits + level < SumBits ? TermBits + level : SumBits;
    logic [Sums*Bits-1:0] sums;

    if (level == 0) begin : gen_terms
      for (genvar n = 0; n < Sums; n++) begin : gen_term
        assign sums[n*Bits +: Bits] = terms_i[n*TermBits +: Bits];
      end
    end else begin : gen_sums
      localparam int Below     = (Terms + (1 << (level - 1)) - 1) >> (level - 1);
      localparam int BelowBits = TermBits + level - 1 < SumBits ? TermBits + level - 1 : SumBits;

      for (genvar n = 0; n < Sums; n++) begin : gen_sum
        logic [BelowBits:0] left, right;
        logic [BelowBits-1:0] left_term, right_term;

        assign left_term = gen_level[level-1].sums[2*n*BelowBits +: BelowBits];
        if (2 * n + 1 < Below) begin : gen_pair
          assign right_term = gen_level[level-1].sums[(2*n+1)*BelowBits +: BelowBits];
        end else begin : gen_single
          assign right_term = '0;
        end
        assign left  = {Signed & left_term[BelowBits-1], left_term};
        assign right = {Signed & right_term[BelowBits-1], right_term};

        always_ff @(posedge clk_i) begin
          if (enable_i) sums[n*Bits +: Bits] <= Bits'(left + right);
        end
      end
    end
  end

  assign sum_o = gen_level[Levels].sums;

  // What the parameters must be.
  if (Terms < 1 || TermBits < 1) begin : gen_rule_positive
    $error("vecq_adder_tree: Terms (%0d) and TermBits (%0d) must be at least 1", Terms, TermBits);
  end
  if (SumBits < TermBits) begin : gen_rule_sum
    $error("vecq_adder_tree: SumBits (%0d) must not be less than TermBits (%0d)",
           SumBits, TermBits);
  end

endmodule
