// SPDX-License-Identifier: Apache-2.0

// acc[o] = bias[o] + sum over blocks b of sum over c of book[index[o][b]][c] * x[b][c].
//
// Product weights without a multiplication for each of them: the dot products of a block of inputs
// with all BookWords words of the book are computed once and kept in a table; an output adds the
// one that its index names.  A word of Simd inputs is Simd / BookLanes blocks, each with a table of
// its own, and Pe outputs read all of these in a cycle.
//
// A frame is Words words.  With Groups they come as Taps kernel positions, in each of them a word
// or more of each group, and the outputs of a group read these alone.  A frame gives Outputs
// accumulators, Pe of them a word, while its last words are read; they wrap at AccumulatorBits and
// so are exact where that is wide enough.
//
// The dot products are vecq_pair_row_array's in two's complement; its offsets are taken off the
// bias.  Signed x enter as x + 2^(InputBits-1).
//
// Memories, a line each of the following, least significant first (vecq_hw/accelerator/memories/compact.py):
//   book: the codes of Parallel words, lane 0 of all of them first
//   indices: of block 0 for all Pe outputs, then of block 1; the lines of the frame's first word
//     first, for each of these outputs 0..Pe-1 of its group first
//   bias: AccumulatorBits for each of Pe outputs, the bias minus all offsets
//
// A word takes Turns = Outputs / Groups / Pe cycles.  Meanwhile the tables of the next one are
// filled: Lines lines, the largest power of two up to Turns and BookWords, of Parallel words each.
// Two words are kept before they are used.  The pipeline stands still while an output word is not
// taken.  Latency, from the step that begins a frame's last word to its first output word:
// 4 + Lines + ceil(BookLanes / 8) + ceil(log2(WeightBits)) + ceil(log2(Simd / BookLanes)) cycles, 1
// more where Lines are fewer than BookWords.
module vecq_partial_sums #(
  parameter int Words           = 1,
  parameter int Outputs         = 1,
  parameter int Pe              = 1,
  parameter int Simd            = 1,
  parameter int Groups          = 1,
  parameter int Taps            = 1,
  parameter int BookWords       = 2,
  parameter int BookLanes       = 1,
  parameter int WeightBits      = 8,
  parameter int InputBits       = 8,
  parameter bit InputSigned     = 1'b0,
  parameter int AccumulatorBits = 16,
  parameter     IndicesFile,
  parameter     BookFile,
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

  // The largest power of two up to a number.
  function automatic int power_below(int number);
    power_below = 1 << ($clog2(number + 1) - 1);
  endfunction

  localparam int Turns       = Outputs / Groups / Pe;
  localparam int OutputFolds = Outputs / Pe;
  localparam int Blocks      = Simd / BookLanes;
  localparam int Inner       = Words / Taps / Groups;
  localparam int Lines       = power_below(Turns < BookWords ? Turns : BookWords);
  localparam int Parallel    = BookWords / Lines;
  localparam int Steps       = Words * Turns;
  localparam int TurnBits    = Turns > 1 ? $clog2(Turns) : 1;
  localparam int StepBits    = Steps > 1 ? $clog2(Steps) : 1;
  localparam int LineBits    = Lines > 1 ? $clog2(Lines) : 1;
  localparam int IndexBits   = $clog2(BookWords);
  localparam int WordBits    = Simd * InputBits;
  localparam int BookBits    = BookLanes * Parallel * WeightBits;
  // Pair rows between two registers, and the stages that this makes.
  localparam int Rows        = 4;
  localparam int StageLanes  = 2 * Rows;
  localparam int Stages      = (BookLanes + StageLanes - 1) / StageLanes;
  // Of a dot product, and of the sum of those of a word's blocks, at most; wider accumulators never
  // see more.
  localparam int ExactBits   = InputBits + 1 + $clog2((BookLanes + 1) / 2) + WeightBits;
  localparam int SumBits     = ExactBits < AccumulatorBits ? ExactBits : AccumulatorBits;
  localparam int TreeBits    = SumBits + $clog2(Blocks);
  localparam int TermBits    = TreeBits < AccumulatorBits ? TreeBits : AccumulatorBits;
  // From a step to the dot products, from a turn to the terms.
  localparam int FillLatency = 2 + Stages + $clog2(WeightBits);
  localparam int TurnLatency = 2 + int'(Parallel > 1) + $clog2(Blocks);

  logic advance;        // the pipeline moves
  logic step;           // one step of a word enters it
  logic word_there;
  logic [WordBits-1:0] activations;

  // Which of the Turns steps of a word.
  logic [TurnBits-1:0] step_q;
  logic last_step, fill;

  assign last_step = step_q == TurnBits'(Turns - 1);
  assign step      = advance && word_there;
  assign fill      = step && (TurnBits + 1)'(step_q) < (TurnBits + 1)'(Lines);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) step_q <= '0;
    else if (step) step_q <= last_step ? '0 : step_q + TurnBits'(1);
  end

  vecq_replay_buffer #(
    .Words(1), .Replays(Turns), .WordBits(WordBits)
  ) input_buffer (
    .clk_i, .rst_ni,
    .valid_i, .ready_o, .data_i,
    .first_pass_i(step_q == '0), .last_pass_i(last_step), .last_word_i(1'b1),
    .there_o(word_there), .take_i(step), .enable_i(advance), .data_o(activations)
  );

  // The codes of each stage of lanes are read as many cycles after their step.
  logic [BookBits-1:0] codes;
  logic [Stages*LineBits-1:0] lines_q;

  always_ff @(posedge clk_i) begin
    if (advance) lines_q <= (Stages*LineBits)'({lines_q, LineBits'(step_q)});
  end

  for (genvar stage = 0; stage < Stages; stage++) begin : gen_stage
    localparam int First = stage * StageLanes;
    localparam int Lanes = First + StageLanes < BookLanes ? StageLanes : BookLanes - First;
    localparam int LaneBits = Parallel * WeightBits;

    vecq_rom #(
      .Words(Lines), .WordBits(BookBits), .File(BookFile),
      .First(First * LaneBits), .Bits(Lanes * LaneBits)
    ) book_rom (
      .clk_i, .enable_i(advance), .address_i(lines_q[stage*LineBits +: LineBits]),
      .data_o(codes[First*LaneBits +: Lanes*LaneBits])
    );
  end

  logic [WordBits-1:0] unsigned_activations;
  logic [Blocks*Parallel*SumBits-1:0] products;

  for (genvar lane = 0; lane < Simd; lane++) begin : gen_lane
    assign unsigned_activations[lane*InputBits +: InputBits] =
        activations[lane*InputBits +: InputBits] ^ (InputBits'(InputSigned) << (InputBits - 1));
  end

  for (genvar block = 0; block < Blocks; block++) begin : gen_products
    vecq_pair_row_array #(
      .Pe(Parallel), .Simd(BookLanes), .WeightBits(WeightBits), .TwosComplement(1'b1),
      .InputBits(InputBits), .SumBits(SumBits), .Rows(Rows)
    ) pair_rows (
      .clk_i, .enable_i(advance),
      .activations_i(unsigned_activations[block*BookLanes*InputBits +: BookLanes*InputBits]),
      .weights_i(codes), .sums_o(products[block*Parallel*SumBits +: Parallel*SumBits])
    );
  end

  // A line of each table is written; behind the last one its turns begin.
  logic [FillLatency-1:0] fill_q;
  logic write, last_line, write_half_q;
  logic [LineBits-1:0] line_q;

  assign write     = fill_q[FillLatency-1];
  assign last_line = line_q == LineBits'(Lines - 1);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      fill_q       <= '0;
      line_q       <= '0;
      write_half_q <= 1'b0;
    end else if (advance) begin
      fill_q <= FillLatency'({fill_q, fill});
      if (write) begin
        line_q <= last_line ? '0 : line_q + LineBits'(1);
        if (last_line) write_half_q <= !write_half_q;
      end
    end
  end

  // The turns of a word: which indices, and which half of the tables.
  logic turn, last_turn, running_q, half_q;
  logic [TurnBits-1:0] turn_q;
  logic [StepBits-1:0] index_q;
  logic [Blocks*Pe*IndexBits-1:0] indices;

  assign turn      = running_q || write && last_line;
  assign last_turn = turn_q == TurnBits'(Turns - 1);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      running_q <= 1'b0;
      half_q    <= 1'b0;
      turn_q    <= '0;
      index_q   <= '0;
    end else if (advance && turn) begin
      running_q <= !last_turn;
      turn_q    <= last_turn ? '0 : turn_q + TurnBits'(1);
      index_q   <= index_q == StepBits'(Steps - 1) ? '0 : index_q + StepBits'(1);
      if (last_turn) half_q <= !half_q;
    end
  end

  vecq_rom #(
    .Words(Steps), .WordBits(Blocks * Pe * IndexBits), .File(IndicesFile)
  ) index_rom (
    .clk_i, .enable_i(advance), .address_i(index_q), .data_o(indices)
  );

  logic read_half_q;
  logic [TurnLatency-1:0] turns_q;

  always_ff @(posedge clk_i) begin
    if (advance) read_half_q <= half_q;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) turns_q <= '0;
    else if (advance) turns_q <= TurnLatency'({turns_q, turn});
  end

  // Which line of all outputs the next term belongs to: first the turns of a word, then the words
  // of a group, then the groups, then the taps.
  localparam int FoldBits  = OutputFolds > 1 ? $clog2(OutputFolds) : 1;
  localparam int InnerBits = Inner > 1 ? $clog2(Inner) : 1;
  localparam int TapBits   = Taps > 1 ? $clog2(Taps) : 1;
  logic take, last_term, last_inner, last_fold, last_tap, starts, ends;
  logic [TurnBits-1:0] sum_turn_q;
  logic [FoldBits-1:0] fold_q, fold_d;
  logic [InnerBits-1:0] inner_q;
  logic [TapBits-1:0] tap_q;

  assign take       = turns_q[TurnLatency-1];
  assign last_term  = sum_turn_q == TurnBits'(Turns - 1);
  assign last_inner = inner_q == InnerBits'(Inner - 1);
  assign last_fold  = fold_q == FoldBits'(OutputFolds - 1);
  assign last_tap   = tap_q == TapBits'(Taps - 1);
  assign starts     = tap_q == '0 && inner_q == '0;
  assign ends       = last_tap && last_inner;

  always_comb begin
    fold_d = fold_q;
    if (take) begin
      if (last_term && !last_inner) fold_d = fold_q - FoldBits'(Turns - 1);
      else fold_d = last_fold ? '0 : fold_q + FoldBits'(1);
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      sum_turn_q <= '0;
      fold_q     <= '0;
      inner_q    <= '0;
      tap_q      <= '0;
    end else if (advance && take) begin
      fold_q     <= fold_d;
      sum_turn_q <= last_term ? '0 : sum_turn_q + TurnBits'(1);
      if (last_term) inner_q <= last_inner ? '0 : inner_q + InnerBits'(1);
      if (last_term && last_inner && last_fold) tap_q <= last_tap ? '0 : tap_q + TapBits'(1);
    end
  end

  logic [Pe*AccumulatorBits-1:0] biases, stored, sums_d, sums_q;
  logic output_valid_q;

  assign valid_o = output_valid_q;
  assign advance = !output_valid_q || ready_i;
  assign data_o  = sums_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) output_valid_q <= 1'b0;
    else if (advance) output_valid_q <= take && ends;
  end

  always_ff @(posedge clk_i) begin
    if (advance && take) sums_q <= sums_d;
  end

  vecq_rom #(
    .Words(OutputFolds), .WordBits(Pe * AccumulatorBits), .File(BiasFile)
  ) bias_rom (
    .clk_i, .enable_i(advance), .address_i(fold_d), .data_o(biases)
  );

  if (OutputFolds > 1) begin : gen_stored
    // A line that is read and written at once is read in vain: its sums are still at the output.
    (* no_rw_check *) logic [Pe*AccumulatorBits-1:0] memory [OutputFolds];
    logic [Pe*AccumulatorBits-1:0] stored_q;

    always_ff @(posedge clk_i) begin
      if (advance && take) memory[fold_q] <= sums_d;
      if (advance) stored_q <= memory[fold_d];
    end

    assign stored = Turns == 1 && inner_q != '0 ? sums_q : stored_q;
  end else begin : gen_at_output
    assign stored = sums_q;
  end

  for (genvar pe = 0; pe < Pe; pe++) begin : gen_pe
    logic [Blocks*SumBits-1:0] terms;
    logic [TermBits-1:0] term;
    logic [AccumulatorBits-1:0] start;

    for (genvar block = 0; block < Blocks; block++) begin : gen_table
      localparam int AddressBits = $clog2(2 * Lines);
      // No line is read while its half is written.
      (* no_rw_check *) logic [Parallel*SumBits-1:0] memory [2*Lines];
      logic [Parallel*SumBits-1:0] line;
      logic [IndexBits-1:0] index;
      logic [AddressBits-1:0] to, from;

      assign index = indices[(block*Pe+pe)*IndexBits +: IndexBits];

      if (Lines > 1) begin : gen_lines
        assign to   = {write_half_q, line_q};
        assign from = {read_half_q, index[IndexBits-1 -: LineBits]};
      end else begin : gen_line
        assign to   = write_half_q;
        assign from = read_half_q;
      end

      always_ff @(posedge clk_i) begin
        if (advance && write) memory[to] <= products[block*Parallel*SumBits +: Parallel*SumBits];
        if (advance) line <= memory[from];
      end

      if (Parallel > 1) begin : gen_choice
        localparam int ChoiceBits = $clog2(Parallel);
        logic [ChoiceBits-1:0] choice_q;
        logic [SumBits-1:0] term_q;

        always_ff @(posedge clk_i) begin
          if (advance) begin
            choice_q <= index[ChoiceBits-1:0];
            term_q   <= line[choice_q*SumBits +: SumBits];
          end
        end

        assign terms[block*SumBits +: SumBits] = term_q;
      end else begin : gen_whole
        assign terms[block*SumBits +: SumBits] = line;
      end
    end

    vecq_adder_tree #(
      .Terms(Blocks), .TermBits(SumBits), .SumBits(TermBits)
    ) tree (
      .clk_i, .enable_i(advance), .terms_i(terms), .sum_o(term)
    );

    assign start = starts ? biases[pe*AccumulatorBits +: AccumulatorBits]
                          : stored[pe*AccumulatorBits +: AccumulatorBits];

    vecq_adder #(
      .PlainBits(TermBits), .LogicBits(AccumulatorBits), .SumBits(AccumulatorBits)
    ) adder (
      .plain_i(term), .logic_i(start), .carry_i(1'b0),
      .sum_o(sums_d[pe*AccumulatorBits +: AccumulatorBits])
    );
  end

  // What the parameters must be.
  if (Words < 1 || Taps < 1 || Groups < 1 || Words % (Taps * Groups) != 0) begin : gen_rule_words
    $error("vecq_partial_sums: Taps (%0d) * Groups (%0d) must divide Words (%0d)",
           Taps, Groups, Words);
  end
  if (WeightBits < 1 || InputBits < 1) begin : gen_rule_positive
    $error("vecq_partial_sums: WeightBits (%0d) and InputBits (%0d) must be at least 1",
           WeightBits, InputBits);
  end
  if (AccumulatorBits < 1) begin : gen_rule_positive_accumulator_bits
    $error("vecq_partial_sums: AccumulatorBits (%0d) must be at least 1", AccumulatorBits);
  end
  if (Pe < 1 || Groups < 1 || Outputs % (Pe * Groups) != 0) begin : gen_rule_divides_pe
    $error("vecq_partial_sums: Pe (%0d) must divide the outputs (%0d) of each of %0d groups",
           Pe, Outputs, Groups);
  end
  if (BookLanes < 1 || Simd < 1 || Simd % BookLanes != 0) begin : gen_rule_lanes
    $error("vecq_partial_sums: BookLanes (%0d) must divide Simd (%0d)", BookLanes, Simd);
  end
  if (BookWords < 2 || (BookWords & (BookWords - 1)) != 0) begin : gen_rule_book
    $error("vecq_partial_sums: BookWords (%0d) must be a power of two", BookWords);
  end
  if (64'(Words) * 64'(Turns) > 64'h7fff_ffff) begin : gen_rule_steps
    $error("vecq_partial_sums: a frame must have fewer than 2^31 steps, not %0d * %0d",
           Words, Turns);
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
