// SPDX-License-Identifier: Apache-2.0

// The arithmetic of vecq_matrix_vector: for each of Pe outputs the sum over Simd lanes of
// (2 * q + 1) * x, or of q * x where TwosComplement is set, plus an offset that depends on the codes
// q alone.  No multiplier, no sign.
//
// x are unsigned.  2q + 1 is the sum over planes j of 2^j * b[j], where b[j] is +1 or -1: bit j of
// q, the highest one inverted.  Two neighbouring lanes are a pair, and all outputs share
//   plus = x[0] + x[1]   and   minus = x[0] + ~x[1], which is x[0] - x[1] + 2^InputBits - 1.
// A row is one of these four, plus, minus or their complements: one look-up table a bit in front of
// the carry chain that adds it.  It is the signed sum of the pair in a plane, plus its offset:
//   2^InputBits - 1 for each b of -1, and 1 more if the first one is.
// The last lane of an odd number is a row alone, x or its complement, without the 1 more.
//
// Codes, re-encoded: in each plane the first lane of a pair says whether its b is -1, the second
// whether the two b differ.  In weights_i lane 0 of all outputs comes first.
//
// With TwosComplement the codes come as they are, and a row is one of 0, x[0], x[1] and plus: still
// one look-up table a bit, of six inputs.  The highest plane counts negative: its rows are inverted,
// all RowBits of them, so that their offset, 2^RowBits - 1 each, is the same for all codes.
//
// A chain of rows for each output and plane has a register after every Rows rows, then the planes
// are joined two by two, a register after each level.  So 2 * Rows lanes are added in a stage; the
// codes of stage g come g cycles after those of stage 0, and those 1 + Registers cycles after the
// activations; Registers stand behind the shared operands.
// Latency, from activations_i to sums_o, in cycles with enable_i:
//   1 + Registers + ceil(Simd / (2 * Rows)) + ceil(log2(WeightBits)).
module vecq_pair_row_array #(
  parameter int Pe             = 1,
  parameter int Simd           = 2,
  parameter int WeightBits     = 2,
  parameter bit TwosComplement = 1'b0,
  parameter int InputBits      = 8,
  parameter int SumBits        = 16,
  parameter int Rows           = 4,
  parameter int Registers      = 0
) (
  input  logic                          clk_i,
  input  logic                          enable_i,
  input  logic [Simd*InputBits-1:0]     activations_i,
  input  logic [Simd*Pe*WeightBits-1:0] weights_i,
  output logic [Pe*SumBits-1:0]         sums_o
);

  localparam int Pairs   = Simd > 0 ? (Simd + 1) / 2 : 1;
  localparam int RowBits = InputBits + 1;

  // Bits of the sum of so many rows, each of them up to 2^RowBits - 1.  Only where the rows are
  // more than such a number, and RowBits therefore few, is it less than that of as many 2^RowBits.
  function automatic int chain_bits(int rows);
    longint most;
    most = (64'(rows) << RowBits) - 64'(rows);
    chain_bits = RowBits < $clog2(rows) ? $clog2(most + 1) : RowBits + $clog2(rows);
  endfunction

  localparam int PlaneBits = chain_bits(Pairs);

  // The operands of each pair, in time for its stage; alone are its two lanes.
  logic [Pairs*RowBits-1:0] plus, minus;
  logic [Pairs*2*InputBits-1:0] alone;

  vecq_pair_sums #(
    .Simd(Simd), .InputBits(InputBits), .Rows(Rows), .Registers(Registers)
  ) pair_sums (
    .clk_i, .enable_i, .activations_i, .plus_o(plus), .minus_o(minus), .alone_o(alone)
  );

  for (genvar pe = 0; pe < Pe; pe++) begin : gen_pe
    logic [WeightBits*PlaneBits-1:0] planes;

    for (genvar plane = 0; plane < WeightBits; plane++) begin : gen_plane
      for (genvar pair = 0; pair < Pairs; pair++) begin : gen_row
        // Sums of the rows so far.
        localparam int Bits = chain_bits(pair + 1);
        localparam bit Last = pair % Rows == Rows - 1 || pair == Pairs - 1;
        logic [RowBits-1:0] row;
        logic [Bits-1:0] sum_d, sum;

        if (TwosComplement) begin : gen_bits
          logic first, second;
          logic [InputBits-1:0] one;
          assign first = weights_i[(2*pair*Pe+pe)*WeightBits + plane];
          if (2 * pair + 1 < Simd) begin : gen_two
            assign second = weights_i[((2*pair+1)*Pe+pe)*WeightBits + plane];
          end else begin : gen_one
            assign second = 1'b0;
          end
          assign one = alone[2*pair*InputBits +: InputBits] & {InputBits{first}}
                       | alone[(2*pair+1)*InputBits +: InputBits] & {InputBits{second}};
          assign row = (first && second ? plus[pair*RowBits +: RowBits] : {1'b0, one})
                       ^ {RowBits{plane == WeightBits - 1}};
        end else begin : gen_signs
          logic negative;
          assign negative = weights_i[(2*pair*Pe+pe)*WeightBits + plane];
          if (2 * pair + 1 < Simd) begin : gen_two
            logic differ;
            assign differ = weights_i[((2*pair+1)*Pe+pe)*WeightBits + plane];
            assign row = (differ ? minus[pair*RowBits +: RowBits] : plus[pair*RowBits +: RowBits])
                         ^ {RowBits{negative}};
          end else begin : gen_one
            assign row = plus[pair*RowBits +: RowBits] ^ {1'b0, {InputBits{negative}}};
          end
        end

        if (pair == 0) begin : gen_first
          assign sum_d = row;
        end else begin : gen_next
          localparam int Below = chain_bits(pair);
          vecq_adder #(
            .PlainBits(Below), .LogicBits(RowBits), .SumBits(Bits)
          ) adder (
            .plain_i(gen_row[pair-1].sum), .logic_i(row), .carry_i(1'b0), .sum_o(sum_d)
          );
        end

        if (Last) begin : gen_register
          always_ff @(posedge clk_i) begin
            if (enable_i) sum <= sum_d;
          end
        end else begin : gen_wire
          assign sum = sum_d;
        end
      end

      assign planes[plane*PlaneBits +: PlaneBits] = gen_row[Pairs-1].sum;
    end

    vecq_plane_sum #(
      .Planes(WeightBits), .PlaneBits(PlaneBits), .SumBits(SumBits)
    ) plane_sum (
      .clk_i, .enable_i, .planes_i(planes), .sum_o(sums_o[pe*SumBits +: SumBits])
    );
  end

  // What the parameters must be.
  if (Pe < 1 || Simd < 1) begin : gen_rule_positive
    $error("vecq_pair_row_array: Pe (%0d) and Simd (%0d) must be at least 1", Pe, Simd);
  end
  if (WeightBits < 1 || InputBits < 1) begin : gen_rule_positive_weight_bits_input_bits
    $error("vecq_pair_row_array: WeightBits (%0d) and InputBits (%0d) must be at least 1",
           WeightBits, InputBits);
  end
  if (SumBits < 1 || Rows < 1) begin : gen_rule_positive_sum_bits_rows
    $error("vecq_pair_row_array: SumBits (%0d) and Rows (%0d) must be at least 1", SumBits, Rows);
  end

endmodule
