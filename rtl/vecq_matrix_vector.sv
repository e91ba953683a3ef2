// SPDX-License-Identifier: Apache-2.0

// acc[o] = bias[o] + sum over c of (2 * q[o][c] + 1) * x[c], folded onto Pe x Simd lanes.
//
// q are signed codes of WeightBits bits on VecQ's mid-rise grid (numeric contract, rule 2).  A
// frame is Inputs elements, Simd of them a word, and gives Outputs accumulators, Pe of them a word;
// they wrap at AccumulatorBits and so are exact where that is wide enough.
//
// There is no multiplier.  With u[j] the bits of q, the highest one inverted,
//   sum of (2q + 1) * x = sum over j of 2^(j+1) * (sum of the x with u[j] set)
//                         - (2^WeightBits - 1) * (sum of all x),
// whose last term all outputs share.
//
// Memories, a line each of the following, least significant first:
//   weights: the codes of one step, lane 0 of output 0 first; the steps of outputs 0..Pe-1 first
//   bias: AccumulatorBits for each of Pe outputs
//
// While a frame is replayed for every output fold the next one is stored, so a frame takes
// (Outputs / Pe) * (Inputs / Simd) cycles, without a gap, as long as both sides keep up.  The
// pipeline stands still while an output word is not taken.  Latency, from the last input word to
// the first output word: 3 + ceil(log2(Simd)) + ceil(log2(WeightBits + 1)) cycles.
module vecq_matrix_vector #(
  parameter int Inputs          = 1,
  parameter int Outputs         = 1,
  parameter int Pe              = 1,
  parameter int Simd            = 1,
  parameter int WeightBits      = 2,
  parameter int InputBits       = 8,
  parameter bit InputSigned     = 1'b0,
  parameter int AccumulatorBits = 16,
  parameter     WeightsFile     = "",
  parameter     BiasFile        = ""
) (
  input  logic                          clk_i,
  input  logic                          rst_ni,

  input  logic                          valid_i,
  output logic                          ready_o,
  input  logic [Simd*InputBits-1:0]     data_i,

  output logic                          valid_o,
  input  logic                          ready_i,
  output logic [Pe*AccumulatorBits-1:0] data_o
);

  localparam int InputFolds   = Inputs / Simd;
  localparam int OutputFolds  = Outputs / Pe;
  localparam int Steps        = InputFolds * OutputFolds;
  localparam int StepBits     = Steps > 1 ? $clog2(Steps) : 1;
  localparam int InputFoldBits  = InputFolds > 1 ? $clog2(InputFolds) : 1;
  localparam int OutputFoldBits = OutputFolds > 1 ? $clog2(OutputFolds) : 1;
  // From the memories' outputs to the operands of the accumulators.
  localparam int TermBits     = InputBits + $clog2(Simd);
  localparam int ExactBits    = TermBits + WeightBits + 1;
  localparam int SumBits      = ExactBits < AccumulatorBits ? ExactBits : AccumulatorBits;
  localparam int Latency      = 1 + $clog2(Simd) + $clog2(WeightBits + 1);

  logic advance;        // the pipeline moves
  logic step;           // one step enters it
  logic word_there;
  logic [Simd*InputBits-1:0] activations;

  // Position of the step within the frame.
  logic [StepBits-1:0] step_q;
  logic [InputFoldBits-1:0] input_fold_q;
  logic [OutputFoldBits-1:0] output_fold_q;
  logic first_step, last_step, first_output, last_output;

  assign first_step   = input_fold_q == '0;
  assign last_step    = input_fold_q == InputFoldBits'(InputFolds - 1);
  assign first_output = output_fold_q == '0;
  assign last_output  = output_fold_q == OutputFoldBits'(OutputFolds - 1);
  assign step         = advance && word_there;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      step_q        <= '0;
      input_fold_q  <= '0;
      output_fold_q <= '0;
    end else if (step) begin
      step_q       <= last_step && last_output ? '0 : step_q + StepBits'(1);
      input_fold_q <= last_step ? '0 : input_fold_q + InputFoldBits'(1);
      if (last_step) output_fold_q <= last_output ? '0 : output_fold_q + OutputFoldBits'(1);
    end
  end

  vecq_replay_buffer #(
    .Words(InputFolds), .Replays(OutputFolds), .WordBits(Simd * InputBits)
  ) input_buffer (
    .clk_i, .rst_ni,
    .valid_i, .ready_o, .data_i,
    .first_pass_i(first_output), .last_pass_i(last_output), .last_word_i(last_step),
    .there_o(word_there), .take_i(step), .enable_i(advance), .data_o(activations)
  );

  logic [Pe*Simd*WeightBits-1:0] weights;

  vecq_rom #(
    .Words(Steps), .WordBits(Pe * Simd * WeightBits), .File(WeightsFile)
  ) weight_rom (
    .clk_i, .enable_i(advance), .address_i(step_q), .data_o(weights)
  );

  // What travels beside the sums.
  logic [Latency-1:0] valid_q, first_q, last_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else if (advance) valid_q <= Latency'({valid_q, step});
  end

  always_ff @(posedge clk_i) begin
    if (advance) begin
      first_q <= Latency'({first_q, first_step});
      last_q  <= Latency'({last_q, last_step});
    end
  end

  logic [TermBits-1:0] plain_bits;
  logic signed [TermBits:0] plain;
  logic signed [SumBits-1:0] shared;

  vecq_adder_tree #(
    .Terms(Simd), .TermBits(InputBits), .Signed(InputSigned)
  ) plain_tree (
    .clk_i, .enable_i(advance), .terms_i(activations), .sum_o(plain_bits)
  );

  assign plain  = {InputSigned & plain_bits[TermBits-1], plain_bits};
  assign shared = SumBits'(plain) - (SumBits'(plain) << WeightBits);

  // The start values: this unit counts the output folds at its end, too.
  logic [OutputFoldBits-1:0] sum_fold_q, sum_fold_d;
  logic [Pe*AccumulatorBits-1:0] biases;
  logic sum_valid, sum_first, sum_last;

  assign sum_valid = valid_q[Latency-1];
  assign sum_first = first_q[Latency-1];
  assign sum_last  = last_q[Latency-1];

  always_comb begin
    sum_fold_d = sum_fold_q;
    if (sum_valid && sum_last) begin
      sum_fold_d = sum_fold_q == OutputFoldBits'(OutputFolds - 1) ? '0
                                                                  : sum_fold_q + OutputFoldBits'(1);
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) sum_fold_q <= '0;
    else if (advance) sum_fold_q <= sum_fold_d;
  end

  vecq_rom #(
    .Words(OutputFolds), .WordBits(Pe * AccumulatorBits), .File(BiasFile)
  ) bias_rom (
    .clk_i, .enable_i(advance), .address_i(sum_fold_d), .data_o(biases)
  );

  logic output_valid_q;

  assign valid_o = output_valid_q;
  assign advance = !output_valid_q || ready_i;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) output_valid_q <= 1'b0;
    else if (advance) output_valid_q <= sum_valid && sum_last;
  end

  for (genvar pe = 0; pe < Pe; pe++) begin : gen_pe
    logic [(WeightBits+1)*SumBits-1:0] operands;
    logic signed [SumBits-1:0] sum;
    logic signed [AccumulatorBits-1:0] accumulator_q, start;

    for (genvar plane = 0; plane < WeightBits; plane++) begin : gen_plane
      logic [Simd*InputBits-1:0] gated;
      logic [TermBits-1:0] total_bits;
      logic signed [TermBits:0] total;

      for (genvar lane = 0; lane < Simd; lane++) begin : gen_lane
        logic set;
        if (plane == WeightBits - 1) begin : gen_highest
          assign set = !weights[(pe*Simd+lane)*WeightBits + plane];
        end else begin : gen_lower
          assign set = weights[(pe*Simd+lane)*WeightBits + plane];
        end
        assign gated[lane*InputBits +: InputBits] =
            activations[lane*InputBits +: InputBits] & {InputBits{set}};
      end

      vecq_adder_tree #(
        .Terms(Simd), .TermBits(InputBits), .Signed(InputSigned)
      ) plane_tree (
        .clk_i, .enable_i(advance), .terms_i(gated), .sum_o(total_bits)
      );

      assign total = {InputSigned & total_bits[TermBits-1], total_bits};
      assign operands[plane*SumBits +: SumBits] = SumBits'(total) << (plane + 1);
    end

    assign operands[WeightBits*SumBits +: SumBits] = shared;

    vecq_adder_tree #(
      .Terms(WeightBits + 1), .TermBits(SumBits), .Signed(1'b1), .SumBits(SumBits)
    ) operand_tree (
      .clk_i, .enable_i(advance), .terms_i(operands), .sum_o(sum)
    );

    assign start = sum_first ? biases[pe*AccumulatorBits +: AccumulatorBits] : accumulator_q;
    assign data_o[pe*AccumulatorBits +: AccumulatorBits] = accumulator_q;

    always_ff @(posedge clk_i) begin
      if (advance && sum_valid) accumulator_q <= start + AccumulatorBits'(sum);
    end
  end

endmodule
