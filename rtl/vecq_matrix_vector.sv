// SPDX-License-Identifier: Apache-2.0

// acc[o] = bias[o] + sum over c of (2 * q[o][c] + 1) * x[c], folded onto Pe x Simd lanes.
//
// q are signed codes of WeightBits bits on VecQ's mid-rise grid (numeric contract, rule 2).  A
// frame is Inputs elements, Simd of them a word, and gives Outputs accumulators, Pe of them a word;
// they wrap at AccumulatorBits and so are exact where that is wide enough.
//
// There is no multiplier: vecq_pair_row_array computes the sums with an offset that depends on the
// weights alone, and the bias memory takes it off again.  Signed x enter as x + 2^(InputBits-1),
// one more such offset.
//
// Memories, a line each of the following, least significant first (vecq_hw/emit/pair_rows.py):
//   weights: the re-encoded codes of one step, lane 0 of all Pe outputs first; the steps of
//     outputs 0..Pe-1 first
//   bias: AccumulatorBits for each of Pe outputs, the bias minus all offsets
//
// While a frame is replayed for every output fold the next one is stored, so a frame takes
// (Outputs / Pe) * (Inputs / Simd) cycles, without a gap, as long as both sides keep up.  The
// pipeline stands still while an output word is not taken.  Latency, from the last input word to
// the first output word: 4 + ceil(Simd / 8) + ceil(log2(WeightBits)) cycles.
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
  // Pair rows between two registers, and the blocks of lanes that this makes.
  localparam int Rows        = 4;
  localparam int BlockLanes  = 2 * Rows;
  localparam int Blocks      = (Simd + BlockLanes - 1) / BlockLanes;
  localparam int LaneBits    = Pe * WeightBits;
  // Of a sum at most; wider accumulators never see more.
  localparam int ExactBits   = InputBits + 1 + $clog2((Simd + 1) / 2) + WeightBits;
  localparam int SumBits     = ExactBits < AccumulatorBits ? ExactBits : AccumulatorBits;
  // From a step to the accumulators' operands.
  localparam int Latency     = 2 + Blocks + $clog2(WeightBits);

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

  // A block's codes are read so many cycles after its step as it lies behind the first.
  logic [Simd*LaneBits-1:0] weights;
  logic [Blocks*StepBits-1:0] addresses_q;

  always_ff @(posedge clk_i) begin
    if (advance) addresses_q <= (Blocks*StepBits)'({addresses_q, step_q});
  end

  for (genvar block = 0; block < Blocks; block++) begin : gen_block
    localparam int First = block * BlockLanes;
    localparam int Lanes = First + BlockLanes < Simd ? BlockLanes : Simd - First;

    vecq_rom #(
      .Words(Steps), .WordBits(Simd * LaneBits), .File(WeightsFile),
      .First(First * LaneBits), .Bits(Lanes * LaneBits)
    ) weight_rom (
      .clk_i, .enable_i(advance), .address_i(addresses_q[block*StepBits +: StepBits]),
      .data_o(weights[First*LaneBits +: Lanes*LaneBits])
    );
  end

  logic [Simd*InputBits-1:0] unsigned_activations;
  logic [Pe*SumBits-1:0] sums;

  for (genvar lane = 0; lane < Simd; lane++) begin : gen_lane
    assign unsigned_activations[lane*InputBits +: InputBits] =
        activations[lane*InputBits +: InputBits] ^ (InputBits'(InputSigned) << (InputBits - 1));
  end

  vecq_pair_row_array #(
    .Pe(Pe), .Simd(Simd), .WeightBits(WeightBits), .InputBits(InputBits), .SumBits(SumBits),
    .Rows(Rows)
  ) pair_rows (
    .clk_i, .enable_i(advance), .activations_i(unsigned_activations), .weights_i(weights),
    .sums_o(sums)
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
    logic [AccumulatorBits-1:0] start, accumulator_d, accumulator_q;

    assign start = sum_first ? biases[pe*AccumulatorBits +: AccumulatorBits] : accumulator_q;
    assign data_o[pe*AccumulatorBits +: AccumulatorBits] = accumulator_q;

    vecq_adder #(
      .PlainBits(SumBits), .LogicBits(AccumulatorBits), .SumBits(AccumulatorBits)
    ) adder (
      .plain_i(sums[pe*SumBits +: SumBits]), .logic_i(start), .sum_o(accumulator_d)
    );

    always_ff @(posedge clk_i) begin
      if (advance && sum_valid) accumulator_q <= accumulator_d;
    end
  end

endmodule
