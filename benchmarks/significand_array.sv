// SPDX-License-Identifier: Apache-2.0

// significand_rows between registers, with accumulators that start from zero, to be measured alone.
//
// data_i are, from below: last_i, the activations, and the weights, lane 0 of all outputs first.
// The accumulators are one cycle behind the sums.
module significand_array #(
  parameter int Pe                 = 16,
  parameter int Simd               = 16,
  parameter int WeightBits         = 4,
  parameter int Fraction           = 1,
  parameter int ActivationBits     = 8,
  parameter bit Floats             = 1'b0,
  parameter int ActivationFraction = 0,
  parameter int AccumulatorBits    = 24
) (
  input  logic                                            clk_i,
  input  logic [Simd*(ActivationBits+Pe*WeightBits):0]    data_i,
  output logic [Pe*AccumulatorBits-1:0]                   data_o
);

  logic [Simd*ActivationBits-1:0] activations_q;
  logic [Simd*Pe*WeightBits-1:0]  weights_q;
  logic [Pe*AccumulatorBits-1:0]  sums;
  logic [Pe-1:0]                  ones;

  always_ff @(posedge clk_i) {weights_q, activations_q} <= data_i[Simd*(ActivationBits+Pe*WeightBits):1];

  significand_rows #(
    .Pe(Pe), .Simd(Simd), .WeightBits(WeightBits), .Fraction(Fraction),
    .ActivationBits(ActivationBits), .Floats(Floats), .ActivationFraction(ActivationFraction),
    .SumBits(AccumulatorBits)
  ) rows (
    .clk_i, .enable_i(1'b1), .activations_i(activations_q), .weights_i(weights_q),
    .sums_o(sums), .ones_o(ones)
  );

  for (genvar pe = 0; pe < Pe; pe++) begin : gen_pe
    logic [AccumulatorBits-1:0] accumulator_q, output_q;
    logic [AccumulatorBits:0]   sum;
    assign sum = {accumulator_q, 1'b1} + {sums[pe*AccumulatorBits +: AccumulatorBits], ones[pe]};
    always_ff @(posedge clk_i) begin
      accumulator_q <= data_i[0] ? '0 : sum[AccumulatorBits:1];
      output_q      <= sum[AccumulatorBits:1];
    end
    assign data_o[pe*AccumulatorBits +: AccumulatorBits] = output_q;
  end

endmodule
