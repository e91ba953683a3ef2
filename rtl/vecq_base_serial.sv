// SPDX-License-Identifier: Apache-2.0

// acc[o] = bias[o] + sum over passes of coordinate[pass][o] * (sum over c of +-x[c]).
//
// Weights that are sums of binary bases: a pass takes the GroupWords words of one group of inputs,
// Simd elements each, adds or subtracts each element as the base of each of Pe outputs says, and
// multiplies the sum by the coordinate of that base.  A frame is Words words and gives Outputs
// accumulators, Pe of them a word; they wrap at AccumulatorBits and so are exact where that is wide
// enough.  Outputs of a word take their passes together: one that has fewer bases has coordinates
// of 0.  A group without bases takes no pass.
//
// The sign-adds are vecq_pair_row_array's with one plane; its offsets, which depend on the bases
// alone, are taken off the bias, times their coordinates.  Signed x enter as x + 2^(InputBits-1).
//
// Memories, a line each of the following, least significant first (vecq_hw/accelerator/memories/compact.py):
//   bases: a bit for each lane of a step, re-encoded for pairs, lane 0 of all Pe outputs first
//   coordinates: of a pass, CoordinateBits for each of Pe outputs
//   passes: the first word of the group, and whether the pass is the last of its outputs
//   bias: AccumulatorBits for each of Pe outputs, the bias minus all offsets
//
// A frame takes Passes * GroupWords cycles without a gap, as long as the words that it reads have
// come; the last step waits for the whole frame.  The next frame comes in meanwhile: two are kept.
// The pipeline stands still while an output word is not taken.  Latency, from the step that reads a
// word's last input to the word: 5 + ceil(Simd / 8) cycles.
//
// Where a group has as many words as a coordinate has bits, or more, the coordinate is multiplied bit
// by bit while the next pass is summed, without a multiplier; the latency is then
// 3 + ceil(Simd / 8) + CoordinateBits.
module vecq_base_serial #(
  parameter int Words            = 1,
  parameter int Outputs          = 1,
  parameter int Pe               = 1,
  parameter int Simd             = 1,
  parameter int GroupWords       = 1,
  parameter int Passes           = 1,
  parameter int InputBits        = 8,
  parameter bit InputSigned      = 1'b0,
  parameter int CoordinateBits   = 8,
  parameter bit CoordinateSigned = 1'b0,
  parameter int AccumulatorBits  = 16,
  parameter     BasesFile,
  parameter     CoordinatesFile,
  parameter     PassesFile,
  parameter     BiasFile
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

  localparam int OutputFolds    = Outputs / Pe;
  localparam int Steps          = Passes * GroupWords;
  localparam int StepBits       = Steps > 1 ? $clog2(Steps) : 1;
  localparam int PassBits       = Passes > 1 ? $clog2(Passes) : 1;
  localparam int InnerBits      = GroupWords > 1 ? $clog2(GroupWords) : 1;
  localparam int AddressBits    = Words > 1 ? $clog2(Words) : 1;
  localparam int OutputFoldBits = OutputFolds > 1 ? $clog2(OutputFolds) : 1;
  localparam int WordBits       = Simd * InputBits;
  // Pair rows between two registers, and the stages that this makes.
  localparam int Rows           = 4;
  localparam int StageLanes     = 2 * Rows;
  localparam int Stages         = (Simd + StageLanes - 1) / StageLanes;
  // Of the sum of a step and of a pass at most; wider accumulators never see more.
  localparam int StepSumBits    = InputBits + 1 + $clog2((Simd + 1) / 2);
  localparam int SumBits        = StepSumBits < AccumulatorBits ? StepSumBits : AccumulatorBits;
  localparam int PassSumBits    = StepSumBits + $clog2(GroupWords);
  localparam int PartialBits    = PassSumBits < AccumulatorBits ? PassSumBits : AccumulatorBits;
  // Whether there is time for a coordinate's bits one by one.
  localparam bit Serial         = GroupWords >= CoordinateBits;
  // From a step to the sums.
  localparam int Latency        = 2 + Stages;

  logic advance;        // the pipeline moves
  logic step;           // one step enters it
  logic word_there;
  logic [WordBits-1:0] activations;

  // Position of the step: which pass, which word of its group.
  logic [StepBits-1:0] step_q;
  logic [PassBits-1:0] pass_q, pass_d;
  logic [InnerBits-1:0] inner_q;
  logic [AddressBits:0] line;
  logic first_step, last_step, last_pass;

  assign first_step = inner_q == '0;
  assign last_step  = inner_q == InnerBits'(GroupWords - 1);
  assign last_pass  = pass_q == PassBits'(Passes - 1);
  assign step       = advance && word_there;

  always_comb begin
    pass_d = pass_q;
    if (step && last_step) pass_d = last_pass ? '0 : pass_q + PassBits'(1);
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      step_q  <= '0;
      pass_q  <= '0;
      inner_q <= '0;
    end else begin
      pass_q <= pass_d;
      if (step) begin
        step_q  <= last_step && last_pass ? '0 : step_q + StepBits'(1);
        inner_q <= last_step ? '0 : inner_q + InnerBits'(1);
      end
    end
  end

  // The line of the step to come is read as the one before is left.
  vecq_rom #(
    .Words(Passes), .WordBits(AddressBits + 1), .File(PassesFile)
  ) pass_rom (
    .clk_i, .enable_i(1'b1), .address_i(rst_ni ? pass_d : '0), .data_o(line)
  );

  vecq_frame_buffer #(
    .Words(Words), .WordBits(WordBits)
  ) input_buffer (
    .clk_i, .rst_ni,
    .valid_i, .ready_o, .data_i,
    .address_i(line[AddressBits-1:0] + AddressBits'(inner_q)), .last_i(last_step && last_pass),
    .there_o(word_there), .take_i(step), .enable_i(advance), .data_o(activations)
  );

  // The bases of each stage of lanes are read as many cycles after their step.
  logic [Simd*Pe-1:0] bases;
  logic [Stages*StepBits-1:0] addresses_q;

  always_ff @(posedge clk_i) begin
    if (advance) addresses_q <= (Stages*StepBits)'({addresses_q, step_q});
  end

  for (genvar stage = 0; stage < Stages; stage++) begin : gen_stage
    localparam int First = stage * StageLanes;
    localparam int Lanes = First + StageLanes < Simd ? StageLanes : Simd - First;

    vecq_rom #(
      .Words(Steps), .WordBits(Simd * Pe), .File(BasesFile),
      .First(First * Pe), .Bits(Lanes * Pe)
    ) base_rom (
      .clk_i, .enable_i(advance), .address_i(addresses_q[stage*StepBits +: StepBits]),
      .data_o(bases[First*Pe +: Lanes*Pe])
    );
  end

  logic [WordBits-1:0] unsigned_activations;
  logic [Pe*SumBits-1:0] sums;

  for (genvar lane = 0; lane < Simd; lane++) begin : gen_lane
    assign unsigned_activations[lane*InputBits +: InputBits] =
        activations[lane*InputBits +: InputBits] ^ (InputBits'(InputSigned) << (InputBits - 1));
  end

  vecq_pair_row_array #(
    .Pe(Pe), .Simd(Simd), .WeightBits(1), .InputBits(InputBits), .SumBits(SumBits), .Rows(Rows)
  ) pair_rows (
    .clk_i, .enable_i(advance), .activations_i(unsigned_activations), .weights_i(bases),
    .sums_o(sums)
  );

  // What travels beside the sums: a step of a pass, of the last one of its outputs.
  logic [Latency-1:0] valid_q, first_q, last_q, ends_q;
  logic sum_valid, sum_first, sum_last, sum_ends;

  assign sum_valid = valid_q[Latency-1];
  assign sum_first = first_q[Latency-1];
  assign sum_last  = last_q[Latency-1];
  assign sum_ends  = ends_q[Latency-1];

  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else if (advance) valid_q <= Latency'({valid_q, step});
  end

  always_ff @(posedge clk_i) begin
    if (advance) begin
      first_q <= Latency'({first_q, first_step});
      last_q  <= Latency'({last_q, last_step});
      ends_q  <= Latency'({ends_q, line[AddressBits]});
    end
  end

  // A sum of a pass is there, and is the last of its outputs; the accumulators take a term, the
  // first or last one of their outputs.
  logic partial_q, partial_ends_q;
  logic take, take_last, output_valid_q;

  assign valid_o = output_valid_q;
  assign advance = !output_valid_q || ready_i;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      partial_q      <= 1'b0;
      output_valid_q <= 1'b0;
    end else if (advance) begin
      partial_q      <= sum_valid && sum_last;
      output_valid_q <= take && take_last;
    end
  end

  always_ff @(posedge clk_i) begin
    if (advance && sum_valid) partial_ends_q <= sum_ends;
  end

  // The coordinates of the pass whose sum is there next, the start values of its outputs.
  logic [PassBits-1:0] sum_pass_q;
  logic [OutputFoldBits-1:0] fold_q, fold_d;
  logic [Pe*CoordinateBits-1:0] coordinates;
  logic [Pe*AccumulatorBits-1:0] biases;
  logic begin_q;

  always_comb begin
    fold_d = fold_q;
    if (take && take_last) begin
      fold_d = fold_q == OutputFoldBits'(OutputFolds - 1) ? '0 : fold_q + OutputFoldBits'(1);
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      sum_pass_q <= '0;
      fold_q     <= '0;
      begin_q    <= 1'b1;
    end else if (advance) begin
      if (sum_valid && sum_last) begin
        sum_pass_q <= sum_pass_q == PassBits'(Passes - 1) ? '0 : sum_pass_q + PassBits'(1);
      end
      fold_q <= fold_d;
      if (take) begin_q <= take_last;
    end
  end

  vecq_rom #(
    .Words(Passes), .WordBits(Pe * CoordinateBits), .File(CoordinatesFile)
  ) coordinate_rom (
    .clk_i, .enable_i(advance), .address_i(sum_pass_q), .data_o(coordinates)
  );

  vecq_rom #(
    .Words(OutputFolds), .WordBits(Pe * AccumulatorBits), .File(BiasFile)
  ) bias_rom (
    .clk_i, .enable_i(advance), .address_i(fold_d), .data_o(biases)
  );

  // Per bit of the coordinate, the lowest first: whether it is the first, and whether it is the
  // last, which of signed ones counts negative.
  logic first_bit, last_bit;

  if (Serial && CoordinateBits > 1) begin : gen_bits
    localparam int BitBits = $clog2(CoordinateBits);
    logic [BitBits-1:0] bit_q;
    logic ends_later_q;

    // The first bit is that of the cycle in which the sum is there.
    assign first_bit = bit_q == '0;
    assign last_bit  = bit_q == BitBits'(CoordinateBits - 1);
    assign take      = partial_q || !first_bit;
    assign take_last = last_bit && ends_later_q;

    always_ff @(posedge clk_i) begin
      if (!rst_ni) bit_q <= '0;
      else if (advance && take) bit_q <= last_bit ? '0 : bit_q + BitBits'(1);
    end

    always_ff @(posedge clk_i) begin
      if (advance && partial_q) ends_later_q <= partial_ends_q;
    end
  end else if (Serial) begin : gen_bit
    assign first_bit = 1'b1;
    assign last_bit  = 1'b1;
    assign take      = partial_q;
    assign take_last = partial_ends_q;
  end else begin : gen_product
    logic product_q, product_ends_q;

    assign first_bit = 1'b1;
    assign last_bit  = 1'b1;
    assign take      = product_q;
    assign take_last = product_ends_q;

    always_ff @(posedge clk_i) begin
      if (!rst_ni) product_q <= 1'b0;
      else if (advance) product_q <= partial_q;
    end

    always_ff @(posedge clk_i) begin
      if (advance) product_ends_q <= partial_ends_q;
    end
  end

  for (genvar pe = 0; pe < Pe; pe++) begin : gen_pe
    logic [PartialBits-1:0] partial_start, partial_sum_d, partial_sum_q;
    logic [CoordinateBits-1:0] coordinate;
    logic [AccumulatorBits-1:0] start, term, accumulator_d, accumulator_q;
    logic negative;

    assign partial_start = sum_first ? '0 : partial_sum_q;
    assign coordinate    = coordinates[pe*CoordinateBits +: CoordinateBits];
    assign start         = begin_q && first_bit ? biases[pe*AccumulatorBits +: AccumulatorBits]
                                                : accumulator_q;
    assign data_o[pe*AccumulatorBits +: AccumulatorBits] = accumulator_q;

    vecq_adder #(
      .PlainBits(SumBits), .LogicBits(PartialBits), .SumBits(PartialBits)
    ) partial_adder (
      .plain_i(sums[pe*SumBits +: SumBits]), .logic_i(partial_start), .carry_i(1'b0),
      .sum_o(partial_sum_d)
    );

    if (Serial) begin : gen_serial
      // The pass's sum, one place further up for each bit, and the bits that are left.
      logic [AccumulatorBits-1:0] shifted, shifted_q;
      logic [CoordinateBits-1:0] left, left_q;

      assign shifted  = first_bit ? AccumulatorBits'(partial_sum_q) : shifted_q;
      assign left     = first_bit ? coordinate : left_q;
      assign negative = CoordinateSigned && last_bit && left[0];
      assign term     = left[0] ? shifted ^ {AccumulatorBits{negative}} : '0;

      always_ff @(posedge clk_i) begin
        if (advance) begin
          shifted_q <= shifted << 1;
          left_q    <= left >> 1;
        end
      end
    end else begin : gen_multiplier
      localparam int ProductBits = PartialBits + 1 + CoordinateBits + 1;
      logic signed [CoordinateBits:0] factor;
      logic signed [ProductBits-1:0] product_d;
      logic [AccumulatorBits-1:0] product_sum_q;

      assign factor    = {CoordinateSigned && coordinate[CoordinateBits-1], coordinate};
      assign product_d = factor * signed'({1'b0, partial_sum_q});
      assign negative  = 1'b0;
      assign term      = product_sum_q;

      always_ff @(posedge clk_i) begin
        if (advance) product_sum_q <= AccumulatorBits'(product_d);
      end
    end

    vecq_adder #(
      .PlainBits(AccumulatorBits), .LogicBits(AccumulatorBits), .SumBits(AccumulatorBits)
    ) adder (
      .plain_i(start), .logic_i(term), .carry_i(negative), .sum_o(accumulator_d)
    );

    always_ff @(posedge clk_i) begin
      if (advance) begin
        if (sum_valid) partial_sum_q <= partial_sum_d;
        if (take) accumulator_q <= accumulator_d;
      end
    end
  end

  // What the parameters must be.
  if (Words < 1 || GroupWords < 1 || Passes < 1) begin : gen_rule_positive
    $error("vecq_base_serial: Words (%0d), GroupWords (%0d) and Passes (%0d) must be at least 1",
           Words, GroupWords, Passes);
  end
  if (Simd < 1 || InputBits < 1) begin : gen_rule_positive_simd
    $error("vecq_base_serial: Simd (%0d) and InputBits (%0d) must be at least 1", Simd, InputBits);
  end
  if (CoordinateBits < 1 || AccumulatorBits < 1) begin : gen_rule_positive_coordinate_bits
    $error("vecq_base_serial: CoordinateBits (%0d) and AccumulatorBits (%0d) must be at least 1",
           CoordinateBits, AccumulatorBits);
  end
  if (Pe < 1 || Outputs % Pe != 0) begin : gen_rule_divides_pe
    $error("vecq_base_serial: Pe (%0d) must divide Outputs (%0d)", Pe, Outputs);
  end
  if (GroupWords < 1 || Words % GroupWords != 0) begin : gen_rule_group
    $error("vecq_base_serial: GroupWords (%0d) must divide Words (%0d)", GroupWords, Words);
  end
  if (64'(Passes) * 64'(GroupWords) > 64'h7fff_ffff) begin : gen_rule_steps
    $error("vecq_base_serial: a frame must have fewer than 2^31 steps, not %0d * %0d",
           Passes, GroupWords);
  end

`ifdef VECQ_ASSERTIONS
  vecq_stream_rules #(
    .DataBits(WordBits)
  ) rules_in (
    .clk_i, .rst_ni, .valid_i, .ready_i(ready_o), .data_i, .last_i(1'b0)
  );

  vecq_stream_rules #(
    .DataBits(Pe * AccumulatorBits)
  ) rules_out (
    .clk_i, .rst_ni, .valid_i(valid_o), .ready_i, .data_i(data_o), .last_i(1'b0)
  );
`endif

endmodule
