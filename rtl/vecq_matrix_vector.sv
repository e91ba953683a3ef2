// SPDX-License-Identifier: Apache-2.0

// acc[o] = bias[o] + sum over c of (2 * q[o][c] + 1) * x[c], folded onto Pe x Simd lanes.
//
// q are signed codes of WeightBits bits on VecQ's mid-rise grid (numeric contract, rule 2).  With
// TwosComplement they are worth q instead of 2 * q + 1: ternary weights and all other integers.  A
// frame is Inputs elements, Simd of them a word, and gives Outputs accumulators, Pe of them a word;
// they wrap at AccumulatorBits and so are exact where that is wide enough.
//
// Of a grouped convolution, an output reads the Inputs elements of its own group alone, so a frame
// is Groups * Inputs elements: Taps kernel positions, in each of them the channels of all groups.
// Where Pe outputs are of several groups, a word is Simd elements of each of these; else it is of
// one.  Pe divides the outputs of a group or is a multiple of them.
//
// There is no multiplier: vecq_pair_row_array computes the sums with an offset that depends on the
// weights alone, and the bias memory takes it off again.  Signed x enter as x + 2^(InputBits-1),
// one more such offset.  With QuadRows vecq_quad_row_array does the same, smaller on ECP5; with
// Popcount vecq_popcount_array, for weights and activations of one bit.
//
// With BitSerial the array has one bit plane.  A code is WeightBits binary bases, and a word of
// outputs takes a pass over its inputs for each of them, the highest first: before a pass the sums
// are doubled (Horner), and the next lower bit of the bias comes in below.  So the bias, offsets of
// all planes included, needs no adder, and the unit is as small as one for weights of one bit.
//
// With BookWords, WeightsFile holds indices into a book of so many words of BookLanes weights each
// (vecq_code_book), codes of TwosComplement.  Nothing else changes, not in any cycle.
//
// Memories, a line each of the following, least significant first (vecq_hw/accelerator/memories/pair_rows.py):
//   weights: the codes of one step, those of the mid-rise grid re-encoded, lane 0 of all Pe outputs
//     first; the steps of outputs 0..Pe-1 first; with BitSerial of one plane
//   bias: AccumulatorBits for each of Pe outputs, the bias minus all offsets
//
// While a frame is replayed for every output fold the next one is stored, so a frame takes
// (Outputs / Pe) * (Inputs / Simd) cycles, with BitSerial WeightBits times as many, without a gap,
// as long as both sides keep up.  vecq_pipeline_end ends the pipeline.
//
// Three parameters fit the pipeline to a device.  Rows pairs of lanes are added in a stage; with
// QuadRows they are 2.  Registers stand behind the weight and bias memories (vecq_rom), and as many
// behind the input buffer, the last of them behind the sums of pairs.  With QuadRows the last one of
// weights and activations stands behind what both meet in.  MostInLuts: see vecq_rom.
//
// Latency, from the last input word to the first output word: 5 + Registers + ceil(Simd / (2 *
// Rows)) + ceil(log2(WeightBits)) cycles; with BitSerial without the last term, after the word's
// last pass.
module vecq_matrix_vector #(
  parameter int Inputs          = 1,
  parameter int Outputs         = 1,
  parameter int Pe              = 1,
  parameter int Simd            = 1,
  parameter int Groups          = 1,
  parameter int Taps            = 1,
  parameter int WeightBits      = 2,
  parameter bit TwosComplement  = 1'b0,
  parameter int InputBits       = 8,
  parameter bit InputSigned     = 1'b0,
  parameter int AccumulatorBits = 16,
  parameter     WeightsFile,
  parameter     BiasFile,
  parameter bit BitSerial       = 1'b0,
  parameter bit QuadRows        = 1'b0,
  parameter bit Popcount        = 1'b0,
  parameter int BookWords       = 0,
  parameter int BookLanes       = 1,
  parameter     BookFile        = "",
  parameter int Rows            = 4,
  parameter int Registers       = 1,
  parameter int MostInLuts      = 64,
  // Groups that the outputs of a step belong to.
  localparam int Span = Pe > Outputs / Groups ? Pe / (Outputs / Groups) : 1
) (
  input  logic                          clk_i,
  input  logic                          rst_ni,

  input  logic                          valid_i,
  output logic                          ready_o,
  input  logic [Span*Simd*InputBits-1:0]  data_i,

  output logic                          valid_o,
  input  logic                          ready_i,
  output logic [Pe*AccumulatorBits-1:0] data_o
);

  localparam int InputFolds     = Inputs / Simd;
  localparam int OutputFolds    = Outputs / Pe;
  // Passes over the inputs for a word of outputs, and planes that the array adds in each of them.
  localparam int Planes         = BitSerial ? WeightBits : 1;
  localparam int ArrayBits      = BitSerial ? 1 : WeightBits;
  localparam int Passes         = OutputFolds * Planes;
  localparam int Steps          = InputFolds * Passes;
  localparam int StepBits       = Steps > 1 ? $clog2(Steps) : 1;
  localparam int OutputFoldBits = OutputFolds > 1 ? $clog2(OutputFolds) : 1;
  // Blocks of Span groups in a frame.
  localparam int Blocks         = Groups / Span;
  localparam int WordBits       = Span * Simd * InputBits;
  // Stages of pair rows.
  localparam int StageLanes     = 2 * Rows;
  localparam int Stages         = (Simd + StageLanes - 1) / StageLanes;
  localparam int LaneBits       = Pe * ArrayBits;
  // Of a sum at most; wider accumulators never see more.
  localparam int ExactBits      = InputBits + 1 + $clog2((Simd + 1) / 2) + ArrayBits;
  localparam int SumBits        = ExactBits < AccumulatorBits ? ExactBits : AccumulatorBits;
  // From a step to the accumulators' operands, and from the bias's address.
  localparam int Latency        = 2 + Registers + Stages + $clog2(ArrayBits);
  localparam int BiasLatency    = 1 + Registers;

  logic advance, hold;  // the pipeline moves, or stands still
  logic step;           // one step enters it
  logic word_there;
  logic [WordBits-1:0] read, activations;

  // Position of the step within the frame.
  logic [StepBits-1:0] step_q;
  logic first_step, last_step, last_step_d, last_pass;

  assign step = !hold && word_there;

  vecq_counter #(
    .Count(InputFolds)
  ) fold_counter (
    .clk_i, .rst_ni, .step_i(step), .inner_full_i(1'b1), .inner_full_d_i(1'b1),
    .count_o(), .last_o(), .full_o(last_step), .full_d_o(last_step_d)
  );

  vecq_counter #(
    .Count(Passes), .InnerOne(InputFolds == 1), .InnerStart(InputFolds == 1)
  ) pass_counter (
    .clk_i, .rst_ni, .step_i(step), .inner_full_i(last_step), .inner_full_d_i(last_step_d),
    .count_o(), .last_o(last_pass), .full_o(), .full_d_o()
  );

  if (InputFolds > 1) begin : gen_folds
    logic first_step_q;
    assign first_step = first_step_q;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) first_step_q <= 1'b1;
      else if (step) first_step_q <= last_step;
    end
  end else begin : gen_one_fold
    assign first_step = 1'b1;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) step_q <= '0;
    else if (step) step_q <= last_step && last_pass ? '0 : step_q + StepBits'(1);
  end

  if (Blocks == 1) begin : gen_replay
    logic first_pass_q;

    always_ff @(posedge clk_i) begin
      if (!rst_ni) first_pass_q <= 1'b1;
      else if (step) first_pass_q <= last_step && last_pass || !last_step && first_pass_q;
    end

    vecq_replay_buffer #(
      .Words(InputFolds), .Replays(Passes), .WordBits(WordBits)
    ) input_buffer (
      .clk_i, .rst_ni,
      .valid_i, .ready_o, .data_i,
      .first_pass_i(first_pass_q), .last_pass_i(last_pass), .last_word_i(last_step),
      .there_o(word_there), .take_i(step), .enable_i(advance), .data_o(read)
    );
  end else begin : gen_groups
    vecq_group_buffer #(
      .Taps(Taps), .Blocks(Blocks), .BlockWords(InputFolds / Taps),
      .Replays(Passes / Blocks), .WordBits(WordBits)
    ) input_buffer (
      .clk_i, .rst_ni,
      .valid_i, .ready_o, .data_i,
      .there_o(word_there), .take_i(step), .enable_i(advance), .data_o(read)
    );
  end

  // The last of the Registers stands behind the sums of pairs.
  if (Registers > 1) begin : gen_read
    logic [(Registers-1)*WordBits-1:0] read_q;
    assign activations = read_q[(Registers-2)*WordBits +: WordBits];
    always_ff @(posedge clk_i) begin
      if (advance) read_q <= ((Registers-1)*WordBits)'({read_q, read});
    end
  end else begin : gen_no_read
    assign activations = read;
  end

  logic [Simd*LaneBits-1:0] weights;

  if (BookWords > 0) begin : gen_book
    vecq_code_book #(
      .Steps(Steps), .Pe(Pe), .Simd(Simd), .WeightBits(ArrayBits), .BookWords(BookWords),
      .BookLanes(BookLanes), .StageLanes(StageLanes), .Registers(Registers),
      .IndicesFile(WeightsFile),
      .BookFile(BookFile)
    ) book (
      .clk_i, .rst_ni, .enable_i(advance), .step_i(step), .codes_o(weights)
    );
  end else begin : gen_codes
    // The codes of each stage of lanes are read as many cycles after their step, those that are
    // counted by two stages; of rows of four the second is in time with the first.
    logic [Stages*StepBits-1:0] addresses_q;

    always_ff @(posedge clk_i) begin
      if (advance) addresses_q <= (Stages*StepBits)'({addresses_q, step_q});
    end

    for (genvar stage = 0; stage < Stages; stage++) begin : gen_stage
      localparam int First = stage * StageLanes;
      localparam int Lanes = First + StageLanes < Simd ? StageLanes : Simd - First;
      localparam int Later = QuadRows && stage > 0 ? stage - 1 : stage;
      localparam int Delay = Popcount ? stage / 2 * 2 : Later;

      vecq_rom #(
        .Words(Steps), .WordBits(Simd * LaneBits), .File(WeightsFile),
        .First(First * LaneBits), .Bits(Lanes * LaneBits), .MostInLuts(MostInLuts),
        .Registers(QuadRows ? Registers - 1 : Registers)
      ) weight_rom (
        .clk_i, .enable_i(advance), .address_i(addresses_q[Delay*StepBits +: StepBits]),
        .data_o(weights[First*LaneBits +: Lanes*LaneBits])
      );
    end
  end

  logic [WordBits-1:0] unsigned_activations;
  logic [Pe*SumBits-1:0] sums;

  for (genvar lane = 0; lane < Span * Simd; lane++) begin : gen_lane
    assign unsigned_activations[lane*InputBits +: InputBits] =
        activations[lane*InputBits +: InputBits] ^ (InputBits'(InputSigned) << (InputBits - 1));
  end

  for (genvar group = 0; group < Span; group++) begin : gen_group
    localparam int GroupPe = Pe / Span;
    logic [Simd*GroupPe*ArrayBits-1:0] group_weights;

    for (genvar lane = 0; lane < Simd; lane++) begin : gen_lane
      assign group_weights[lane*GroupPe*ArrayBits +: GroupPe*ArrayBits] =
          weights[(lane*Pe+group*GroupPe)*ArrayBits +: GroupPe*ArrayBits];
    end

    if (QuadRows) begin : gen_quad_rows
      vecq_quad_row_array #(
        .Pe(GroupPe), .Simd(Simd), .WeightBits(ArrayBits), .InputBits(InputBits),
        .SumBits(SumBits)
      ) quad_rows (
        .clk_i, .enable_i(advance),
        .activations_i(unsigned_activations[group*Simd*InputBits +: Simd*InputBits]),
        .weights_i(group_weights), .sums_o(sums[group*GroupPe*SumBits +: GroupPe*SumBits])
      );
    end else if (Popcount) begin : gen_popcount
      vecq_popcount_array #(
        .Pe(GroupPe), .Simd(Simd), .SumBits(SumBits), .Registers(1)
      ) popcount (
        .clk_i, .enable_i(advance), .activations_i(unsigned_activations[group*Simd +: Simd]),
        .weights_i(group_weights), .sums_o(sums[group*GroupPe*SumBits +: GroupPe*SumBits])
      );
    end else begin : gen_pair_rows
      vecq_pair_row_array #(
        .Pe(GroupPe), .Simd(Simd), .WeightBits(ArrayBits), .TwosComplement(TwosComplement),
        .InputBits(InputBits), .SumBits(SumBits), .Rows(Rows), .Registers(1)
      ) pair_rows (
        .clk_i, .enable_i(advance),
        .activations_i(unsigned_activations[group*Simd*InputBits +: Simd*InputBits]),
        .weights_i(group_weights), .sums_o(sums[group*GroupPe*SumBits +: GroupPe*SumBits])
      );
    end
  end

  // The plane of a pass, the highest first.
  localparam int PlaneBits = Planes > 1 ? $clog2(Planes) : 1;
  logic first_plane, last_plane;

  if (BitSerial && Planes > 1) begin : gen_plane
    logic [PlaneBits-1:0] plane_q;
    assign first_plane = plane_q == PlaneBits'(Planes - 1);
    assign last_plane  = plane_q == '0;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) plane_q <= PlaneBits'(Planes - 1);
      else if (step && last_step) begin
        plane_q <= last_plane ? PlaneBits'(Planes - 1) : plane_q - PlaneBits'(1);
      end
    end
  end else begin : gen_all_planes
    assign {first_plane, last_plane} = '1;
  end

  // What travels beside the sums: whether they are of a step, of an output word's first one, and of
  // its last one.
  logic [Latency-1:0] valid_q, begins_q, ends_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else if (advance) valid_q <= Latency'({valid_q, step});
  end

  always_ff @(posedge clk_i) begin
    if (advance) begin
      begins_q <= Latency'({begins_q, first_step && first_plane});
      ends_q   <= Latency'({ends_q, last_step && last_plane});
    end
  end

  logic sum_begins, word_ends;

  assign sum_begins = begins_q[Latency-1];
  assign word_ends  = valid_q[Latency-1] && ends_q[Latency-1];

  // Whether they are of a pass's first step.
  if (Planes > 1) begin : gen_first
    logic [Latency-1:0] first_q;
    always_ff @(posedge clk_i) begin
      if (advance) first_q <= Latency'({first_q, first_step});
    end
  end

  // The start values: the output folds are counted as early as the bias takes to be read.
  logic [OutputFoldBits-1:0] bias_fold_q;
  logic [Pe*AccumulatorBits-1:0] biases;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) bias_fold_q <= '0;
    else if (!hold && valid_q[Latency-1-BiasLatency] && ends_q[Latency-1-BiasLatency]) begin
      bias_fold_q <= bias_fold_q == OutputFoldBits'(OutputFolds - 1)
                     ? '0 : bias_fold_q + OutputFoldBits'(1);
    end
  end

  vecq_rom #(
    .Words(OutputFolds), .WordBits(Pe * AccumulatorBits), .File(BiasFile),
    .MostInLuts(MostInLuts), .Registers(Registers)
  ) bias_rom (
    .clk_i, .enable_i(advance), .address_i(bias_fold_q), .data_o(biases)
  );

  // The accumulators hold a finished word until the next one begins.
  logic finished_q, accumulate;
  logic [Pe*AccumulatorBits-1:0] accumulators;

  assign accumulate = !hold && valid_q[Latency-1];

  always_ff @(posedge clk_i) begin
    if (!rst_ni) finished_q <= 1'b0;
    else if (advance) finished_q <= word_ends;
  end

  vecq_pipeline_end #(
    .DataBits(Pe * AccumulatorBits), .Words(Inputs == Simd && Planes == 1 ? 2 : 1)
  ) pipeline_end (
    .clk_i, .rst_ni,
    .valid_i(finished_q), .next_i(word_ends),
    .data_i(accumulators), .advance_o(advance), .hold_o(hold),
    .valid_o, .ready_i, .data_o
  );

  for (genvar pe = 0; pe < Pe; pe++) begin : gen_pe
    logic [SumBits-1:0] sum;
    logic [AccumulatorBits-1:0] bias, accumulator_d, accumulator_q;

    assign sum  = sums[pe*SumBits +: SumBits];
    assign bias = biases[pe*AccumulatorBits +: AccumulatorBits];
    assign accumulators[pe*AccumulatorBits +: AccumulatorBits] = accumulator_q;

    if (QuadRows && Planes == 1) begin : gen_carry_choice
      vecq_carry_adder #(
        .PlainBits(SumBits), .LogicBits(AccumulatorBits), .SumBits(AccumulatorBits)
      ) adder (
        .plain_i(sum), .first_i(accumulator_q), .second_i(bias), .select_i(sum_begins),
        .sum_o(accumulator_d)
      );
    end else begin : gen_choice
      logic [AccumulatorBits-1:0] start;

      if (Planes > 1) begin : gen_doubled
        // The plane that the next pass adds, whose bit of the bias comes in below.
        logic [PlaneBits-1:0] plane_q;
        always_ff @(posedge clk_i) begin
          if (accumulate && gen_first.first_q[Latency-1]) begin
            plane_q <= (sum_begins ? PlaneBits'(Planes - 1) : plane_q) - PlaneBits'(1);
          end
        end
        always_comb begin
          if (!gen_first.first_q[Latency-1]) start = accumulator_q;
          else if (sum_begins) start = bias >> (Planes - 1);
          else start = AccumulatorBits'({accumulator_q, 1'(bias >> plane_q)});
        end
      end else begin : gen_plain
        assign start = sum_begins ? bias : accumulator_q;
      end

      vecq_adder #(
        .PlainBits(SumBits), .LogicBits(AccumulatorBits), .SumBits(AccumulatorBits)
      ) adder (
        .plain_i(sum), .logic_i(start), .carry_i(1'b0), .sum_o(accumulator_d)
      );
    end

    always_ff @(posedge clk_i) begin
      if (accumulate) accumulator_q <= accumulator_d;
    end
  end

  // What the parameters must be.
  if (Taps < 1 || WeightBits < 1) begin : gen_rule_positive
    $error("vecq_matrix_vector: Taps (%0d) and WeightBits (%0d) must be at least 1",
           Taps, WeightBits);
  end
  if (InputBits < 1 || AccumulatorBits < 1) begin : gen_rule_positive_input_bits_accumulator_bits
    $error("vecq_matrix_vector: InputBits (%0d) and AccumulatorBits (%0d) must be at least 1",
           InputBits, AccumulatorBits);
  end
  if (Simd < 1 || Inputs % Simd != 0) begin : gen_rule_divides_simd
    $error("vecq_matrix_vector: Simd (%0d) must divide Inputs (%0d)", Simd, Inputs);
  end
  if (Pe < 1 || Outputs % Pe != 0) begin : gen_rule_divides_pe
    $error("vecq_matrix_vector: Pe (%0d) must divide Outputs (%0d)", Pe, Outputs);
  end
  if (Groups < 1 || Outputs % Groups != 0) begin : gen_rule_divides_groups
    $error("vecq_matrix_vector: Groups (%0d) must divide Outputs (%0d)", Groups, Outputs);
  end
  if (Groups < 1 || Outputs / Groups % Pe != 0 && Pe % (Outputs / Groups) != 0) begin : gen_rule_pe
    $error("vecq_matrix_vector: Pe (%0d) must divide a group's outputs (%0d), or they Pe",
           Pe, Outputs / Groups);
  end
  if (Groups > 1 && Inputs % (Taps * Simd) != 0) begin : gen_rule_taps
    $error("vecq_matrix_vector: with Groups, Taps * Simd (%0d) must divide Inputs (%0d)",
           Taps * Simd, Inputs);
  end
  if (QuadRows && TwosComplement) begin : gen_rule_quad_rows
    $error("vecq_matrix_vector: QuadRows (%0d) are for odd weights, not TwosComplement (%0d)",
           QuadRows, TwosComplement);
  end
  if (Popcount && (WeightBits != 1 || InputBits != 1 || InputSigned || TwosComplement || QuadRows))
  begin : gen_rule_popcount
    $error("vecq_matrix_vector: Popcount is of unsigned InputBits (%0d), odd WeightBits (%0d) of 1",
           InputBits, WeightBits);
  end
  if (Rows < 1 || QuadRows && Rows != 2 || Registers < 1) begin : gen_rule_stages
    $error("vecq_matrix_vector: Rows (%0d) and Registers (%0d) must be at least 1, QuadRows have 2",
           Rows, Registers);
  end
  if (BookWords > 0 && (!TwosComplement || BitSerial || QuadRows)) begin : gen_rule_book
    $error("vecq_matrix_vector: BookWords (%0d) need TwosComplement (%0d), no BitSerial (%0d)",
           BookWords, TwosComplement, BitSerial);
  end
  if (64'(Inputs / Simd) * 64'(Passes) > 64'h7fff_ffff) begin : gen_rule_steps
    $error("vecq_matrix_vector: a frame must have fewer than 2^31 steps, not %0d * %0d",
           Inputs / Simd, Passes);
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
