// SPDX-License-Identifier: Apache-2.0

// significand_rows in the place of vecq_pair_row_array, to measure the complete unit around it.
//
// WEIGHT_BITS, FRACTION, ACTIVATION_BITS, FLOATS and ACTIVATION_FRACTION are put in before it is
// read: the unit around it knows integers alone.  Its memory holds the codes of the floats, each in
// the lowest bits of a weight, and where Floats is set activations are codes, too.  The accumulators
// add unsigned sums: a sum has 2^(SumBits-1) more than it is worth, and one less where the last lane
// is negative; the bias takes that off.  All operands are aligned to the last stage of lanes.
// Latency, from activations_i to sums_o: 1 + Registers + stages + 2 + levels of the tree.
module vecq_pair_row_array #(
  parameter int Pe             = 1,
  parameter int Simd           = 2,
  parameter int WeightBits     = 2,
  parameter bit TwosComplement = 1'b1,
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

  localparam int Bits       = WEIGHT_BITS;
  localparam int FloatBits  = ACTIVATION_BITS;
  localparam int Stages     = (Simd + 2 * Rows - 1) / (2 * Rows);
  localparam int Delays     = Stages + Registers;

  logic [Delays*Simd*FloatBits-1:0] activations_q;
  logic [Simd*FloatBits-1:0]        activations;
  logic [Simd*Pe*Bits-1:0]          weights;
  logic [Pe*SumBits-1:0]            sums;
  logic [Pe-1:0]                    ones;

  for (genvar lane = 0; lane < Simd; lane++) begin : gen_activation
    assign activations[lane*FloatBits +: FloatBits] = activations_i[lane*InputBits +: FloatBits];
  end

  always_ff @(posedge clk_i) begin
    if (enable_i) activations_q <= (Delays*Simd*FloatBits)'({activations_q, activations});
  end

  for (genvar lane = 0; lane < Simd; lane++) begin : gen_lane
    localparam int Delay = Stages - 1 - lane / (2 * Rows);
    for (genvar pe = 0; pe < Pe; pe++) begin : gen_pe
      logic [(Delay+1)*Bits-1:0] weights_q;
      assign weights_q[Bits-1:0] = weights_i[(lane*Pe+pe)*WeightBits +: Bits];
      for (genvar stage = 0; stage < Delay; stage++) begin : gen_delay
        always_ff @(posedge clk_i) begin
          if (enable_i) weights_q[(stage+1)*Bits +: Bits] <= weights_q[stage*Bits +: Bits];
        end
      end
      assign weights[(lane*Pe+pe)*Bits +: Bits] = weights_q[Delay*Bits +: Bits];
    end
  end

  significand_rows #(
    .Pe(Pe), .Simd(Simd), .WeightBits(Bits), .Fraction(FRACTION), .ActivationBits(FloatBits),
    .Floats(FLOATS), .ActivationFraction(ACTIVATION_FRACTION), .SumBits(SumBits)
  ) rows (
    .clk_i, .enable_i, .activations_i(activations_q[(Delays-1)*Simd*FloatBits +: Simd*FloatBits]),
    .weights_i(weights), .sums_o(sums), .ones_o(ones)
  );

  for (genvar pe = 0; pe < Pe; pe++) begin : gen_sum
    assign sums_o[pe*SumBits +: SumBits] =
        sums[pe*SumBits +: SumBits] ^ (SumBits'(1) << (SumBits - 1));
  end

endmodule
