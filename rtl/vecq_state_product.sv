// SPDX-License-Identifier: Apache-2.0

// The part of a recurrent layer that does not depend on its rules: the state's memory, its product
// with the weights, and the order in which the gates of a step are taken.
//
// A step has Gates * Elements gates, Gates of them for each element.  Once there_i tells that the
// input of the first of them is there, the product begins: Pe gates at a time, Simd elements of the
// state a cycle, on the array of vecq_matrix_vector.  Its sums are handed out one by one: with
// take_o a gate is taken, sum_o is its sum, address_o its number within the step and gate_o its
// number within the element.  If a sum is there, but its input is not, the product stands still.  So
// every cycle of a step is fixed, but for the waiting.
//
// Whoever takes the gates gives the new state, an element after the other, with write_i, at latest
// Lead cycles after the last gate.  There are two states in the memory, the one that is read and the
// one that is written.  In the first of Length steps the one that is read counts as zeros.
//
// advance_i holds all of it.  Without waiting a step takes
//   W * P + F + Latency + Lead + 1 - (P - Pe)
// cycles, with W = Gates * Elements / Pe, F = Elements / Simd, P the larger of F and Pe, and
// Latency = 2 + ceil(Simd / 8) + ceil(log2(WeightBits)).
//
// Memories: weights and bias as those of vecq_matrix_vector, for inputs of 8 bits, signed.
module vecq_state_product #(
  parameter int Elements       = 1,
  parameter int Gates          = 4,
  parameter int Length         = 1,
  parameter int Lead           = 8,
  parameter int Pe             = 1,
  parameter int Simd           = 1,
  parameter int WeightBits     = 2,
  parameter bit TwosComplement = 1'b0,
  parameter int SumBits        = 16,
  parameter     WeightsFile,
  parameter     BiasFile,
  localparam int Outputs     = Gates * Elements,
  localparam int AddressBits = Outputs > 1 ? $clog2(Outputs) : 1,
  localparam int GateBits    = Gates > 1 ? $clog2(Gates) : 1
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,

  input  logic                   advance_i,
  input  logic                   there_i,
  output logic                   take_o,
  output logic [SumBits-1:0]     sum_o,
  output logic [AddressBits-1:0] address_o,
  output logic [GateBits-1:0]    gate_o,
  output logic                   first_o,
  output logic                   last_o,

  input  logic                   write_i,
  input  logic [7:0]             state_i
);

  localparam int InputBits   = 8;
  localparam int Folds       = Elements / Simd;
  localparam int Words       = Outputs / Pe;
  localparam int Period      = Folds > Pe ? Folds : Pe;
  localparam int Steps       = Words * Folds;
  localparam int StepBits    = Steps > 1 ? $clog2(Steps) : 1;
  localparam int CycleBits   = Period > 1 ? $clog2(Period) : 1;
  localparam int WordBits    = Words > 1 ? $clog2(Words) : 1;
  localparam int FoldBits    = Folds > 1 ? $clog2(Folds) : 1;
  localparam int MemoryBits  = $clog2(2 * Folds);
  localparam int LaneBits    = Simd > 1 ? $clog2(Simd) : 1;
  localparam int LeftBits    = $clog2(Pe + 1);
  localparam int LeadBits    = $clog2(Lead);
  localparam int LengthBits  = Length > 1 ? $clog2(Length) : 1;
  localparam int Rows        = 4;
  localparam int StageLanes  = 2 * Rows;
  localparam int Stages      = (Simd + StageLanes - 1) / StageLanes;
  localparam int CodeBits    = Pe * WeightBits;
  // Of a sum of one fold at most; narrower accumulators never see more.
  localparam int ExactBits   = InputBits + 1 + $clog2((Simd + 1) / 2) + WeightBits;
  localparam int PartBits    = ExactBits < SumBits ? ExactBits : SumBits;
  localparam int Latency     = 2 + Stages + $clog2(WeightBits);

  logic enable;        // the product moves
  logic begins;        // a step of the sequence
  logic pending;       // a sum is there
  logic last_gate, step, load;

  // The steps of a sequence: waiting for its input, at work, and Lead cycles after the last gate.
  logic busy_q, issue_q, bank_q;
  logic [LeadBits-1:0] lead_q;
  logic [LengthBits-1:0] length_q;
  logic [LeftBits-1:0] left_q;

  assign begins  = advance_i && !busy_q && lead_q == '0 && there_i;
  assign pending = left_q != '0;
  assign take_o  = advance_i && pending && there_i;
  assign enable  = advance_i && !(pending && !there_i);
  assign first_o = length_q == '0;
  assign last_o  = length_q == LengthBits'(Length - 1);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      busy_q   <= 1'b0;
      lead_q   <= '0;
      bank_q   <= 1'b0;
      length_q <= LengthBits'(Length - 1);
    end else if (begins) begin
      busy_q   <= 1'b1;
      bank_q   <= !bank_q;
      length_q <= last_o ? '0 : length_q + LengthBits'(1);
    end else if (take_o && last_gate) begin
      busy_q <= 1'b0;
      lead_q <= LeadBits'(Lead - 1);
    end else if (advance_i && lead_q != '0) begin
      lead_q <= lead_q - LeadBits'(1);
    end
  end

  // The steps of the product: Period cycles for each word of sums, in Folds of which it works.
  logic [CycleBits-1:0] cycle_q;
  logic [WordBits-1:0] word_q;
  logic [StepBits-1:0] step_q;
  logic first_fold, last_fold;

  assign first_fold = cycle_q == '0;
  assign last_fold  = cycle_q == CycleBits'(Folds - 1);
  assign step       = issue_q && 32'(cycle_q) < Folds;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      issue_q <= 1'b0;
      cycle_q <= '0;
      word_q  <= '0;
      step_q  <= '0;
    end else if (begins) begin
      issue_q <= 1'b1;
    end else if (enable && issue_q) begin
      cycle_q <= cycle_q == CycleBits'(Period - 1) ? '0 : cycle_q + CycleBits'(1);
      if (step) step_q <= step_q == StepBits'(Steps - 1) ? '0 : step_q + StepBits'(1);
      if (cycle_q == CycleBits'(Period - 1)) begin
        word_q <= word_q == WordBits'(Words - 1) ? '0 : word_q + WordBits'(1);
        if (word_q == WordBits'(Words - 1)) issue_q <= 1'b0;
      end
    end
  end

  // The state: a memory for each lane, two banks of Folds elements.
  logic [LaneBits-1:0] lane_q;
  logic [FoldBits-1:0] fold_q;
  logic [Simd*InputBits-1:0] activations_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      lane_q <= '0;
      fold_q <= '0;
    end else if (write_i) begin
      lane_q <= lane_q == LaneBits'(Simd - 1) ? '0 : lane_q + LaneBits'(1);
      if (lane_q == LaneBits'(Simd - 1)) begin
        fold_q <= fold_q == FoldBits'(Folds - 1) ? '0 : fold_q + FoldBits'(1);
      end
    end
  end

  for (genvar lane = 0; lane < Simd; lane++) begin : gen_lane
    logic [InputBits-1:0] memory [2 * Folds];
    logic [InputBits-1:0] read;
    logic [MemoryBits-1:0] write_address, read_address;

    assign write_address = MemoryBits'((bank_q ? 0 : Folds) + 32'(fold_q));
    assign read_address  = MemoryBits'((bank_q ? Folds : 0) + 32'(cycle_q));
    assign read          = memory[read_address];

    // Signed elements enter the array as x + 2^7.
    always_ff @(posedge clk_i) begin
      if (write_i && lane_q == LaneBits'(lane)) memory[write_address] <= state_i;
      if (enable) begin
        activations_q[lane*InputBits +: InputBits] <=
            {!read[7] || first_o, read[6:0] & {7{!first_o}}};
      end
    end
  end

  // The codes of each stage of lanes are read as many cycles after their step.
  logic [Simd*CodeBits-1:0] weights;
  logic [Stages*StepBits-1:0] addresses_q;

  always_ff @(posedge clk_i) begin
    if (enable) addresses_q <= (Stages*StepBits)'({addresses_q, step_q});
  end

  for (genvar stage = 0; stage < Stages; stage++) begin : gen_stage
    localparam int First = stage * StageLanes;
    localparam int Lanes = First + StageLanes < Simd ? StageLanes : Simd - First;

    vecq_rom #(
      .Words(Steps), .WordBits(Simd * CodeBits), .File(WeightsFile),
      .First(First * CodeBits), .Bits(Lanes * CodeBits)
    ) weight_rom (
      .clk_i, .enable_i(enable), .address_i(addresses_q[stage*StepBits +: StepBits]),
      .data_o(weights[First*CodeBits +: Lanes*CodeBits])
    );
  end

  logic [Pe*PartBits-1:0] parts;

  vecq_pair_row_array #(
    .Pe(Pe), .Simd(Simd), .WeightBits(WeightBits), .TwosComplement(TwosComplement),
    .InputBits(InputBits), .SumBits(PartBits), .Rows(Rows)
  ) pair_rows (
    .clk_i, .enable_i(enable), .activations_i(activations_q), .weights_i(weights), .sums_o(parts)
  );

  // What travels beside the sums.
  logic [Latency-1:0] valid_q, first_q, last_q;
  logic sum_valid, sum_first;

  assign sum_valid = valid_q[Latency-1];
  assign sum_first = first_q[Latency-1];
  assign load      = enable && sum_valid && last_q[Latency-1];

  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else if (enable) valid_q <= Latency'({valid_q, step});
  end

  always_ff @(posedge clk_i) begin
    if (enable) begin
      first_q <= Latency'({first_q, first_fold});
      last_q  <= Latency'({last_q, last_fold});
    end
  end

  // The start values.
  logic [WordBits-1:0] sum_word_q, sum_word_d;
  logic [Pe*SumBits-1:0] biases;

  always_comb begin
    sum_word_d = sum_word_q;
    if (load) sum_word_d = sum_word_q == WordBits'(Words - 1) ? '0 : sum_word_q + WordBits'(1);
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) sum_word_q <= '0;
    else sum_word_q <= sum_word_d;
  end

  vecq_rom #(
    .Words(Words), .WordBits(Pe * SumBits), .File(BiasFile)
  ) bias_rom (
    .clk_i, .enable_i(enable), .address_i(sum_word_d), .data_o(biases)
  );

  // A word of sums, of which one goes out after the other.
  logic [Pe*SumBits-1:0] sums_d, sums_q;

  assign sum_o = sums_q[SumBits-1:0];

  for (genvar pe = 0; pe < Pe; pe++) begin : gen_pe
    logic [SumBits-1:0] start, accumulator_d, accumulator_q;

    assign start = sum_first ? biases[pe*SumBits +: SumBits] : accumulator_q;
    assign sums_d[pe*SumBits +: SumBits] = accumulator_d;

    vecq_adder #(
      .PlainBits(PartBits), .LogicBits(SumBits), .SumBits(SumBits)
    ) adder (
      .plain_i(parts[pe*PartBits +: PartBits]), .logic_i(start), .carry_i(1'b0),
      .sum_o(accumulator_d)
    );

    always_ff @(posedge clk_i) begin
      if (enable && sum_valid) accumulator_q <= accumulator_d;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) left_q <= '0;
    else if (load) left_q <= LeftBits'(Pe);
    else if (take_o) left_q <= left_q - LeftBits'(1);
  end

  always_ff @(posedge clk_i) begin
    if (load) sums_q <= sums_d;
    else if (take_o) sums_q <= sums_q >> SumBits;
  end

  // The place of the next gate.
  logic [AddressBits-1:0] address_q;
  logic [GateBits-1:0] gate_q;

  assign address_o = address_q;
  assign gate_o    = gate_q;
  assign last_gate = address_q == AddressBits'(Outputs - 1);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      address_q <= '0;
      gate_q    <= '0;
    end else if (take_o) begin
      address_q <= last_gate ? '0 : address_q + AddressBits'(1);
      gate_q    <= gate_q == GateBits'(Gates - 1) ? '0 : gate_q + GateBits'(1);
    end
  end

  // What the parameters must be.
  if (Elements < 1 || Gates < 1 || Length < 1) begin : gen_rule_positive
    $error("vecq_state_product: Elements (%0d), Gates (%0d) and Length (%0d) must be at least 1",
           Elements, Gates, Length);
  end
  if (Lead < 2) begin : gen_rule_lead
    $error("vecq_state_product: Lead (%0d) must be at least 2", Lead);
  end
  if (WeightBits < 1 || SumBits < 1) begin : gen_rule_positive_weight_bits_sum_bits
    $error("vecq_state_product: WeightBits (%0d) and SumBits (%0d) must be at least 1",
           WeightBits, SumBits);
  end
  if (Simd < 1 || Elements % Simd != 0) begin : gen_rule_divides_simd
    $error("vecq_state_product: Simd (%0d) must divide Elements (%0d)", Simd, Elements);
  end
  if (Pe < 1 || Gates * Elements % Pe != 0) begin : gen_rule_divides_pe
    $error("vecq_state_product: Pe (%0d) must divide Gates * Elements (%0d)",
           Pe, Gates * Elements);
  end

endmodule
